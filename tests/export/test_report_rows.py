"""Rows as the report carries them: read back here as its page does."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.export.report.rows import (
    ALPHABET,
    SHORT_NAN,
    RowBlock,
    encode_rows,
    has_short_codes,
    packed,
    text_of,
)


def bytes_of(text: str) -> bytes:
    """What `text_of` wrote, bit by bit."""
    digits = [ALPHABET.index(character) for character in text]
    groups = [one * len(ALPHABET) + other for one, other in zip(digits[::2], digits[1::2], strict=True)]
    bits = "".join(f"{group:013b}" for group in groups)
    whole = bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits) - 7, 8))
    return whole[4 : 4 + int.from_bytes(whole[:4], "little")]


def codes_of(block: RowBlock, n_rows: int, n_columns: int) -> np.ndarray:
    data = zlib.decompress(bytes_of(block.text))
    order = np.frombuffer(data[: 4 * n_columns], dtype="<u4")
    low, high = np.frombuffer(data[4 * n_columns :], dtype=np.uint8).reshape(2, n_columns, n_rows).astype(np.uint16)
    codes = np.empty((n_rows, n_columns), dtype=np.uint16)
    codes[:, order] = (low | high << 8).T
    return codes


def rows(n_rows: int = 7, n_columns: int = 40) -> np.ndarray:
    weights = np.random.default_rng(3).gamma(0.2, 1.0, (n_rows, n_columns))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float16).astype(np.float32)


@given(st.binary(max_size=80))
def test_bytes_survive_the_text(data: bytes) -> None:
    text = text_of(data)
    assert set(text) <= set(ALPHABET)
    assert bytes_of(text) == data


def test_the_alphabet_means_nothing_in_html() -> None:
    assert len(ALPHABET) == 91
    assert not set(ALPHABET) & set('<&" \n')


def test_exact_rows_are_those_of_the_trace_whatever_they_hold() -> None:
    weights = rows()
    weights[2, 5], weights[3, 6], weights[4, 7] = np.nan, np.inf, -0.25
    block = encode_rows("rows-0-mean", weights, "exact")
    found = codes_of(block, *weights.shape).view(np.float16).astype(np.float32)
    assert (block.name, block.coding) == ("rows-0-mean", "exact")
    assert np.array_equal(found, weights, equal_nan=True)


def test_short_rows_are_rounded_to_five_digits() -> None:
    weights = rows()
    weights[0, :3] = 0.75, 0.4999, np.nan
    block = encode_rows("rows-0-1", weights, "short")
    codes = codes_of(block, *weights.shape).astype(np.int64)
    assert block.coding == "short"
    assert codes[0, 2] == SHORT_NAN
    known = ~np.isnan(weights)
    values = np.where(codes <= 50_000, codes / 1e5, 0.5 + (codes - 50_000) / 1e4)
    assert np.abs(values - weights)[known & (weights < 0.5)].max() <= 0.5001e-5
    assert values[0, 0] == 0.75


@pytest.mark.parametrize("strange", [-0.1, np.inf, 3.0])
def test_what_has_no_short_code_is_kept_as_it_is(strange: float) -> None:
    weights = rows()
    weights[1, 1] = strange
    assert not has_short_codes(weights)
    assert encode_rows("rows-0-1", weights, "short").coding == "exact"


def test_packed_numbers() -> None:
    numbers = np.arange(600, dtype=np.uint16).reshape(2, 300) * 101
    data = np.frombuffer(zlib.decompress(bytes_of(packed(numbers))), dtype=np.uint8).reshape(2, -1).astype(np.uint16)
    assert np.array_equal(data[0] | data[1] << 8, numbers.ravel())
