"""Pieces merged to words, and matrices merged with them, against sums over index lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.words import find_text, merge_matrix, merge_words, word_groups
from attnviz_video.core.tokens import Segment, Token
from attnviz_video.testing.planted import planted_layout, planted_tokens

PIECES = ["", "a", " b", "c ", "红", ".", "'s", "\n", "é", " 1", "##ly", "##", "한", "ก"]


def tokens(pieces: Sequence[str], segments: Sequence[Segment] = (), special: Sequence[int] = ()) -> list[Token]:
    """An answer that begins at position 10; `""` is a token that completes no character."""
    return [
        Token(10 + number, number, piece.encode() or b"\xe7", piece, "answer",
              segments[number] if segments else "other", number in special)
        for number, piece in enumerate(pieces)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        (["The", " cat", " ch", "as", "ed", " it", "."], ["The", " cat", " chased", " it", "."]),
        ([" don", "'t", " l", "’homme", "'"], [" don't", " l’homme", "'"]),
        ([" 12", "34", ".", "5"], [" 1234", ".", "5"]),
        (["un", "afford", "able", "!"], ["unaffordable", "!"]),
        (["bar", "##", "foo"], ["bar", "##", "foo"]),
        (["#", " ##", " Heading"], ["#", " ##", " Heading"]),
        (["(", "x", "y)"], ["(", "xy)"]),
        (["东", "京", "タワ", "ー", "は"], ["东", "京", "タワ", "ー", "は"]),
        (["한", "국어", " 말"], ["한국어", " 말"]),
        (["สวัส", "ดี"], ["สวัส", "ดี"]),
        ([" caf", "", "é", "s"], [" cafés"]),
        (["\n", "a", "\n\n", "b"], ["\n", "a", "\n\n", "b"]),
        (["well", "-", "known"], ["well", "-", "known"]),
        (["x", ""], ["x", "<0xE7>"]),
        ([], []),
    ],
)  # fmt: skip
def test_which_pieces_are_one_word(pieces: list[str], words: list[str]) -> None:
    merged = merge_words(tokens(pieces))
    assert [word.text for word in merged] == words
    assert sum(word.n_tokens for word in merged) == len(pieces)


def test_special_tokens_and_new_segments_part_words() -> None:
    assert [word.text for word in merge_words(tokens(["ab", "cd", "ef"], special=[1]))] == ["ab", "cd", "ef"]
    assert len(merge_words(tokens(["ab", "cd"], segments=["think", "answer"]))) == 2
    prompt = [replace(token, role="user") for token in tokens(["ab", "cd"])]
    assert len(merge_words([prompt[0], tokens(["ab", "cd"])[1]])) == 2, "prompt and answer are never one word"


def test_every_patch_stands_for_itself() -> None:
    layout = planted_layout([(320, 200)], [(2, 3)])
    words = merge_words(planted_tokens(layout, (" re", "d")))
    patches = set(layout.patch_positions(0).tolist())
    assert {word.first for word in words if word.image == 0} == patches
    assert all(word.n_tokens == 1 for word in words if word.first in patches)
    assert words[-1].text == " red"
    assert [word.first for word in words] == sorted(word.first for word in words)


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.sets(st.integers(0, 24), max_size=4))
def test_every_token_is_in_one_word(pieces: list[str], special: set[int]) -> None:
    words = merge_words(tokens(pieces, special=sorted(special)))
    assert [position for word in words for position in range(word.first, word.stop)] == [
        10 + number for number in range(len(pieces))
    ]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=20), st.integers(0, 2**32 - 1), st.data())
def test_merged_weights_are_sums_over_keys_and_means_over_queries(
    pieces: list[str], seed: int, data: st.DataObject
) -> None:
    made = tokens(pieces)
    positions = sorted(data.draw(st.sets(st.sampled_from([token.position for token in made]), min_size=1)))
    matrix = np.random.default_rng(seed).random((len(positions), len(pieces)))
    matrix /= matrix.sum(axis=1, keepdims=True)
    words = merge_words(made)
    rows, row_groups = word_groups(words, positions)
    columns, column_groups = word_groups(words, [token.position for token in made])
    merged = merge_matrix(matrix, row_groups, column_groups)
    assert columns == words
    np.testing.assert_allclose(merged.sum(axis=1), 1, atol=1e-12)
    for line, word in enumerate(rows):
        own = [index for index, position in enumerate(positions) if word.first <= position < word.stop]
        for column, key in enumerate(columns):
            keys = [index for index in range(len(pieces)) if key.first <= 10 + index < key.stop]
            expected = np.mean([sum(matrix[index, other] for other in keys) for index in own])
            assert merged[line, column] == pytest.approx(expected, abs=1e-12)


def test_a_weight_that_is_none_makes_only_its_word_none() -> None:
    matrix = np.array([[0.5, np.nan, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]])
    merged = merge_matrix(matrix, np.array([[0, 2]]), np.array([[0, 2], [2, 4]]))
    assert np.isnan(merged[0, 0])
    assert merged[0, 1] == pytest.approx(0.6)


def test_positions_of_no_word_are_left_out() -> None:
    words = merge_words(tokens([" a", "b", " c"]))
    found, groups = word_groups(words, [3, 10, 11, 40])
    assert [word.text for word in found] == [" ab"]
    assert groups.tolist() == [[1, 3]]
    assert merge_matrix(np.ones((2, 4)), np.array([[0, 2]]), np.zeros((0, 2), np.int64)).shape == (1, 0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("red", [(11, 12), (16, 17)]),
        ("RED  circle", [(11, 14)]),
        ("circle", [(12, 14)]),
        ("cir", []),
        ("ircle", []),
        (".", [(14, 15)]),
        ("圆", [(18, 19)]),
        ("a+", []),
        (" ", []),
    ],
)
def test_where_a_text_stands(text: str, found: list[tuple[int, int]]) -> None:
    words = merge_words(tokens(["A", " red", " cir", "cle", ".", " Reduced", " Red\n", " 红", "圆形"]))
    assert find_text(words, text) == found


def test_patches_are_no_text() -> None:
    layout = planted_layout([(320, 200)], [(2, 3)])
    words = merge_words(planted_tokens(layout, (" <|mark|>", "|mark|")))
    found = [first for first, _ in find_text(words, "<|mark|>")]
    assert found == [0, 1, 2, 9, 14], "the markers around the image and the one in the answer"
