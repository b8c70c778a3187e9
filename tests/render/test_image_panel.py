from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.scores import Sink
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.grid_lines import line_positions
from attnviz_video.render.image_caption import share_words
from attnviz_video.render.image_panel import LEAST_PEAK, peak_patch, ring_width
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback import levels_from_pixels, peak_from_pixels
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores, one_hot_patch, uneven_row

SETTINGS = RenderSettings(width=1280, height=720)
LOOK = theme("light", 1280, 720)


@pytest.mark.parametrize(("convention", "shift"), [("predicting", 0), ("reading", 1)])
def test_t01_the_frame_of_a_token_shows_the_row_of_its_convention(tmp_path: Path, convention: str, shift: int) -> None:
    """Step t's row (of query position n_prompt - 1 + t) is one-hot on patch t: the row that produced token t."""
    scores = make_scores(tmp_path, Made(row=one_hot_patch, analysis=AnalysisSettings(convention=convention)))  # type: ignore[arg-type]
    painter = FramePainter(scores, SETTINGS)
    for number in range(scores.n_frames - shift):
        assert peak_from_pixels(painter, painter.frame(number), 0) == number + shift
    if convention == "reading":
        assert peak_from_pixels(painter, painter.frame(scores.n_frames - 1), 0) == -1


@pytest.mark.parametrize("alpha", ["weight", "flat"])
@pytest.mark.parametrize("colormap", ["red_green", "cividis", "viridis", "magma", "greys", "reds"])
def test_levels_are_in_the_pixels(tmp_path: Path, alpha: str, colormap: str) -> None:
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, replace(SETTINGS, heat_alpha=alpha, colormap=colormap))  # type: ignore[arg-type]
    wanted = level(scores.frame(3).images[0], scores.scale(3), "image")
    assert np.abs(levels_from_pixels(painter, painter.frame(3), 0) - wanted).max() <= 0.03


def test_t05_the_peak_is_painted_on_the_marked_corner(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, 0.001, dtype=np.float32)
        weights[layout.patch_positions(0)[5]] = 1.0
        return weights

    scores = make_scores(tmp_path, Made(row=row, image_sizes=((600, 200),), grids=((2, 6),)))
    painter = FramePainter(scores, SETTINGS)
    left, top, right, bottom = painter.images.views[0].box
    shown, clean = painter.frame(2)[top:bottom, left:right].astype(int), painter.images.views[0].pixels
    changed = np.abs(shown - clean).sum(axis=2)
    means = [[part.mean() for part in np.array_split(band, 6, axis=1)] for band in np.array_split(changed, 2)]
    assert np.unravel_index(int(np.argmax(means)), (2, 6)) == (0, 5)


