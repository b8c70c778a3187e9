from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.core.trace import TraceData
from attnviz_video.models.segments import segments_of
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.render.text_raster import (
    BAR,
    CORNER,
    RIM_ANSWER,
    RIM_THINK,
    SHEET_KEYS,
    STROKE,
    box_keys,
    n_keys,
    rasterise,
)
from attnviz_video.testing.planted import planted_tokens
from attnviz_video.theme import theme
from tests.render.made import Made, make_trace

LOOK = theme("light", 1280, 720)
ANSWER = ["<think>", "\n", *(f" word{k % 7}" for k in range(60)), "</think>", "<answer>", "红色", "</answer>"]


def _trace(tmp_path: Path) -> TraceData:
    base = make_trace(tmp_path, Made(answer=(" x",)))
    tokens = planted_tokens(base.layout, ANSWER)
    segments = segments_of(ANSWER)
    answer = (replace(token, segment=part) for token, part in zip(tokens[base.n_prompt :], segments, strict=True))
    return replace(base, tokens=(*tokens[: base.n_prompt], *answer))


def _layout(tmp_path: Path, width: int = 301) -> TextLayout:
    return layout_text(_trace(tmp_path), width, 230, LOOK)


def _keys(layout: TextLayout, page: int, width: int) -> np.ndarray:
    """The number of the colour of every pixel of a page, put together piece by piece."""
    metrics, own = layout.metrics, n_keys(layout.metrics)
    first = layout.first_line(page)
    keys = np.zeros((layout.lines_per_page * metrics.pitch, width), dtype=int)
    keys[: layout.carried_lines(page) * metrics.pitch] = 1
    hatching = np.zeros((metrics.box_height, width), dtype=bool)
    period, stroke = LOOK.px("hatch.period"), LOOK.px("hatch.stroke")
    for row in range(metrics.box_height):
        for column in range(width):
            hatching[row, column] = (row + column) % period < stroke
    pieces = [piece for piece in layout.pieces if first <= piece.line < first + layout.lines_per_page]
    for number, piece in enumerate(pieces):
        top, start = (piece.line - first) * metrics.pitch + metrics.outline, SHEET_KEYS + number * own
        bottom, right = top + metrics.box_height, piece.x + piece.width
        keys[top:bottom, piece.x : right] = start + box_keys(piece, metrics.face, LOOK, hatching).astype(int)
        for row in range(metrics.bar):
            keys[bottom + row, piece.x + 1 : right - 1] = start + BAR + row
    return keys


