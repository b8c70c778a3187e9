"""Which characters a TrueType font can draw, read from its `cmap` table.

Pillow draws a box for a character the font lacks and does not say so. Comparing masks with that box would
call "□" itself missing and has to rasterise each character; the table gives the exact answer for all of them.
Formats 4 and 12 cover every Unicode font in use (OpenType specification, "cmap").
"""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt16

from attnviz_video.errors import EnvironmentFault

_LAST_CODE_POINT = 0x10FFFF
#: (platform, encoding) of Unicode subtables, the fullest first.
_UNICODE = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3))


@lru_cache(maxsize=32)
def covered(font: Path, index: int = 0) -> frozenset[int]:
    """Code points that `font` has a glyph for; `index` is the font's number where the file is a collection.

    Raises:
        EnvironmentFault: the file is not a TrueType font, or has no Unicode table.
    """
    try:
        data = font.read_bytes()
        return _subtable(_table(data, b"cmap", _directory(data, index)))
    except (OSError, struct.error, KeyError, ValueError, IndexError) as error:
        raise EnvironmentFault(f"cannot read the font {font}: {error}; reinstall this package") from error


def _directory(data: bytes, index: int) -> int:
    """Where the directory of tables begins: at the start, or where a collection's header says."""
    if data[:4] != b"ttcf":
        return 0
    if index >= struct.unpack_from(">L", data, 8)[0]:
        raise ValueError(f"the collection has no font {index}")
    return int(struct.unpack_from(">L", data, 12 + 4 * index)[0])


def _table(data: bytes, tag: bytes, directory: int) -> bytes:
    """The table `tag` of a font file."""
    n_tables = struct.unpack_from(">H", data, directory + 4)[0]
    for index in range(n_tables):
        name, _, offset, length = struct.unpack_from(">4sLLL", data, directory + 12 + 16 * index)
        if name == tag:
            return data[offset : offset + length]
    raise KeyError(f"no {tag.decode()} table")


def _subtable(table: bytes) -> frozenset[int]:
    """Code points of the best Unicode subtable of a `cmap` table."""
    offsets = {}
    for index in range(struct.unpack_from(">H", table, 2)[0]):
        platform, encoding, offset = struct.unpack_from(">HHL", table, 4 + 8 * index)
        offsets[platform, encoding] = offset
    for key in _UNICODE:
        if key in offsets:
            data = table[offsets[key] :]
            read = {4: _format_4, 12: _format_12}.get(struct.unpack_from(">H", data)[0])
            if read is not None:
                return read(data)
    raise KeyError("no Unicode character table of format 4 or 12")


def _format_12(data: bytes) -> frozenset[int]:
    """Groups of consecutive code points: first, last, first glyph."""
    n_groups = struct.unpack_from(">L", data, 12)[0]
    found: set[int] = set()
    for first, last, glyph in struct.iter_unpack(">LLL", data[16 : 16 + 12 * n_groups]):
        if last > _LAST_CODE_POINT or last - first + len(found) > _LAST_CODE_POINT:
            raise ValueError(f"characters {first:#x} to {last:#x} cannot be")
        found.update(range(first + (glyph == 0), last + 1))
    return frozenset(found)


def _format_4(data: bytes) -> frozenset[int]:
    """Segments with a delta, or an offset into an array of glyph numbers."""
    length, _, doubled = struct.unpack_from(">HHH", data, 2)
    n_segments = doubled // 2
    words: UInt16[np.ndarray, "words"] = np.frombuffer(data[: length // 2 * 2], dtype=">u2").astype(np.uint16)
    ends = words[7 : 7 + n_segments]
    starts, deltas, offsets = (words[8 + k * n_segments : 8 + (k + 1) * n_segments] for k in (1, 2, 3))
    found: set[int] = set()
    for segment in range(n_segments):
        codes = np.arange(int(starts[segment]), int(ends[segment]) + 1)
        if offsets[segment] == 0:
            glyphs = (codes + int(deltas[segment])) % 65536
        else:
            at = 8 + 3 * n_segments + segment + int(offsets[segment]) // 2 + codes - int(starts[segment])
            raw = words[np.minimum(at, words.size - 1)].astype(np.int64)
            glyphs = np.where(raw == 0, 0, (raw + int(deltas[segment])) % 65536)
        found.update(codes[(glyphs != 0) & (codes != 0xFFFF)].tolist())
    return frozenset(found)
