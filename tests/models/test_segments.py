"""The parts of an answer: thinking, final answer, other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.models.segments import segments_of

WHOLE = "<think>hm</think>\n<answer>4</answer> ok"


def _spans(pieces: list[str]) -> list[tuple[str, str]]:
    return list(zip(pieces, segments_of(pieces), strict=True))


def test_tags_belong_to_the_part_they_open_or_close() -> None:
    assert _spans(["<think>", "hm", "</think>", "\n", "<answer>", "4", "</answer>", " ok"]) == [
        ("<think>", "think"),
        ("hm", "think"),
        ("</think>", "think"),
        ("\n", "other"),
        ("<answer>", "answer"),
        ("4", "answer"),
        ("</answer>", "answer"),
        (" ok", "other"),
    ]


def test_a_token_that_holds_a_tag_and_more_goes_with_the_tag() -> None:
    assert segments_of(["<think>", "a", "</think", ">\n\n", "b"]) == ["think", "think", "think", "think", "other"]


@given(cuts=st.sets(st.integers(1, len(WHOLE) - 1)))
def test_tags_split_over_tokens_are_found(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:stop] for start, stop in zip(edges, edges[1:], strict=False)]
    by_character = [part for piece, part in _spans(pieces) for _ in piece]
    whole = segments_of(list(WHOLE))
    # A token of one character has the part of that character, whatever stands around it.
    alone = [index for index in range(len(WHOLE)) if index in {0, *cuts} and index + 1 in {*cuts, len(WHOLE)}]
    assert all(by_character[index] == whole[index] for index in alone)


def test_an_open_thinking_lasts_to_the_end() -> None:
    assert segments_of(["<think>", "a", "b"]) == ["think"] * 3


def test_an_open_thinking_ends_where_the_answer_opens() -> None:
    assert segments_of(["<think>", "a", "<answer>", "b"]) == ["think", "think", "answer", "answer"]


def test_a_tag_named_inside_the_thinking_does_not_end_it() -> None:
    assert segments_of(["<think>", "put it in ", "<answer>", " tags", "</think>", "<answer>", "b"]) == [
        *["think"] * 5,
        "answer",
        "answer",
    ]


def test_a_thinking_that_the_prompt_opened_is_thinking() -> None:
    assert segments_of(["hm", "</think>", "b"]) == ["think", "think", "other"]


@pytest.mark.parametrize("pieces", [["a", "b"], ["</answer>", "b"], []])
def test_text_without_parts_is_other(pieces: list[str]) -> None:
    assert segments_of(pieces) == ["other"] * len(pieces)


def test_a_piece_without_characters_goes_with_the_next() -> None:
    assert segments_of(["x", "", "<think>", "", "的", "</think>", ""]) == [
        "other", "think", "think", "think", "think", "think", "other",
    ]  # fmt: skip
