"""Display units: what is shown as one, and that nothing is lost or shown twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.tokens import Token
from attnviz_video.core.units import DisplayUnit, display_units, unit_edges, unit_sums


def _token(position: int, piece: str, raw: bytes | None = None, special: bool = False) -> Token:
    return Token(position, position, piece.encode() if raw is None else raw, piece, "answer", "other", special)


def _patch(position: int) -> Token:
    return Token(position, 7, b"", "", "image", "prompt", True, image=0, patch=position)


@given(pieces=st.lists(st.sampled_from(["", "a", " the", "的", "🎉", "\n"]), max_size=30), start=st.integers(0, 100))
def test_units_cover_all_tokens_in_order(pieces: list[str], start: int) -> None:
    tokens = [_token(start + number, piece, b"\xe7") for number, piece in enumerate(pieces)]
    units = display_units(tokens)
    covered = [position for unit in units for position in range(unit.first, unit.stop)]
    assert covered == [token.position for token in tokens]


@given(pieces=st.lists(st.sampled_from(["", "a", " the", "的"]), max_size=30))
def test_joined_units_are_the_joined_pieces(pieces: list[str]) -> None:
    tokens = [_token(number, piece, piece.encode()) for number, piece in enumerate(pieces)]
    assert "".join(unit.text for unit in display_units(tokens)) == "".join(pieces)


def test_t12_pieces_of_one_character_are_one_unit() -> None:
    tokens = [_token(0, "", b"\xe7"), _token(1, "", b"\x9a"), _token(2, "的", b"\x84"), _token(3, " ok")]
    units = display_units(tokens)
    assert [(unit.first, unit.stop, unit.text) for unit in units] == [(0, 3, "的"), (3, 4, " ok")]


def test_t12_bytes_that_never_complete_are_all_shown() -> None:
    units = display_units([_token(0, "", b"\xe7"), _token(1, "", b"\x9a")])
    assert [unit.text for unit in units] == ["<0xE7><0x9A>"]


def test_t10_equal_words_stay_apart() -> None:
    units = display_units([_token(0, " red"), _token(1, " red"), _token(2, " red")])
    assert [unit.first for unit in units] == [0, 1, 2]


def test_image_patches_are_left_out_and_end_a_run() -> None:
    tokens = [_token(0, "", b"\xe7"), _patch(1), _patch(2), _token(3, "<|end|>", special=True)]
    units = display_units(tokens)
    assert [(unit.first, unit.stop, unit.text) for unit in units] == [(0, 1, "<0xE7>"), (3, 4, "<|end|>")]
    assert [unit.special for unit in units] == [False, True]


def test_no_tokens_no_units() -> None:
    assert display_units([]) == ()


def test_t12_a_units_weight_is_the_sum_of_its_tokens() -> None:
    weights = np.array([1, 2, 3, 4, 5], dtype=np.float32)
    units = [DisplayUnit(0, 1, "a"), DisplayUnit(1, 4, "红"), DisplayUnit(4, 5, "b")]
    assert unit_sums(weights, unit_edges(units)).tolist() == [1, 9, 5]
    assert unit_sums(weights, unit_edges([])).size == 0


def test_a_sum_with_an_unknown_part_is_unknown() -> None:
    weights = np.array([1, np.nan, 3, 4], dtype=np.float32)
    units = [DisplayUnit(0, 1, "a"), DisplayUnit(1, 3, "红"), DisplayUnit(3, 4, "b")]
    assert np.isnan(unit_sums(weights, unit_edges(units))).tolist() == [False, True, False]
