"""`Scores` as a whole: frames, scales, sinks and shares of planted traces (FAULTS 14, 15)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import SMALLEST_TOP, level
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.step import StepInfo
from attnviz_video.core.trace import StartPoint, TraceData
from attnviz_video.core.units import display_units, unit_edges, unit_sums
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted import planted_layout, planted_trace

Make = Callable[..., TraceData]
PLAIN = AnalysisSettings()


def with_start(trace: TraceData, first_shown: int, first_step: int) -> TraceData:
    start = StartPoint("phrase", "answer", first_shown, first_step)
    return replace(trace, header=replace(trace.header, start=start))


def spread(row: np.ndarray, step: int) -> None:
    """Half on the first token, a tenth on patch 2, the rest evenly."""
    row[:] = 0.4 / row.size
    row[0] += 0.5
    row[3 + 2] += 0.1


def test_frames_hold_the_numbers_of_the_trace(trace_of: Make) -> None:
    trace = trace_of(spread, n_steps=10)
    scores = score(trace, 0, PLAIN)
    assert (scores.layer, str(scores.head), scores.n_frames, scores.unit) == (
        0,
        "mean over heads",
        10,
        "attention weight",
    )
    for number in (0, 4, 9):
        row, frame = trace.rows.mean_row(number, 0), scores.frame(number)
        shown = scores.row(number)
        assert shown is not None
        np.testing.assert_array_equal(shown, row)
        np.testing.assert_array_equal(frame.images[0], row[trace.layout.patch_positions(0)])
        np.testing.assert_array_equal(frame.text[[0, 1, -1]], [row[0], row[1], np.nan])


def test_start_phrase_decides_which_tokens_get_a_frame(trace_of: Make) -> None:
    made = trace_of(spread, n_steps=10)
    trace = with_start(made, made.n_prompt + 2, 4)
    assert score(trace, 0, PLAIN).steps == (4, 5, 6, 7, 8, 9)
    reading = score(trace, 0, AnalysisSettings(convention="reading"))
    assert [reading.frame(number).step for number in range(6)] == [4, 5, 6, 7, 8, 9]
    shown = reading.row(0)
    assert shown is not None
    assert shown.size == trace.n_prompt + 5
    assert reading.row(5) is None


def test_hidden_text_does_not_set_the_scale(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[1] = 0.75 if step == 3 else 0.0
        row[-1] = 0.125

    trace = trace_of(fill, n_steps=10)
    assert score(with_start(trace, 0, 0), 0, PLAIN).scale(0).text_top == 0.75
    assert score(with_start(trace, trace.n_prompt, 1), 0, PLAIN).scale(0).text_top == 0.125


def test_the_shared_scale_is_one_object_and_excludes_sinks(trace_of: Make) -> None:
    trace = with_start(trace_of(spread, n_steps=20), 0, 0)
    scores = score(trace, 0, PLAIN)
    assert [sink.position for sink in scores.sinks] == [0, 5]
    assert (scores.sinks[1].image, scores.sinks[1].patch) == (0, 2)
    assert len({id(scores.scale(number)) for number in range(20)}) == 1
    scale = scores.scale(0)
    assert scale.text_top < 0.02
    assert scale.image_top < 0.02
    assert scale.text_clipped
    assert scale.image_clipped
    assert scores.frame(3).text[0] > 0.5


def test_masked_sinks_are_not_drawn_and_not_clipped(trace_of: Make) -> None:
    trace = with_start(trace_of(spread, n_steps=20), 0, 0)
    scores = score(trace, 0, AnalysisSettings(sinks="mask"))
    assert np.isnan(scores.frame(3).text[0])
    assert np.isnan(scores.frame(3).images[0][2])
    assert not scores.scale(0).text_clipped
    assert not scores.scale(0).image_clipped
    # The share of the image is that of the row as it was recorded.
    assert np.isclose(scores.image_share(3)[0], score(trace, 0, PLAIN).image_share(3)[0])


def test_relative_shows_weights_over_their_mean(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[0], row[10], row[11] = 0.5, 0.1 if step == 3 else 0.02, 0.05

    scores = score(trace_of(fill, n_steps=10), 0, AnalysisSettings(sinks="relative"))
    frame = scores.frame(3)
    assert np.isclose(frame.text[0], 1.0)
    assert np.isclose(frame.images[0][11 - 3], 1.0)
    assert np.isclose(frame.images[0][10 - 3], 0.1 / 0.028)
    assert scores.unit == "attention / its mean over the video"


def test_each_frame_up_to_its_own_maximum(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[3 + step] = 0.5 ** (step + 1)
        row[-2] = 0.5 ** (step + 2)

    trace = with_start(trace_of(fill), 0, 0)
    scores = score(trace, 0, AnalysisSettings(scale="per_frame", gamma=0.4))
    assert [scores.scale(n).image_top for n in range(6)] == [0.5 ** (n + 1) for n in range(6)]
    assert [scores.scale(n).text_top for n in range(6)] == [0.5 ** (n + 2) for n in range(6)]
    assert scores.scale(2).gamma == 0.4
    joint = score(trace, 0, AnalysisSettings(scale="per_frame", scale_scope="joint"))
    assert joint.scale(1).text_top == joint.scale(1).image_top == 0.25
    shared = score(trace, 0, AnalysisSettings(scale_scope="joint")).scale(0)
    assert (shared.text_top, shared.image_top, shared.image_clipped) == (0.5, 0.5, False)


def test_image_shares(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[0], row[2 + 1], row[2 + 1 + 6 + 2 + 1] = 0.5, 0.125, 0.375

    trace = trace_of(fill, grids=((2, 3), (3, 3)))
    scores = score(trace, 0, PLAIN)
    assert scores.image_share(2).tolist() == [0.125, 0.375]
    without = score(trace, 0, AnalysisSettings(convention="reading"))
    assert np.isnan(without.image_share(5)).tolist() == [True, True]
    assert score(trace_of(lambda row, step: None), 0, PLAIN).image_share(0).tolist() == [0.0]


def test_shares_of_a_maximum_over_heads_are_those_of_the_mean(tmp_path: Path) -> None:
    """The maxima add up to 1.45, of which the image has 0.7; of the rows themselves it has 35 %."""
    n_prompt = planted_layout([(320, 200)], [(4, 6)]).n_prompt

    def row(step: int, layer: int) -> np.ndarray:
        rows = np.zeros((2, n_prompt + step), dtype=np.float32)
        rows[0, 0], rows[0, 5] = 0.75, 0.25
        rows[1, 0], rows[1, 6] = 0.55, 0.45
        return rows

    trace = planted_trace(tmp_path, row, layers=(0,))
    maximum = AnalysisSettings(head="max")
    assert np.isclose(score(trace, 0, maximum).image_share(2)[0], 0.35)
    scalars = trace.steps[2].scalars
    assert scalars is not None
    assert np.isclose(scalars.image_share[0].mean(), 0.35)
    only_heads = replace(trace, header=replace(trace.header, mean_layers=()))
    shares = score(only_heads, 0, maximum).shares(2)
    assert np.isclose(shares.images[0], 0.35)
    assert np.isclose(shares.shown + shares.hidden + shares.images.sum(), 1.0)
    assert np.isclose(score(trace, 0, AnalysisSettings(head="1")).image_share(2)[0], 0.45)


def test_shares_of_shown_and_hidden_text(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[0], row[1], row[5] = 0.5, 0.125, 0.125
        row[31] = 0.25

    trace = trace_of(fill, n_steps=10)
    scores = score(with_start(trace, trace.n_prompt - 2, 0), 0, PLAIN)
    shares = scores.shares(3)
    assert (shares.shown, shares.hidden, shares.images.tolist()) == (0.25, 0.625, [0.125])
    assert scores.has_hidden_text
    assert [sink.position for sink in scores.hidden_sinks] == [0, 1]
    everything = score(with_start(trace, 0, 0), 0, AnalysisSettings(sinks="mask"))
    assert (everything.shares(3).shown, everything.shares(3).hidden) == (0.875, 0.0)
    assert not everything.has_hidden_text
    assert everything.hidden_sinks == ()
    last = score(trace, 0, AnalysisSettings(convention="reading")).shares(9)
    assert np.isnan([last.shown, last.hidden, *last.images]).all()


def test_the_weight_of_the_blue_token_is_no_part_of_the_scale(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        row[-1] = 0.75
        row[-3] = 0.125

    trace = trace_of(fill, n_steps=10)
    assert score(trace, 0, AnalysisSettings(convention="reading")).scale(0).text_top == 0.125
    assert score(trace, 0, PLAIN).scale(0).text_top == 0.75


@pytest.mark.parametrize("scale", ["shared", "per_frame"])
def test_t12_no_painted_unit_lies_above_a_scale_that_hides_it(tmp_path: Path, scale: str) -> None:
    answer = (" a", "", "", "", "红", " b", " c") * 3

    def row(step: int, layer: int) -> np.ndarray:
        keys = planted_layout([(320, 200)], [(4, 6)]).n_prompt + step
        return np.full((2, keys), 1.0 / keys, dtype=np.float32)

    trace = planted_trace(tmp_path, row, answer=answer, layers=(0,))
    scores = score(trace, 0, AnalysisSettings(scale=scale))  # type: ignore[arg-type]
    edges = unit_edges(display_units(trace.tokens[trace.n_prompt :]))
    for number in range(6, scores.n_frames):
        painted = unit_sums(scores.frame(number).text, edges)
        used = scores.scale(number)
        assert used.text_clipped or np.nanmax(painted) <= used.text_top * 1.001


def test_the_last_frame_of_reading_is_uncoloured(trace_of: Make) -> None:
    for kind in ("shared", "per_frame"):
        scores = score(trace_of(spread), 0, AnalysisSettings(convention="reading", scale=kind))  # type: ignore[arg-type]
        frame = scores.frame(5)
        assert not frame.has_row
        assert np.isnan(level(frame.images[0], scores.scale(5), "image")).all()


def test_bad_rows_are_counted_and_drawn(trace_of: Make) -> None:
    def fill(row: np.ndarray, step: int) -> None:
        spread(row, step)
        if step == 2:
            row[4], row[8], row[9] = np.nan, np.inf, -0.1
        if step == 3:
            row *= 0.5

    trace = trace_of(fill)
    scores = score(trace, 0, PLAIN)
    assert (scores.report.nan, scores.report.infinite, scores.report.negative, scores.report.off_sum) == (1, 1, 1, 1)
    assert scores.report.rows == 6
    levels = level(scores.frame(2).images[0], scores.scale(2), "image")
    assert np.flatnonzero(np.isnan(levels)).tolist() == [1, 5, 6]
    assert 0 < scores.image_share(2)[0] < 1
    with pytest.raises(TraceError, match=r"--strict: layer 0: attention rows: 1 NaN, 1 infinite, 1 negative values"):
        score(trace, 0, AnalysisSettings(strict=True))


def test_a_maximum_over_heads_is_not_taken_for_a_bad_row(trace_of: Make) -> None:
    trace = trace_of(spread, n_heads=4)
    report = score(trace, 0, AnalysisSettings(head="max", strict=True)).report
    assert report.clean
    assert report.rows == 24


def test_zero_and_constant_rows_have_defined_colours(trace_of: Make) -> None:
    zero = score(trace_of(lambda row, step: None), 0, PLAIN)
    assert zero.scale(0).image_top == SMALLEST_TOP
    assert level(zero.frame(0).images[0], zero.scale(0), "image").max() == 0
    constant = score(trace_of(lambda row, step: row.fill(0.25)), 0, PLAIN)
    assert set(level(constant.frame(0).images[0], constant.scale(0), "image").tolist()) == {1.0}


def test_nothing_to_render(trace_of: Make) -> None:
    trace = trace_of(spread)
    advice = r'generate more \(--max_new_tokens\) or start earlier \(--start_phrase ""\)'
    wanted = f"nothing to render: no token was generated; {advice}"
    with pytest.raises(TraceError, match=wanted):
        score(replace(trace, steps=()), 0, PLAIN)
    wanted = f"nothing to render: 6 tokens were generated, but recording starts with token 6; {advice}"
    with pytest.raises(TraceError, match=wanted):
        score(with_start(trace, 0, 6), 0, PLAIN)


def test_a_phrase_that_was_never_written(trace_of: Make) -> None:
    trace = trace_of(spread, n_steps=4)
    silent = tuple(replace(info, recorded=False) for info in trace.steps)
    header = replace(trace.header, start=StartPoint("<answer>", "none", trace.n_prompt, 0))
    wanted = (
        r"nothing to render: no row was recorded, because the start phrase '<answer>' is not in the 4 tokens written; "
        r'generate more \(--max_new_tokens\) or start earlier \(--start_phrase ""\)'
    )
    with pytest.raises(TraceError, match=wanted):
        score(replace(trace, steps=silent, header=header), 0, PLAIN)


def test_steps_without_rows_get_no_frame(trace_of: Make) -> None:
    trace = trace_of(spread)
    silent: tuple[StepInfo, ...] = tuple(replace(info, recorded=info.index >= 2) for info in trace.steps)
    assert score(replace(trace, steps=silent), 0, PLAIN).steps == (2, 3, 4, 5)


def test_settings_are_checked_before_any_row_is_read(trace_of: Make) -> None:
    trace = trace_of(spread)
    for gamma in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="--gamma: expected a number above 0, got"):
            score(trace, 0, AnalysisSettings(gamma=gamma))
    with pytest.raises(UsageError, match="layer 5 is out of range"):
        score(trace, 5, PLAIN)
    with pytest.raises(UsageError, match="--head 9 is out of range"):
        score(trace, 0, AnalysisSettings(head="9"))
    assert score(trace, -1, PLAIN).layer == 0


def test_an_answer_of_one_token(trace_of: Make) -> None:
    trace = trace_of(spread, n_steps=1)
    assert score(trace, 0, PLAIN).n_frames == 1
    reading = score(trace, 0, AnalysisSettings(convention="reading"))
    assert (reading.n_frames, reading.sinks, reading.report.rows) == (1, (), 0)
    assert reading.scale(0).text_top == SMALLEST_TOP


def test_a_question_without_images(trace_of: Make) -> None:
    scores = score(trace_of(lambda row, step: row.fill(1 / row.size), grids=()), 0, PLAIN)
    assert scores.frame(0).images == ()
    assert scores.image_share(0).shape == (0,)
    assert scores.scale(0).image_top == SMALLEST_TOP


def test_t21_memory_does_not_grow_with_the_number_of_steps(trace_of: Make) -> None:
    def peak(n_steps: int) -> int:
        trace = trace_of(spread, n_steps=n_steps, grids=((20, 30),), n_heads=1)
        score(trace, 0, PLAIN)
        tracemalloc.start()
        score(trace, 0, PLAIN)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    # 70 more rows of 600 keys would be 170 kB in float32; a few numbers per position of the answer are allowed.
    assert peak(80) - peak(10) < 30_000


def test_a_phrase_within_a_recorded_answer_is_where_frames_start(trace_of: Make) -> None:
    """The built-in phrase, found in the answer only: everything was recorded, but the panel starts at the phrase."""
    made = trace_of(spread, n_steps=10)
    assert score(with_start(made, made.n_prompt + 6, 0), 0, PLAIN).steps == (6, 7, 8, 9)
