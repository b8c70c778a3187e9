from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.timeline import Stretch, Timeline
from attnviz_video.core.tokens import Segment
from attnviz_video.render.brush import canvas, write
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.strip import Strip, chip_ink, has_lane, n_rows, percent_tick, series_color, strip_height
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import N_SERIES, contrast, theme
from tests.render.made import Made, long_scores, make_scores

LOOK = theme("light")
FACE = Faces(LOOK).small
GROUND = LOOK.color("frame.background")
NAN = float("nan")


def made(
    share: list[list[float]], entropy: list[float], stretches: tuple[Stretch, ...] = (), width: int = 1848
) -> tuple[Strip, np.ndarray]:
    """A strip and the background it paints, with nothing else on it."""
    shares = np.array(share).reshape(len(entropy), -1) if share else np.zeros((len(entropy), 0))
    stretches = stretches or (Stretch("other", 0, len(entropy)),)
    rows = n_rows(LOOK, shares.shape[1])
    height = strip_height(LOOK, FACE, rows=rows, lane=has_lane(stretches))
    strip = Strip(Timeline(shares, np.array(entropy), True), stretches, (36, 20, 36 + width, 20 + height), LOOK, FACE)
    frame = canvas(width + 72, height + 40, GROUND)
    strip.paint_background(frame)
    return strip, frame


def on(frame: np.ndarray, name: str) -> np.ndarray:
    """Where a colour of the theme is."""
    return (frame == LOOK.color(name)).all(axis=2)


def test_the_cursor_stands_on_its_frame_and_nothing_else_moves() -> None:
    values = [0.1, 0.4, 0.2, 0.3]
    strip, background = made([[value] for value in values], [1.0, 2.0, 1.5, 3.0])
    for number in range(4):
        frame = background.copy()
        strip.paint(frame, number)
        left, right = strip.cell(number)
        columns = np.flatnonzero(on(frame, "token.current").any(axis=0))
        assert columns.size == LOOK.px("strip.cursor")
        assert columns.mean() == pytest.approx((left + right) / 2, abs=1)
        changed = np.flatnonzero((frame != background).any(axis=(0, 2)))
        plot = changed[(changed >= strip.cell(0)[0]) & (changed < strip.cell(3)[1])]
        above_axis = (frame[:60] != background[:60]).any(axis=(0, 2))
        assert plot.max() < right
        assert above_axis[: columns.min() - LOOK.px("strip.halo")].sum() == 0


def test_how_far_the_video_is_stands_on_the_axis() -> None:
    strip, background = made([[0.5]] * 10, [1.0] * 10)
    done = []
    for number in range(10):
        frame = background.copy()
        strip.paint(frame, number)
        done.append(np.flatnonzero(on(frame, "accent").any(axis=0)))
    assert all(columns[0] == strip.cell(0)[0] for columns in done)
    assert [columns[-1] + 1 for columns in done] == [strip.cell(number)[1] for number in range(10)]


