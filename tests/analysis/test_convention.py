"""T1 and T2: which row a frame shows."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.scores import Scores, score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.testing.planted import one_hot_row, planted_layout, planted_trace


@pytest.fixture
def trace(tmp_path: Path) -> TraceData:
    """The query of step t (which produces answer token t) looks at nothing but patch t."""
    return planted_trace(tmp_path, one_hot_row(planted_layout([(320, 200)], [(4, 6)])))


def lit(scores: Scores, number: int) -> list[int]:
    return (scores.frame(number).images[0] > 0.5).nonzero()[0].tolist()


def made(trace: TraceData, convention: Literal["predicting", "reading"]) -> Scores:
    return score(trace, 0, AnalysisSettings(convention=convention))


def test_t01_the_frame_of_a_token_shows_the_row_that_produced_it(trace: TraceData) -> None:
    # Token t stands at position p = n_prompt + t; the row of query p - 1 is planted on patch t.
    scores = made(trace, "predicting")
    assert scores.steps == (0, 1, 2, 3, 4, 5)
    assert [lit(scores, number) for number in range(6)] == [[0], [1], [2], [3], [4], [5]]
    assert [scores.frame(number).step for number in range(6)] == [0, 1, 2, 3, 4, 5]
    assert all(scores.frame(number).has_row for number in range(6))


def test_t02_reading_shows_the_row_of_the_token_itself_from_the_same_trace(trace: TraceData) -> None:
    scores = made(trace, "reading")
    assert scores.n_frames == 6
    assert [lit(scores, number) for number in range(6)] == [[1], [2], [3], [4], [5], []]
    assert [scores.frame(number).has_row for number in range(6)] == [True] * 5 + [False]
    assert [lit(made(trace, "predicting"), number) for number in range(6)] == [[0], [1], [2], [3], [4], [5]]


def test_only_recorded_rows_are_shown() -> None:
    assert row_of_frame(3, {2, 3, 4}, "predicting") == 3
    assert row_of_frame(3, {2, 3, 4}, "reading") == 4
    assert row_of_frame(4, {2, 3, 4}, "reading") is None
    assert row_of_frame(1, {2, 3, 4}, "predicting") is None
