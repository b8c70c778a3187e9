from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.colormaps import colormap
from attnviz_video.render.mini_map import MiniMap
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.theme import theme
from tests.render.test_text_layout import _reasoned

LOOK = theme("light", 1280, 720)
BOX = (10, 20, 40, 320)
RAMP = colormap("red_green")
GROUND = np.array(LOOK.color("panel.carried"))
BARS = BOX[0] + LOOK.px("map.segment") + LOOK.px("map.window")


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> TextLayout:
    answer = ["<think>", *[" word"] * 700, "</think>", "<answer>", *[" word"] * 300, "</answer>"]
    return layout_text(_reasoned(tmp_path_factory.mktemp("map"), answer), 500, 300, LOOK)


def _paint(layout: TextLayout, weights: np.ndarray, levels: np.ndarray | None = None, page: int = 0) -> np.ndarray:
    frame = np.zeros((400, 60, 3), dtype=np.uint8)
    levels = np.clip(weights, 0, 1) if levels is None else levels
    MiniMap(layout, BOX, RAMP, LOOK).paint(frame, weights.astype(np.float32), levels.astype(np.float32), page)
    return frame


def _row(layout: TextLayout, unit: int) -> int:
    """A pixel row of the map that shows the line of `unit`, and not the edge of its stretch."""
    height = BOX[3] - BOX[1]
    rows = min(layout.n_lines, height // LOOK.px("map.least_row"))
    stretch = int(layout.last_lines[unit]) * rows // layout.n_lines
    return BOX[1] + height * stretch // rows


def _length(frame: np.ndarray, row: int) -> int:
    return int((frame[row, BARS : BOX[2] - 2] != GROUND).any(axis=1).sum())


def test_weight_on_a_page_that_is_not_in_view_is_seen(layout: TextLayout) -> None:
    n_units = len(layout.units)
    weights = np.full(n_units, 1e-4)
    weights[40] = 0.9
    frame = _paint(layout, weights, page=layout.n_pages - 1)
    assert _length(frame, _row(layout, 40)) == BOX[2] - 2 - BARS
    assert (frame[_row(layout, 40), BARS] == RAMP[round(0.9 * 255)]).all()
    assert _length(frame, _row(layout, 600)) <= 3


def test_bars_grow_with_the_root_of_the_share_in_every_frame_alike(layout: TextLayout) -> None:
    lengths = []
    for share in (0.01, 0.04, 0.16):
        weights = np.zeros(len(layout.units))
        weights[[100, 500]] = share, 1 - share
        lengths.append(_length(_paint(layout, weights, page=layout.n_pages - 1), _row(layout, 100)))
    width = BOX[2] - BARS
    assert lengths == pytest.approx([width * 0.2, width * 0.4, width * 0.8], abs=1)


def test_only_what_is_written_has_bars_and_segments(layout: TextLayout) -> None:
    frame = _paint(layout, np.full(300, 0.1))
    below = slice(_row(layout, 320), BOX[3])
    assert (frame[below, BOX[0] + 3 : BOX[2] - 2] == GROUND).all()
    assert (frame[_row(layout, 290), BOX[0] + 1] == LOOK.color("gutter.think")).all()


def test_segments_are_told_apart(layout: TextLayout) -> None:
    frame = _paint(layout, np.full(len(layout.units), 0.001), page=0)
    assert (frame[_row(layout, 500), BOX[0] + 1] == LOOK.color("gutter.think")).all()
    assert (frame[_row(layout, 900), BOX[0] + 1] == LOOK.color("gutter.answer")).all()


@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_the_page_in_view_is_framed(layout: TextLayout, where: float) -> None:
    page = round((layout.n_pages - 1) * where)
    frame = _paint(layout, np.zeros(len(layout.units)), page=page)
    ink = (frame[:, BOX[2]] == LOOK.color("ink")).all(axis=1)
    rows = np.flatnonzero(ink)
    height = BOX[3] - BOX[1]
    first, stop = layout.first_line(page), min(layout.n_lines, layout.first_line(page) + layout.lines_per_page)
    tolerance = LOOK.px("map.least_row") + LOOK.px("map.window")
    assert abs(rows[0] - (BOX[1] + height * first / layout.n_lines)) <= tolerance
    assert abs(rows[-1] + 1 - (BOX[1] + height * stop / layout.n_lines)) <= tolerance
    assert BOX[1] <= rows[0]
    assert rows[-1] < BOX[3]


def test_what_is_no_weight_has_no_bar(layout: TextLayout) -> None:
    nothing = np.full(len(layout.units), np.nan)
    frame = _paint(layout, nothing, nothing, page=layout.n_pages - 1)
    assert _length(frame, _row(layout, 100)) == 0
