from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.analysis.scale import level
from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import PatchGrid
from attnviz_video.errors import UsageError
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.grid_lines import CELL, PATCH_LINE, TILE_LINE, LineStyle, line_kinds, stretches
from attnviz_video.render.heat import OPAQUE, image_heat
from attnviz_video.render.image_heat import CellOverlay
from attnviz_video.render.image_view import ImageView, view_grid
from attnviz_video.render.pictures import Picture
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.smooth_heat import SmoothOverlay, knots
from attnviz_video.testing.readback import levels_from_pixels, peak_from_pixels
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

SETTINGS = RenderSettings(width=1280, height=720)
HEAT = image_heat("red_green", "weight")
LEFT, TOP = 3, 5


def view_of(width: int, height: int, rows: int, columns: int, seed: int = 0) -> ImageView:
    grid = PatchGrid(0, rows, columns, (0.0, 0.0, float(width), float(height)))
    crop = (0, 0, width, height)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    shown = view_grid(grid, crop, width, height)
    cells = np.zeros((rows * columns, 4), dtype=np.int64)
    box = (LEFT, TOP, LEFT + width, TOP + height)
    return ImageView(Picture(0, (grid,), crop), box, pixels, (shown,), cells)


_sides = st.integers(1, 90)
_cells = st.integers(1, 9)


@settings(max_examples=40)
@given(_sides, _sides, _cells, _cells, st.integers(0, 99))
def test_cells_are_painted_as_the_table_says(width: int, height: int, rows: int, columns: int, seed: int) -> None:
    view = view_of(width, height, rows, columns, seed)
    levels = np.random.default_rng(seed).random(rows * columns).astype(np.float32)
    levels[np.random.default_rng(seed + 1).random(rows * columns) < 0.1] = np.nan
    frame = np.full((height + 9, width + 9, 3), 7, dtype=np.uint8)
    CellOverlay(view, view.grids[0], HEAT, None).paint(frame, levels)
    wanted = np.full(frame.shape, 7, dtype=np.float64)
    wanted[TOP : TOP + height, LEFT : LEFT + width] = view.pixels
    grid, steps = view.grids[0], level_steps(levels)
    for patch in np.flatnonzero(~np.isnan(levels)):
        row, column = divmod(int(patch), columns)
        y = slice(TOP + grid.y_edges[row], TOP + grid.y_edges[row + 1])
        x = slice(LEFT + grid.x_edges[column], LEFT + grid.x_edges[column + 1])
        wanted[y, x] = HEAT.over(wanted[y, x], int(steps[patch]))
    assert (frame == np.floor(wanted + 0.5)).all()


def test_a_frame_does_not_depend_on_those_before(tmp_path: Path) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), SETTINGS)
    last = painter.frame(5)
    for number in (3, 0, 4):
        painter.frame(number)
    assert (painter.frame(5) == last).all()


@settings(max_examples=60)
@given(_sides, _sides, _cells, _cells, st.integers(0, 999), st.floats(0, 0.4))
def test_smoothing_never_moves_the_peak(
    width: int, height: int, rows: int, columns: int, seed: int, missing: float
) -> None:
    view = view_of(width, height, rows, columns)
    random = np.random.default_rng(seed)
    levels = random.random((rows, columns)) ** 3
    levels[random.random((rows, columns)) < missing] = np.nan
    grid = view.grids[0]
    is_shown = np.outer(np.diff(grid.y_edges) > 0, np.diff(grid.x_edges) > 0)
    valid = np.where(is_shown & ~np.isnan(levels), levels, -1.0)
    if valid.max() <= 0:
        return
    row, column = np.unravel_index(int(valid.argmax()), valid.shape)
    steps = SmoothOverlay(view, grid, HEAT).steps(levels)
    coloured = np.where(steps == 256, -1, steps)
    own = coloured[grid.y_edges[row] : grid.y_edges[row + 1], grid.x_edges[column] : grid.x_edges[column + 1]]
    assert own.max() == coloured.max() == level_steps(np.array([levels[row, column]]))[0]


def test_smooth_levels_are_the_cells_own_in_their_middles() -> None:
    view = view_of(90, 30, 3, 9)
    levels = np.random.default_rng(3).random((3, 9))
    steps = SmoothOverlay(view, view.grids[0], HEAT).steps(levels)
    assert (steps[4::10, 4::10] == level_steps(levels)).all()
    between = steps[4, 4:15]
    assert (np.diff(between) >= 0).all() or (np.diff(between) <= 0).all()