def test_t06_shares_of_a_thousandth_and_of_six_tenths_look_different(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.zeros(layout.n_prompt + step, dtype=np.float32)
        share = 0.001 if step < 3 else 0.6
        patches = layout.patch_positions(0)
        weights[patches] = np.arange(1, patches.size + 1)
        weights *= share / weights.sum()
        weights[1] = 1.0 - share
        return weights

    made = Made(row=row)
    shared = FramePainter(make_scores(tmp_path, made), SETTINGS)
    low, high = (levels_from_pixels(shared, shared.frame(number), 0) for number in (2, 3))
    assert low.max() < 0.02
    assert high.max() > 0.9
    per_frame = replace(made, analysis=AnalysisSettings(scale="per_frame"))
    own = FramePainter(make_scores(tmp_path, per_frame), SETTINGS)
    low, high = (levels_from_pixels(own, own.frame(number), 0) for number in (2, 3))
    assert np.abs(low - high).max() < 0.02


def test_t07_a_sink_in_the_text_does_not_dim_the_images(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = uneven_row(step, layout) * 0.02
        weights[0] = 0.98
        return weights

    painter = FramePainter(make_scores(tmp_path, Made(row=row)), SETTINGS)
    assert levels_from_pixels(painter, painter.frame(3), 0).max() > 0.75


def test_t09_each_of_several_images_has_its_own_peak(tmp_path: Path) -> None:
    sizes, grids = ((320, 200), (90, 300), (50, 50), (400, 100)), ((4, 6), (6, 2), (3, 3), (2, 8))
    scores = make_scores(tmp_path, Made(image_sizes=sizes, grids=grids))
    painter = FramePainter(scores, SETTINGS)
    for number in range(scores.n_frames):
        frame = painter.frame(number)
        for image, patches in enumerate(scores.frame(number).images):
            assert peak_from_pixels(painter, frame, image) == int(patches.argmax())


@pytest.mark.parametrize("count", [0, 1, 8])
def test_zero_to_eight_images(tmp_path: Path, count: int) -> None:
    made = Made(image_sizes=((100, 80),) * count, grids=((2, 3),) * count)
    painter = FramePainter(make_scores(tmp_path, made), SETTINGS)
    assert len(painter.images.views) == count
    assert painter.frame(2).shape == (720, 1280, 3)
    text_right = painter.plan.text[2]
    assert text_right == 1280 - LOOK.px("frame.margin") if count == 0 else text_right < 700


def test_f13_extreme_images_are_painted(tmp_path: Path) -> None:
    made = Made(image_sizes=((1, 1), (10000, 10), (1, 3000)), grids=((2, 2), (1, 60), (40, 1)))
    scores = make_scores(tmp_path, made)
    painter = FramePainter(scores, SETTINGS)
    frame = painter.frame(2)
    for image in range(3):
        assert peak_from_pixels(painter, frame, image) == int(scores.frame(2).images[image].argmax())


def test_patches_without_a_value_are_hatched_and_not_coloured(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = uneven_row(step, layout)
        weights[layout.patch_positions(0)[7]] = np.nan
        return weights

    painter = FramePainter(make_scores(tmp_path, Made(row=row)), SETTINGS)
    left, top, right, bottom = painter.patch_cells(0)[7].tolist()
    shown = painter.frame(2)[top + 3 : bottom - 3, left + 3 : right - 3].reshape(-1, 3)
    strokes = (shown == LOOK.color("nan.stroke")).all(axis=1)
    assert 0.1 < strokes.mean() < 0.5
    x, y = painter.images.views[0].box[:2]
    clean = painter.images.views[0].pixels[top + 3 - y : bottom - 3 - y, left + 3 - x : right - 3 - x].reshape(-1, 3)
    assert (shown[~strokes] == clean[~strokes]).all()


def test_constant_zero_rows_have_a_defined_colour_and_no_peak(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        return np.zeros(layout.n_prompt + step, dtype=np.float32)

    painter = FramePainter(make_scores(tmp_path, Made(row=row)), SETTINGS)
    frame = painter.frame(2)
    assert levels_from_pixels(painter, frame, 0).max() == 0
    assert peak_from_pixels(painter, frame, 0) == -1


def test_t08_sink_patches_are_marked(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    marked = FramePainter(replace(scores, sinks=(Sink(5, 0.5, 0, 3),)), SETTINGS)
    left, top, right, bottom = marked.patch_cells(0)[3].tolist()
    assert tuple(marked.frame(1)[(top + bottom) // 2, (left + right) // 2]) == LOOK.color("sink.fill")


def test_grid_lines_can_be_switched_off(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    with_lines, without = FramePainter(scores, SETTINGS), FramePainter(scores, replace(SETTINGS, grid_lines=False))
    left, top, right, bottom = with_lines.images.views[0].box
    changed = (with_lines.frame(1) != without.frame(1)).any(axis=2)[top:bottom, left:right]
    columns = np.flatnonzero(changed.mean(axis=0) > 0.6)
    edges = with_lines.images.views[0].grids[0].x_edges[1:-1]
    assert columns.tolist() == edges.tolist()


def test_lines_are_left_out_where_cells_are_tiny() -> None:
    assert line_positions(np.array([0, 3, 6, 9]), 1).size == 0
    assert line_positions(np.array([0, 30, 60]), 1).tolist() == [30]
    assert line_positions(np.array([0, 30]), 1).size == 0


def test_peak_and_rim() -> None:
    assert peak_patch(np.array([0.1, np.nan, 0.5, 0.5], dtype=np.float32)) == 2
    assert peak_patch(np.zeros(4, dtype=np.float32)) == -1
    assert peak_patch(np.full(4, np.nan, dtype=np.float32)) == -1
    assert peak_patch(np.zeros(0, dtype=np.float32)) == -1
    assert ring_width(100, 100, 3) == 3
    assert ring_width(4, 100, 3) == 1


@pytest.mark.parametrize(("share", "is_outlined"), [(LEAST_PEAK * 0.9, False), (LEAST_PEAK * 1.1, True)])
def test_a_negligible_peak_is_not_outlined(tmp_path: Path, share: float, is_outlined: bool) -> None:
    """Step 0 sets the scale; on all others the heaviest patch has `share` of it."""

    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, 1e-4, dtype=np.float32)
        weights[layout.patch_positions(0)] = 0.5 if step == 0 else 1e-4
        weights[layout.patch_positions(0)[7]] = 0.5 if step == 0 else 0.5 * share
        return weights

    painter = FramePainter(make_scores(tmp_path, Made(row=row)), SETTINGS)
    left, top, right, bottom = painter.patch_cells(0)[7].tolist()
    frame = painter.frame(2)
    rim = [frame[top, left:right], frame[bottom - 1, left:right], frame[top:bottom, left], frame[top:bottom, right - 1]]
    assert all((part == LOOK.color("peak.inner")).all() for part in rim) is is_outlined
    assert peak_from_pixels(painter, frame, 0) == (7 if is_outlined else -1)


def test_share_in_words() -> None:
    assert share_words(0.432, "row") == "43.2 % of the row"
    assert share_words(0.432, "mean row") == "43.2 % of the mean row"
    assert share_words(0.432) == "43.2 %"
    assert share_words(float("nan"), "row") == "no row"


def test_the_share_bar_is_as_long_as_the_share(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, SETTINGS)
    left, _, right, bottom = painter.images.views[0].box
    row = painter.frame(3)[bottom + LOOK.px("frame.row_gap") + 1, left:right]
    filled = (row == LOOK.color("ink.soft")).all(axis=1).mean()
    assert filled == pytest.approx(float(scores.image_share(3)[0]), abs=0.01)
