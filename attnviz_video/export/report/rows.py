"""Attention rows as text that a page can carry: deflated, in 91 characters, one block per layer and head.

A block is the matrix [steps, positions] of 16-bit codes, turned so that the weights of one position stand together, the
heavy positions first, low and high bytes apart: neighbours are then alike, and the adaptive code of deflate makes use
of it (measured on 256 steps x 2,250 positions: 5.2 instead of 6.0 bits per weight). The page inflates a block when it
is first looked at (`DecompressionStream`, which works in a file opened from disk).

Two characters out of 91 carry 13 bits (91 · 91 ≥ 2^13), so text is 1.23 times as long as the bytes; base64 takes 1.33.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8, UInt16

Coding = Literal["exact", "short"]

#: Short codes: weights below `SHORT_TURN` in units of `SHORT_UNIT` (5 digits after the point), larger ones in units ten
#: times as large (4 digits; float16 itself has steps of 0.0005 there). What no weight can be is `SHORT_NAN`.
SHORT_UNIT = 1e-5
SHORT_TURN = 0.5
SHORT_LARGE_UNIT = 1e-4
SHORT_NAN = 0xFFFF
_TURN_CODE = round(SHORT_TURN / SHORT_UNIT)
#: Largest weight that has a short code; more is no distribution, and such rows are kept as they are.
_SHORT_LARGEST = SHORT_TURN + (SHORT_NAN - 1 - _TURN_CODE) * SHORT_LARGE_UNIT

#: All printable characters of ASCII but `<`, `&` and `"`, which mean something in HTML.
ALPHABET = "".join(chr(code) for code in range(33, 127) if chr(code) not in '<&"')
GROUP_BITS = 13


@dataclass(frozen=True)
class RowBlock:
    """The rows of one layer and head as the page holds them."""

    #: Identifier in the page, such as `rows-20-mean` or `rows-20-3`.
    name: str
    coding: Coding
    #: The deflated bytes as `text_of` writes them.
    text: str


def encode_rows(name: str, rows: Float[np.ndarray, "steps positions"], coding: Coding) -> RowBlock:
    """The block of `rows`; entries that a step does not see are 0. A value without a short code makes it `exact`.

    The bytes, inflated: the order of the positions (uint32), the low bytes of all codes [positions in that order,
    steps], their high bytes.
    """
    if coding == "short" and not has_short_codes(rows):
        coding = "exact"
    codes = short_codes(rows) if coding == "short" else exact_codes(rows)
    heavy = np.where(np.isfinite(rows), rows, 0.0).sum(axis=0, dtype=np.float64)
    order = np.argsort(-heavy, kind="stable").astype("<u4")
    turned = np.ascontiguousarray(codes[:, order].T)
    low, high = (turned & 0xFF).astype(np.uint8), (turned >> 8).astype(np.uint8)
    data = order.tobytes() + low.tobytes() + high.tobytes()
    return RowBlock(name, coding, text_of(deflate(data)))


def deflate(data: bytes) -> bytes:
    """`data` as a zlib stream, which browsers call "deflate"; tuned for numbers that vary at random within a band."""
    maker = zlib.compressobj(6, zlib.DEFLATED, 15, 8, zlib.Z_FILTERED)
    return maker.compress(data) + maker.flush()


def has_short_codes(rows: Float[np.ndarray, "*shape"]) -> bool:
    """Whether all of `rows` are weights that a short code can hold, or NaN."""
    known = rows[~np.isnan(rows)]
    return bool(((known >= 0) & (known <= _SHORT_LARGEST)).all())


def short_codes(rows: Float[np.ndarray, "*shape"]) -> UInt16[np.ndarray, "*shape"]:
    """Weights rounded to 5 (from `SHORT_TURN` on 4) digits after the point."""
    exact = np.nan_to_num(rows.astype(np.float64), nan=0.0)
    small = np.rint(exact / SHORT_UNIT)
    large = _TURN_CODE + np.rint((exact - SHORT_TURN) / SHORT_LARGE_UNIT)
    codes: UInt16[np.ndarray, "*shape"] = np.where(exact < SHORT_TURN, small, large).astype(np.uint16)
    codes[np.isnan(rows)] = SHORT_NAN
    return codes


def exact_codes(rows: Float[np.ndarray, "*shape"]) -> UInt16[np.ndarray, "*shape"]:
    """The bit patterns of float16, in which a trace keeps its rows: nothing is lost."""
    with np.errstate(over="ignore"):
        patterns: UInt16[np.ndarray, "*shape"] = np.ascontiguousarray(rows, dtype=np.float16).view(np.uint16)
    return patterns


def packed(codes: UInt16[np.ndarray, "*shape"]) -> str:
    """16-bit numbers as text: the low bytes of all, then the high ones, deflated."""
    flat = codes.ravel()
    return text_of(deflate((flat & 0xFF).astype(np.uint8).tobytes() + (flat >> 8).astype(np.uint8).tobytes()))


def text_of(data: bytes) -> str:
    """`data`, its length (4 bytes, little end first) before it, as text: 13 bits to two characters of `ALPHABET`."""
    whole = np.frombuffer(len(data).to_bytes(4, "little") + data, dtype=np.uint8)
    bits = np.unpackbits(whole)
    n_groups = -(-bits.size // GROUP_BITS)
    padded = np.zeros((n_groups, 16), dtype=np.uint8)
    filled = np.zeros(n_groups * GROUP_BITS, dtype=np.uint8)
    filled[: bits.size] = bits
    padded[:, 16 - GROUP_BITS :] = filled.reshape(n_groups, GROUP_BITS)
    groups = np.packbits(padded, axis=1).view(">u2").ravel()
    pairs = np.stack(np.divmod(groups, len(ALPHABET)), axis=1)
    characters: UInt8[np.ndarray, "groups 2"] = np.frombuffer(ALPHABET.encode("ascii"), dtype=np.uint8)[pairs]
    return characters.tobytes().decode("ascii")
