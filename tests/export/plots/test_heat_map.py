"""Cells and their names: nothing left out, nothing on anything else, and what is thinned is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.plots.heat_map import (
    HeatMap,
    Name,
    cell_edges,
    column_widths,
    draw_heat_map,
    ordinal,
    paint,
    written,
)
from attnviz_video.export.plots.look import plain_look
from attnviz_video.theme import theme

LOOK = plain_look(theme("light"), None)


def sheet(dpi: int = 100) -> Sheet:
    return Sheet(504.0, (255, 255, 255), FigureFonts(), dpi)


@given(st.lists(st.booleans(), min_size=1, max_size=400), st.floats(60, 500))
def test_columns_never_take_more_than_their_room_and_images_can_be_seen(wide: list[bool], room: float) -> None:
    widths = column_widths(wide, room)
    assert sum(widths) <= room + 1e-6
    assert min(widths) > 0
    if sum(wide) * 8 < room / 2:
        assert all(width >= min(8, room / len(wide)) - 1e-9 for width, own in zip(widths, wide, strict=True) if own)


@given(st.lists(st.floats(0.3, 30), min_size=1, max_size=200))
def test_edges_lie_on_pixels_and_end_where_the_cells_do(sizes: list[float]) -> None:
    edges = cell_edges(sheet(), sizes)
    assert edges[0] == 0
    assert (np.diff(edges) >= 0).all()
    assert abs(edges[-1] * 0.72 - sum(sizes)) <= 0.36 + 1e-6


@given(st.integers(1, 400), st.floats(0.2, 20), st.sets(st.integers(0, 399), max_size=4))
def test_no_name_stands_on_another_and_every_kth_is_there(count: int, cell: float, always: set[int]) -> None:
    places = [(number + 0.5) * cell for number in range(count)]
    flags = [number in always for number in range(count)]
    chosen, every = written(flags, places, 6.5)
    assert all(places[later] - places[earlier] >= 6.1 for earlier, later in zip(chosen, chosen[1:], strict=False))
    forced = [number for number in chosen if flags[number]]
    assert bool(forced) == any(flags)
    near = 6.5 / cell
    for number in range(0, count, every):
        assert number in chosen or any(abs(number - other) < near for other in forced)


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 22, 103)] == [
        "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "103rd",
    ]  # fmt: skip


def test_cells_have_their_colour_no_value_is_grey_and_the_unseen_is_paper() -> None:
    levels = np.array([[0.0, 1.0], [np.nan, 0.5]], dtype=np.float32)
    present = np.array([[True, True], [True, False]])
    pixels, notes = paint(HeatMap(levels, present, (), ()), LOOK, np.array([0, 3, 5]), np.array([0, 2, 4]))
    assert pixels.shape == (4, 5, 3)
    assert notes == ()
    assert (pixels[:2, :3] == LOOK.table[0]).all()
    assert (pixels[:2, 3:] == LOOK.table[255]).all()
    assert (pixels[2:, :3] == LOOK.color("nan.ground")).all()
    assert (pixels[2:, 3:] == 255).all()


def test_more_cells_than_pixels_show_the_largest_of_several_and_say_so() -> None:
    levels = np.zeros((2, 1000), dtype=np.float32)
    levels[0, 777] = 1.0
    heat = HeatMap(levels, np.ones((2, 1000), dtype=bool), (), ())
    edges = np.floor(np.arange(1001) * 0.25 + 0.5).astype(np.int64)
    pixels, notes = paint(heat, LOOK, edges, np.array([0, 1, 2]))
    assert notes == ("each cell shows the largest of 4 columns",)
    assert pixels.shape == (2, 250, 3)
    assert np.flatnonzero((pixels[0] == LOOK.table[255]).all(axis=1)).tolist() == [777 // 4]
    tall, notes = paint(HeatMap(levels.T, heat.present.T, (), ()), LOOK, np.array([0, 1, 2]), edges)
    assert notes == ("each cell shows the largest of 4 rows",)
    np.testing.assert_array_equal(tall, pixels.transpose(1, 0, 2))


@pytest.mark.parametrize(("count", "numbered"), [(3, True), (60, False)])
def test_numbers_stand_in_the_cells_only_where_all_have_room(count: int, numbered: bool) -> None:
    names = tuple(Name(str(number)) for number in range(count))
    numbers = tuple(tuple("0.25" for _ in names) for _ in names)
    levels = np.full((count, count), 0.5, dtype=np.float32)
    heat = HeatMap(levels, np.ones((count, count), dtype=bool), names, names, numbers=numbers)
    placed = draw_heat_map(sheet(), LOOK, heat, (3.0, 3.0), 498.0, 480.0)
    assert placed.numbered == numbered
    left, top, right, bottom = placed.box
    assert 3 <= left < right <= 501.5
    assert bottom - top <= 481
