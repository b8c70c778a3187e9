"""The start phrase: found by positions, in the right place, and an error that shows what was written instead."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.capture.settings import DEFAULT_START_PHRASE, CaptureSettings
from attnviz_video.capture.start_phrase import (
    PhraseDetector,
    StartDecision,
    final_start,
    find_in_pieces,
    find_in_tokens,
    resolve_start,
)
from attnviz_video.core.tokens import Role, Token
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import StartPhraseError


def prompt(*parts: tuple[Role, Sequence[str]]) -> tuple[Token, ...]:
    pieces = [(role, piece) for role, some in parts for piece in some]
    return tuple(
        Token(position, position, piece.encode(), piece, role, "prompt")
        for position, (role, piece) in enumerate(pieces)
    )


def test_t11_phrase_may_start_and_end_inside_tokens() -> None:
    assert find_in_pieces(["The", " answer", " is", " red."], "swer is r", "first") == (1, 4)
    assert find_in_pieces(["The", " answer", " is", " red."], "answer", "first") == (1, 2)


def test_t17_first_and_last_occurrence() -> None:
    pieces = ["go", " on", " go", " on"]
    assert find_in_pieces(pieces, "go on", "first") == (0, 2)
    assert find_in_pieces(pieces, "go on", "last") == (2, 4)
    assert find_in_pieces(pieces, "stop", "last") is None
    assert find_in_pieces(pieces, "", "first") is None
    assert find_in_pieces([], "go", "first") is None


def test_characters_split_over_byte_tokens() -> None:
    # Each character belongs to the token that completes it, the empty pieces before hold its first bytes.
    pieces = ["see", "", "", "根", "", "据", "以下", "."]
    assert find_in_pieces(pieces, "根据", "first") == (1, 6)
    assert find_in_pieces(pieces, "据以", "first") == (4, 7)
    # Inside a piece, the empty tokens before it belong to the piece's first character only.
    assert find_in_pieces(["a", "", "根b"], "b", "first") == (2, 3)


def test_phrase_does_not_span_a_gap_between_positions() -> None:
    tokens = prompt(("user", ["Based"]), ("image", ["x"]), ("user", [" on", " it"]))
    user = [token for token in tokens if token.role == "user"]
    assert find_in_tokens(user, "Based on", "last") is None
    assert find_in_tokens(user, "on it", "last") == (2, 4)


PROMPT = prompt(
    ("system", ["Based", " on", " the", " following", " requirements"]),
    ("user", ["Look", " at", " this", " now", "."]),
    ("user", [" Look", " at", " this"]),
    ("template", ["Look", " at"]),
)


def test_prompt_search_takes_the_last_occurrence_in_the_users_part() -> None:
    decision = resolve_start(CaptureSettings(start_phrase="Look at"), PROMPT)
    assert decision == StartDecision("Look at", True, prompt_position=10)
    start, notices = final_start(decision, ["a", "b"], len(PROMPT))
    assert start == StartPoint("Look at", "prompt", 10, 0)
    assert notices == ()


def test_empty_phrase_is_everything() -> None:
    decision = resolve_start(CaptureSettings(start_phrase=""), PROMPT)
    assert not decision.waiting
    assert final_start(decision, ["a"], 15) == (StartPoint("", "none", 0, 0), ())


def test_given_phrase_waits_for_the_answer() -> None:
    for where in ("auto", "answer"):
        decision = resolve_start(CaptureSettings(start_phrase="therefore", start_phrase_in=where), PROMPT)
        assert decision.waiting
    start, notices = final_start(decision, ["So", " there", "fore", " red", " it"], 15)
    assert start == StartPoint("therefore", "answer", 15 + 1, 3)
    assert notices == ()


def test_answer_search_ignores_the_prompts_own_copy() -> None:
    decision = resolve_start(CaptureSettings(start_phrase="Look at", start_phrase_in="answer"), PROMPT)
    assert decision.waiting
    assert final_start(decision, ["Look", " at", " me"], 15)[0] == StartPoint("Look at", "answer", 15, 2)


def test_phrase_only_in_the_prompt_is_refused_before_anything_is_generated() -> None:
    settings = CaptureSettings(start_phrase="therefore", start_phrase_in="prompt")
    with pytest.raises(StartPhraseError, match=r"'therefore' is not in the user's prompt 'Look at.*auto, or show"):
        resolve_start(settings, PROMPT)


def test_given_phrase_found_nowhere_shows_the_answer() -> None:
    decision = resolve_start(CaptureSettings(start_phrase="therefore"), PROMPT)
    with pytest.raises(StartPhraseError, match=r"'therefore' occurs neither .* answer 'So red'; record again .*\"\""):
        final_start(decision, ["So", " red"], 15)


def test_default_phrase_found_nowhere_shows_the_answer_with_a_notice() -> None:
    for where in ("auto", "prompt", "answer"):
        decision = resolve_start(CaptureSettings(start_phrase_in=where), PROMPT)
        assert decision == StartDecision(DEFAULT_START_PHRASE, False)
        start, notices = final_start(decision, ["So", " red"], 15)
        assert start == StartPoint(DEFAULT_START_PHRASE, "none", 15, 0)
        assert notices == (
            f"start phrase {DEFAULT_START_PHRASE!r} occurs neither in the prompt nor in the answer; "
            "shown from the answer on",
        )


def test_default_phrase_in_the_answer_is_shown_from_there_and_recorded_from_the_start() -> None:
    decision = resolve_start(CaptureSettings(), PROMPT)
    start, notices = final_start(decision, ["Well", ".", " " + DEFAULT_START_PHRASE, ":"], 15)
    assert start == StartPoint(DEFAULT_START_PHRASE, "answer", 17, 0)
    assert notices == ()


def test_answer_that_ends_with_the_phrase_has_a_notice() -> None:
    decision = StartDecision("end", True, waiting=True)
    start, notices = final_start(decision, ["the", " end"], 15)
    assert start.first_step == 2
    assert notices == ("the answer ends with the start phrase 'end': no token follows it",)


def test_interrupted_before_the_phrase_is_no_error() -> None:
    decision = StartDecision("end", True, waiting=True)
    start, notices = final_start(decision, ["the"], 15, finished=False)
    assert start == StartPoint("end", "none", 15, 1)
    assert notices == ("stopped before start phrase 'end' was written: no token was recorded",)


def test_long_answers_are_shortened_in_the_error() -> None:
    with pytest.raises(StartPhraseError) as caught:
        final_start(StartDecision("end", True, waiting=True), ["x"] * 9000, 15)
    assert len(str(caught.value)) < 2500


@given(st.lists(st.text("ab根", max_size=3), max_size=12), st.text("ab根", min_size=1, max_size=4))
def test_detector_agrees_with_the_search(pieces: list[str], phrase: str) -> None:
    detector = PhraseDetector(phrase)
    fired = [detector.feed(piece) for piece in pieces]
    found = find_in_pieces(pieces, phrase, "first")
    assert fired == [found is not None and index >= found[1] - 1 for index in range(len(pieces))]