@pytest.mark.parametrize("width", [301, 302, 303, 304])
@pytest.mark.parametrize("page", [0, 1])
def test_a_page_takes_the_colour_of_every_key(tmp_path: Path, width: int, page: int) -> None:
    layout = _layout(tmp_path, width)
    area = width - layout.map_room
    raster = rasterise(layout, page, area, LOOK)
    keys = _keys(layout, page, area)
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 2**24, SHEET_KEYS + raster.units.size * n_keys(layout.metrics), dtype=np.uint32)
    expected = np.stack([colors[keys] >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    frame = np.full((keys.shape[0] + 7, area + 9, 3), 9, dtype=np.uint8)
    raster.paint(frame[3:-4, 5:-4], colors)
    assert np.array_equal(frame[3:-4, 5:-4], expected)
    # Fewer rows are the same rows, and nothing beside the area is touched.
    frame[:] = 9
    raster.paint(frame[3:43, 5:-4], colors)
    assert np.array_equal(frame[3:43, 5:-4], expected[:40])
    frame[3:43, 5:-4] = 9
    assert (frame == 9).all()


def test_boxes_and_lines_are_those_of_the_layout(tmp_path: Path) -> None:
    layout = _layout(tmp_path)
    raster = rasterise(layout, 1, 301 - layout.map_room, LOOK)
    first = layout.first_line(1)
    pieces = [piece for piece in layout.pieces if first <= piece.line < first + layout.lines_per_page]
    assert raster.units.tolist() == [piece.unit for piece in pieces]
    assert raster.lines.tolist() == [piece.line - first for piece in pieces]
    assert raster.carried.tolist() == [piece.line - first < layout.carried for piece in pieces]
    assert (raster.boxes[:, 2] - raster.boxes[:, 0]).tolist() == [piece.width for piece in pieces]


def test_tags_have_a_rim_that_is_open_where_they_go_on(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path), 900, 600, LOOK)
    face, hatching = layout.metrics.face, np.zeros((layout.metrics.box_height, 900), dtype=bool)
    by_text = {piece.text: piece for piece in layout.pieces}
    think, answer = (box_keys(by_text[tag], face, LOOK, hatching) for tag in ("<think>", "<answer>"))
    middle = think.shape[0] // 2
    assert (think[0, 8:-8] == RIM_THINK).all()
    assert (answer[-1, 8:-8] == RIM_ANSWER).all()
    assert think[middle, 0] == think[middle, -1] == RIM_THINK
    assert think[0, 0] > CORNER
    tag = by_text["<think>"].tag
    assert tag is not None
    going_on = box_keys(replace(by_text["<think>"], tag=replace(tag, closes=False)), face, LOOK, hatching)
    assert going_on[middle, 0] == RIM_THINK
    assert going_on[middle, -1] != RIM_THINK
    assert (going_on[0, 8:-8] == RIM_THINK).all()


@pytest.mark.parametrize("size", [(854, 480), (1280, 720), (1920, 1080), (3840, 2160)])
@pytest.mark.parametrize("tag", ["<think>", "</think>", "<answer>"])
def test_the_rim_of_a_whole_tag_is_closed_around_the_corners(tmp_path: Path, size: tuple[int, int], tag: str) -> None:
    """Nobody gets from outside to the letters without crossing it, not even from corner to corner of two pixels."""
    look = theme("light", *size)
    layout = layout_text(_trace(tmp_path), size[0], size[1], look)
    piece = next(piece for piece in layout.pieces if piece.text == tag)
    hatching = np.zeros((layout.metrics.box_height, size[0]), dtype=bool)
    keys = box_keys(piece, layout.metrics.face, look, hatching)
    rim = np.pad((keys == RIM_THINK) | (keys == RIM_ANSWER), 1)
    outside = np.zeros_like(rim)
    outside[0, 0] = True
    for _ in range(sum(rim.shape)):
        padded = np.pad(outside, 1)
        reached = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        outside |= reached & ~rim
    inside = ~outside[1:-1, 1:-1]
    assert inside[keys.shape[0] // 2, keys.shape[1] // 2]
    assert (keys[~inside] == STROKE - 1).all(), "outside is the sheet alone"
    without = (keys[inside] >= CORNER) & (keys[inside] < STROKE)
    assert not without.any(), "inside no corner is cut off"


def test_a_part_of_a_tag_is_straight_where_it_goes_on(tmp_path: Path) -> None:
    layout = layout_text(_trace(tmp_path), 900, 600, LOOK)
    piece = next(piece for piece in layout.pieces if piece.text == "</think>")
    hatching = np.zeros((layout.metrics.box_height, 900), dtype=bool)
    assert piece.tag is not None
    tag = replace(piece.tag, opens=False, closes=False)
    keys = box_keys(replace(piece, tag=tag), layout.metrics.face, LOOK, hatching)
    rim = LOOK.px("tag.rim")
    assert (keys[:rim] == RIM_THINK).all()
    assert (keys[-rim:] == RIM_THINK).all()
    assert (keys[rim:-rim] < CORNER).all()


def test_strokes_lie_on_bare_ground_only(tmp_path: Path) -> None:
    layout = _layout(tmp_path)
    piece = next(piece for piece in layout.pieces if piece.text == "word1")
    everywhere = np.ones((layout.metrics.box_height, 301), dtype=bool)
    without = box_keys(piece, layout.metrics.face, LOOK, ~everywhere)
    keys = box_keys(piece, layout.metrics.face, LOOK, everywhere)
    assert np.array_equal(keys == STROKE, without == 0)
    assert np.array_equal(keys[keys != STROKE], without[keys != STROKE])
