"""Words in time: which tokens end a word or a keyword, and where segments begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.tokens import Segment, Token
from attnviz_video.export.words import keyword_ends, keyword_list, segment_starts, word_ends


def tokens(pieces: Sequence[str], segments: Sequence[Segment] = (), special: Sequence[int] = ()) -> list[Token]:
    """An answer that begins at position 10; `""` is a token that completes no character."""
    return [
        Token(10 + number, number, piece.encode() or b"\xe7", piece, "answer",
              segments[number] if segments else "other", number in special)
        for number, piece in enumerate(pieces)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pieces", "ends"),
    [
        (["A", " red", " circle"], [0, 1, 2]),
        ([" tri", "ang", "le", " here"], [2, 3]),
        ([" left", ".", " It"], [0, 1, 2]),
        ([" don", "'t", " l", "’homme"], [1, 3]),
        ([" 12", "34", " 5", ".", "6"], [1, 2, 3, 4]),
        (["红", "色", "", "", "圆"], [0, 1, 4]),
        ([" caf", "", "é", "s"], [3]),
        ([" e", "\u0301a", "\n", "b"], [1, 2, 3]),
        ([" a", " b", ""], [0, 1, 2]),
        ([], []),
    ],
)
def test_where_words_end(pieces: list[str], ends: list[int]) -> None:
    assert word_ends(tokens(pieces)) == ends


def test_special_tokens_and_new_segments_end_a_word() -> None:
    assert word_ends(tokens(["ab", "cd", "ef"], special=[1])) == [0, 1, 2]
    assert word_ends(tokens(["ab", "cd"], segments=["think", "answer"])) == [0, 1]


@given(st.lists(st.sampled_from(["", "a", " b", "c ", "红", ".", "'s", "\n", "é", " 1"]), max_size=30))
def test_every_token_is_in_one_word(pieces: list[str]) -> None:
    ends = word_ends(tokens(pieces))
    assert all(first < second for first, second in pairwise(ends))
    assert ends[-1:] == ([len(pieces) - 1] if pieces else [])


def test_keywords_of_a_setting() -> None:
    assert keyword_list(" red , left,red circle ,, red") == ("red", "left", "red circle")
    assert keyword_list(" , ") == ()


@pytest.mark.parametrize(
    ("keyword", "ends"),
    [
        ("red", [1, 6]),
        ("RED circle", [3]),
        ("circle", [3]),
        ("ircle", []),
        ("cir", []),
        ("re", []),
        (".", [4]),
        ("blue", []),
        ("圆", [8]),
        ("a+", []),
    ],
)
def test_keywords_are_whole_words_wherever_tokens_part_them(keyword: str, ends: list[int]) -> None:
    answer = tokens(["A", " red", " cir", "cle", ".", " Reduced", " Red\n", " 红", "圆形"])
    assert keyword_ends(answer, keyword) == ends


def test_a_keyword_over_several_tokens_and_spaces() -> None:
    assert keyword_ends(tokens(["on", " the", "\n left", "most", " left"]), "the left") == []
    assert keyword_ends(tokens(["on", " the", " \n left", "", " side"]), "the left") == [2]


def test_hostile_keywords_are_text() -> None:
    answer = tokens(["a" * 2000, "((((", "a b"] * 20)
    assert keyword_ends(answer, "(a+)+$") == []
    assert len(keyword_ends(answer, "((((")) == 20


def test_segments_with_their_first_token() -> None:
    parts: list[Segment] = ["think", "think", "other", "answer", "answer", "other", "other"]
    answer = tokens(["<think>", "x", "\n", "<answer>", "y", "<|im_end|>", " more"], parts, special=[5])
    assert segment_starts(answer) == [(0, "think"), (3, "answer"), (6, "other")]
    assert segment_starts([]) == []
    blank = [replace(token, segment="other") for token in tokens([" ", "x"])]
    assert segment_starts(blank) == [(0, "other")]
