"""The schedule: every frame at its time, and ffmpeg's formula for the same."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.export import schedule as schedules
from attnviz_video.export.chapters import chapter_arguments, chapter_text
from attnviz_video.export.schedule import Chapter, Schedule, even_schedule, plan_schedule
from attnviz_video.export.setpts import tick_expression
from attnviz_video.export.settings import ExportSettings
from attnviz_video.testing.planted import planted_layout, planted_trace

PIECES = ("<think>", " A", " tri", "ang", "le", "</think>", "\n", "<answer>", " left", "</answer>", "<|im_end|>")
PLAIN: dict[str, Any] = {"hold_end": 0.0}


def trace(folder: Path, pieces: tuple[str, ...] = PIECES) -> TraceData:
    """A planted answer with its segments."""
    import numpy as np

    from attnviz_video.models.segments import segments_of

    n_prompt = planted_layout([(32, 20)], [(2, 3)]).n_prompt

    def row(step: int, layer: int) -> np.ndarray:
        return np.full((2, n_prompt + step), 1 / (n_prompt + step), dtype=np.float32)

    made = planted_trace(folder, row, image_sizes=[(32, 20)], grids=[(2, 3)], answer=pieces, layers=(0,))
    segments = segments_of(pieces)
    tokens = list(made.tokens)
    for number, segment in enumerate(segments):
        token = tokens[n_prompt + number]
        tokens[n_prompt + number] = replace(token, segment=segment, special=token.piece.startswith("<|"))
    return replace(made, tokens=tuple(tokens))


def plan(folder: Path, steps: tuple[int, ...] = tuple(range(len(PIECES))), **export: Any) -> Schedule:
    return plan_schedule(trace(folder), steps, ExportSettings(**{**PLAIN, **export}))


def test_tokens_have_equal_times(tmp_path: Path) -> None:
    schedule = plan(tmp_path, hold_segments=False)
    assert schedule.frames == tuple(range(11))
    assert schedule.starts(24) == tuple(range(0, 89, 8))
    assert (schedule.n_ticks, schedule.seconds) == (88, pytest.approx(11 / 3))


def test_the_pieces_of_a_word_advance_together(tmp_path: Path) -> None:
    schedule = plan(tmp_path, pace="word", hold_segments=False)
    shown = [PIECES[frame] for frame in schedule.frames]
    assert shown == ["<think>", " A", "le", "</think>", "\n", "<answer>", " left", "</answer>", "<|im_end|>"]
    assert schedule.starts(3) == tuple(range(10))


def test_words_of_recorded_tokens_only(tmp_path: Path) -> None:
    """Frame 0 shows token 3: the word ends with token 4, and no frame is counted that is not there."""
    assert plan(tmp_path, steps=(3, 4, 8), pace="word").frames == (1, 2)
    assert plan(tmp_path, steps=(2, 3, 8), pace="word").frames == (1, 2)


def test_holds_at_the_start_the_end_and_new_segments(tmp_path: Path) -> None:
    schedule = plan(tmp_path, hold_start=0.5, hold_end=2.0, hold_seconds=1.5)
    assert schedule.holds == (12, 0, 0, 0, 0, 0, 0, 36, 0, 0, 48)
    assert schedule.n_ticks == 88 + 96
    assert schedule.chapters == (Chapter(0, "thinking"), Chapter(7, "answer"))


def test_chapters_are_called_what_the_headings_of_the_text_are(tmp_path: Path) -> None:
    pieces = ("<think>", " A", "</think>", "\n", " left", "<|im_end|>")
    schedule = plan_schedule(trace(tmp_path, pieces), range(6), ExportSettings(**PLAIN))
    assert schedule.chapters == (Chapter(0, "thinking"), Chapter(4, "response"))


def test_an_answer_that_begins_after_the_thinking_has_no_chapters(tmp_path: Path) -> None:
    schedule = plan(tmp_path, steps=(8, 9))
    assert (schedule.chapters, schedule.holds) == ((), (0, 0))


def test_holds_at_keywords(tmp_path: Path) -> None:
    schedule = plan(tmp_path, hold_keywords="triangle, LEFT, red", hold_segments=False)
    assert [frame for frame, ticks in enumerate(schedule.holds) if ticks] == [4, 8]
    assert schedule.notices == ("--hold_keywords: 'red' is not in the shown answer, nothing is held for it",)


def test_a_keyword_before_the_first_shown_token_is_not_held(tmp_path: Path) -> None:
    schedule = plan(tmp_path, steps=(5, 6, 7, 8), hold_keywords="triangle", hold_segments=False)
    assert (schedule.holds, len(schedule.notices)) == ((0, 0, 0, 0), 1)


def test_a_frame_with_two_reasons_is_held_once(tmp_path: Path) -> None:
    schedule = plan(tmp_path, hold_keywords="<answer>, answer", hold_seconds=1.0)
    assert schedule.holds[7] == 24


def test_too_many_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "MOST_HOLDS", 1)
    with pytest.raises(UsageError, match="the video would be held 2 times, more than 1; name rarer words"):
        plan(tmp_path, hold_keywords="left")


schedule_strategy = st.builds(
    lambda rate, fps, holds: Schedule(tuple(range(len(holds))), Fraction(rate).limit_denominator(1000), fps, holds),
    st.floats(0.05, 24), st.sampled_from([24, 25, 30, 60]),
    st.lists(st.sampled_from([0, 0, 0, 1, 7, 48]), min_size=1, max_size=60).map(tuple),
)  # fmt: skip


@given(schedule_strategy, st.sampled_from([24, 1000]))
def test_errors_never_add_up_and_every_frame_is_seen(schedule: Schedule, unit: int) -> None:
    starts = schedule.starts(unit)
    held = 0
    for number, start in enumerate(starts):
        exact = Fraction(number) / schedule.rate + Fraction(held, schedule.fps)
        assert abs(start - exact * unit) <= Fraction(1, 2)
        held += schedule.holds[number] if number < len(schedule.holds) else 0
    assert all(first < second for first, second in pairwise(schedule.starts(schedule.fps)))


def evaluate(expression: str, number: int) -> float:
    """ffmpeg's formula, by Python; `if` and `lt` are ffmpeg's functions."""
    names = {"N": number, "floor": math.floor, "lt": lambda a, b: a < b, "choose": lambda c, a, b: a if c else b}
    return float(eval(expression.replace("if(", "choose("), {"__builtins__": {}}, names))


@given(schedule_strategy)
def test_ffmpeg_is_told_the_same_times(schedule: Schedule) -> None:
    expression = tick_expression(schedule)
    found = tuple(evaluate(expression, number) for number in range(len(schedule.frames) + 1))
    assert found == schedule.starts(schedule.fps)


def test_the_formula_stays_short_and_flat_with_the_most_holds() -> None:
    settings = ExportSettings(tokens_per_second=3.333)
    schedule = replace(even_schedule(4096, settings), holds=tuple(24 * (n % 10 == 3) for n in range(4096)))
    expression = tick_expression(schedule)
    depth = max(expression[:place].count("(") - expression[:place].count(")") for place in range(0, 9000, 7))
    assert depth < 20
    assert len(expression) < 20_000


def test_chapters_in_ffmpegs_words() -> None:
    schedule = Schedule((0, 1, 2), Fraction(3), 24, (0, 12, 0), (Chapter(0, "thinking"), Chapter(2, "final answer")))
    assert chapter_text(schedule) == (
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/24\nSTART=0\nEND=28\ntitle=thinking\n"
        "[CHAPTER]\nTIMEBASE=1/24\nSTART=28\nEND=36\ntitle=final answer\n"
    )
    assert chapter_arguments(even_schedule(3, ExportSettings())) == []