def test_the_middle_of_a_cell_is_a_whole_pixel() -> None:
    before, after, weight = knots(np.array([0, 3, 3, 7]))
    assert before.tolist() == [0, 0, 0, 0, 2, 2, 2]
    assert after.tolist() == [2, 2, 2, 2, 2, 2, 2]
    assert weight.tolist() == [0, 0, 85, 170, 0, 0, 0]


def test_smooth_pictures_have_no_lines_and_the_same_peak(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    smooth = FramePainter(scores, replace(SETTINGS, smooth=True))
    exact = FramePainter(scores, SETTINGS)
    plain = FramePainter(scores, replace(SETTINGS, smooth=True, grid_lines=False))
    for number in (1, 4):
        assert (smooth.frame(number) == plain.frame(number)).all()
        left, top, right, bottom = smooth.images.views[0].box
        inside = slice(top, bottom), slice(left, right)
        assert (smooth.frame(number)[inside] != exact.frame(number)[inside]).any()
        peak = peak_from_pixels(exact, exact.frame(number), 0)
        assert peak_from_pixels(smooth, smooth.frame(number), 0) == peak


def test_smooth_patches_without_a_value_stay_bare() -> None:
    view = view_of(40, 20, 1, 2)
    frame = np.zeros((40, 60, 3), dtype=np.uint8)
    SmoothOverlay(view, view.grids[0], HEAT).paint(frame, np.array([np.nan, 0.5]))
    assert (frame[TOP : TOP + 20, LEFT : LEFT + 20] == view.pixels[:, :20]).all()
    step = int(level_steps(np.array([0.5]))[0])
    over = np.floor(HEAT.over(view.pixels[:, 20:].astype(np.float64), step) + 0.5)
    assert (frame[TOP : TOP + 20, LEFT + 20 : LEFT + 40] == over).all()


@pytest.mark.parametrize(("mode", "alpha"), [("weight", 0.9), ("weight", 0.3), ("flat", 1.0)])
def test_alpha_is_the_opacity_at_the_top(tmp_path: Path, mode: str, alpha: float) -> None:
    heat, usual = image_heat("viridis", mode, alpha), image_heat("viridis", mode)  # type: ignore[arg-type]
    assert heat.alpha[255] / OPAQUE == pytest.approx(alpha, abs=0.003)
    assert heat.alpha[0] / heat.alpha[255] == pytest.approx(usual.alpha[0] / usual.alpha[255], abs=0.02)
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, replace(SETTINGS, alpha=alpha, heat_alpha=mode))  # type: ignore[arg-type]
    wanted = level(scores.frame(3).images[0], scores.scale(3), "image")
    assert np.abs(levels_from_pixels(painter, painter.frame(3), 0) - wanted).max() <= 0.03


@pytest.mark.parametrize("value", ["0", "-1", "1.5"])
def test_alpha_out_of_range_is_refused(value: str) -> None:
    from attnviz_video.config import RenderConfig
    from attnviz_video.config.compose import replace_settings

    with pytest.raises(UsageError, match="alpha: expected a number above 0 up to 1, got"):
        replace_settings(RenderConfig(), {"alpha": float(value)})


STYLE = LineStyle(patch=1, tile=3, tone=0)


def test_lines_stand_between_cells_and_stronger_ones_at_the_border_of_a_grid_within_the_picture() -> None:
    kinds = line_kinds(np.array([20, 40, 60]), 100, STYLE)
    assert kinds.size == 40
    assert np.flatnonzero(kinds == PATCH_LINE).tolist() == [20]
    # Half of a border on this side: the other half is the neighbour's.
    assert np.flatnonzero(kinds == TILE_LINE).tolist() == [0, 1, 39]
    assert (line_kinds(np.array([0, 50, 100]), 100, STYLE) != TILE_LINE).all()
    assert (line_kinds(np.array([0, 50, 100]), 100, None) == CELL).all()


def test_bands_cover_every_row_once() -> None:
    edges = np.array([5, 25, 25, 90])
    kinds = line_kinds(edges, 200, STYLE)
    runs = stretches(kinds, edges, 16)
    assert runs[0][0] == 0
    assert runs[-1][1] == 85
    for (first, stop, kind), after in zip(runs, [*runs[1:], None], strict=True):
        assert 0 < stop - first <= 16
        assert set(kinds[first:stop]) == {kind}
        assert after is None or after[0] == stop


@pytest.mark.parametrize(("size", "width"), [((1280, 720), 1), ((1920, 1080), 1), ((3840, 2160), 2)])
def test_lines_are_thin_at_every_size(size: tuple[int, int], width: int) -> None:
    assert theme("light", *size).px("grid.line") == width
    assert theme("light", *size).px("tile.line") > width