@pytest.mark.parametrize("n_frames", [1, 2, 53, 1500, 4096])
def test_every_frame_has_its_place(n_frames: int) -> None:
    strip, background = made([[0.5]] * n_frames, [1.0] * n_frames)
    cells = [strip.cell(number) for number in range(n_frames)]
    first, last = cells[0][0], cells[-1][1]
    assert all(first <= left < right <= last for left, right in cells)
    assert [left for left, _ in cells] == sorted(left for left, _ in cells)
    assert last - first == np.flatnonzero(on(background, "track").any(axis=0)).size
    for number in {0, n_frames // 2, n_frames - 1}:
        frame = background.copy()
        strip.paint(frame, number)
        columns = np.flatnonzero(on(frame, "token.current").any(axis=0))
        assert first <= columns.min()
        assert columns.max() < last


def test_heights_are_the_values() -> None:
    strip, frame = made([[0.2], [0.4], [NAN], [0.1]], [1.0, 2.0, NAN, 3.0])
    frame[:, :5] = GROUND
    height = LOOK.px("strip.row")
    area = on(frame, "series.1")[20 : 20 + height]
    for number, share in enumerate([0.2, 0.4, 0.0, 0.1]):
        left, right = strip.cell(number)
        assert set(area[:, left + 2 : right - 2].sum(axis=0)) == {round(share / 0.4 * height)}
    line = on(frame, "series.entropy")[20 + height + LOOK.px("strip.gap") : 20 + 2 * height + LOOK.px("strip.gap")]
    rows = [np.flatnonzero(line[:, sum(strip.cell(number)) // 2]) for number in range(4)]
    assert rows[2].size == 0
    assert rows[0].min() > rows[1].min() > rows[3].min() == 0


def test_without_images_there_is_entropy_only(tmp_path: Path) -> None:
    strip, frame = made([], [1.0, 2.0, 1.5])
    assert on(frame, "series.entropy").any()
    assert strip_height(LOOK, FACE, rows=1, lane=False) < strip_height(LOOK, FACE, rows=2, lane=False)
    painter = FramePainter(make_scores(tmp_path, Made(image_sizes=(), grids=())), RenderSettings())
    left, top, right, bottom = painter.plan.strip
    assert bottom - top == strip_height(LOOK, FACE, rows=1, lane=False)
    assert on(painter.frame(2)[top:bottom, left:right], "series.entropy").any()


def test_images_are_stacked_in_their_colours_with_their_numbers() -> None:
    strip, frame = made([[0.1, 0.2, 0.1]] * 5, [1.0] * 5)
    left, right = strip.cell(0)[0], strip.cell(4)[1]
    middle = (left + right) // 2
    order = [np.flatnonzero(on(frame, f"series.{image}")[:61, middle]).mean() for image in (1, 2, 3)]
    assert order == sorted(order, reverse=True)
    for image in (1, 2, 3):
        assert on(frame, f"series.{image}")[:, : left - 20].any()
    assert not on(frame, "series.4").any()


def test_where_there_is_no_room_the_numbers_of_images_are_left_out() -> None:
    _, narrow = made([[0.05] * 8] * 5, [1.0] * 5, width=500)
    assert not on(narrow, "series.8")[:, :150].any()


def test_a_ninth_image_takes_the_first_colour() -> None:
    assert series_color(LOOK, N_SERIES) == series_color(LOOK, 0)
    for image in range(N_SERIES):
        assert contrast(chip_ink(LOOK, series_color(LOOK, image)), series_color(LOOK, image)) >= 4.5


def test_segments_have_a_lane_with_their_names() -> None:
    stretches = (Stretch("think", 0, 6), Stretch("other", 6, 7), Stretch("answer", 7, 10))
    strip, frame = made([[0.3]] * 10, [1.0] * 10, stretches)
    assert has_lane(stretches)
    assert not has_lane((Stretch("other", 0, 10),))
    for stretch in stretches:
        columns = np.flatnonzero(on(frame, f"segment.{stretch.segment}").any(axis=0))
        assert columns.min() == pytest.approx(strip.cell(stretch.start)[0], abs=3)
        assert columns.max() + 1 == strip.cell(stretch.stop - 1)[1]
    lane = frame[-20 - FACE.height : -20]
    assert (lane == LOOK.color("ink")).all(axis=2).any()


def test_the_lane_names_every_segment_as_the_text_does() -> None:
    kinds: tuple[Segment, ...] = ("other", "think", "other", "answer")
    stretches = tuple(Stretch(kind, 5 * number, 5 * number + 5) for number, kind in enumerate(kinds))
    strip, frame = made([[0.3]] * 20, [1.0] * 20, stretches)
    seam = LOOK.px("strip.seam")
    for stretch, name in zip(stretches, ("response", "thinking", "response", "answer"), strict=True):
        left, right = strip.cell(stretch.start)[0], strip.cell(stretch.stop - 1)[1]
        left += seam if stretch.start else 0
        wanted = canvas(right - left, FACE.height, LOOK.color(f"segment.{stretch.segment}"))
        write(wanted, (left + right - FACE.width(name)) // 2 - left, 0, name, FACE, LOOK.color("ink"))
        assert np.array_equal(frame[-20 - FACE.height : -20, left:right], wanted)


def test_a_segment_too_short_for_its_name_has_none() -> None:
    stretches = (Stretch("think", 0, 999), Stretch("answer", 999, 1000))
    strip, frame = made([[0.3]] * 1000, [1.0] * 1000, stretches)
    left = strip.cell(999)[0]
    assert not on(frame, "ink")[-20 - FACE.height : -20, left - 40 :].any()


@pytest.mark.parametrize(("share", "words"), [(0.4, "40 %"), (0.025, "2.5 %"), (1.0, "100 %")])
def test_the_upper_edge_is_named(share: float, words: str) -> None:
    assert percent_tick(share) == words


def test_numbers_of_the_frame_stand_beside_the_curves() -> None:
    strip, background = made([[0.1], [0.2], [NAN]], [1.0, 2.0, NAN])
    right = strip.cell(2)[1] + 4
    shown = []
    for number in range(3):
        frame = background.copy()
        strip.paint(frame, number)
        shown.append(frame[:, right:])
    assert not np.array_equal(shown[0], shown[1])
    assert (shown[2] == GROUND).all()


def test_all_values_missing_is_an_empty_strip() -> None:
    strip, frame = made([[NAN]] * 3, [NAN] * 3)
    strip.paint(frame, 2)
    assert not on(frame, "series.1").any()


@pytest.mark.parametrize("n_tokens", [1, 600])
def test_from_one_token_to_thousands(tmp_path: Path, n_tokens: int) -> None:
    scores = long_scores(tmp_path, [" x"] * n_tokens)
    painter = FramePainter(scores, RenderSettings(width=640, height=360))
    box = painter.plan.strip
    first, last = (painter.frame(n)[box[1] : box[3], box[0] : box[2]] for n in (0, scores.n_frames - 1))
    assert np.array_equal(first, last) == (n_tokens == 1)


def test_it_can_be_left_out(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, RenderSettings(strip=False))
    left, top, right, bottom = painter.plan.progress
    assert bottom - top == LOOK.px("progress.height")
    done = [on(painter.frame(number)[top:bottom, left:right], "accent").sum(axis=1)[0] for number in range(6)]
    assert done == [(right - left) * (number + 1) // 6 for number in range(6)]


@pytest.mark.parametrize("convention", ["predicting", "reading"])
def test_a_frame_without_a_row_is_a_gap(tmp_path: Path, convention: str) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention=convention)))  # type: ignore[arg-type]
    painter = FramePainter(scores, RenderSettings())
    left, top, right, bottom = painter.plan.strip
    strip = painter._strip
    assert strip is not None
    x0, x1 = strip.cell(5)
    # Beside the cursor of frame 0 nothing covers the last cell.
    cell = painter.frame(0)[top:bottom, x0 + 2 : x1 - 2]
    assert on(cell, "series.1").any() == (convention == "predicting")


def test_segments_of_a_trace_are_on_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    segments: tuple[Segment, ...] = ("think", "think", "think", "think", "answer", "answer")
    tokens = list(scores.trace.tokens)
    for step, segment in enumerate(segments):
        tokens[scores.trace.n_prompt + step] = replace(tokens[scores.trace.n_prompt + step], segment=segment)
    marked = replace(scores, trace=replace(scores.trace, tokens=tuple(tokens)))
    one, other = FramePainter(scores, RenderSettings()), FramePainter(marked, RenderSettings())
    assert other.plan.strip[1] < one.plan.strip[1]
    left, top, right, bottom = other.plan.strip
    assert on(other.frame(0)[top:bottom, left:right], "segment.answer").any()
