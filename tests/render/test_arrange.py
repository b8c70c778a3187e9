from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.arrange import Spacing, arrange, breaks, fit_inside, picture_size, split

SPACING = Spacing(gap=10, caption=20, caption_width=60, border=2)


@given(st.integers(0, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=9), st.integers(0, 50))
def test_parts_sum_exactly(total: int, weights: list[int], gap: int) -> None:
    parts = split(total, weights, gap)
    assert parts[0][0] == 0
    assert parts[-1][1] == total
    gaps = {after[0] - before[1] for before, after in pairwise(parts)}
    assert len(gaps) <= 1
    assert all(stop >= start for start, stop in parts)


@given(st.integers(10, 5000), st.integers(1, 9))
def test_equal_weights_give_equal_parts(total: int, count: int) -> None:
    sizes = [stop - start for start, stop in split(total, [1] * count)]
    assert max(sizes) - min(sizes) <= 1


_sizes = st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=8)
_room = st.tuples(st.integers(400, 1800), st.integers(400, 1800))


def is_apart(one: PixelBox, other: PixelBox) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@settings(max_examples=20)
@given(_sizes, _room)
def test_cells_are_in_the_box_and_apart(sizes: list[tuple[int, int]], room: tuple[int, int]) -> None:
    box = (50, 60, 50 + room[0], 60 + room[1])
    cells = arrange(sizes, box, SPACING)
    assert len(cells) == len(sizes)
    assert cells == arrange(sizes, box, SPACING)
    for number, cell in enumerate(cells):
        assert 50 <= cell[0] < cell[2] <= box[2]
        assert 60 <= cell[1] < cell[3] <= box[3]
        assert all(is_apart(cell, other) for other in cells[number + 1 :])


@settings(max_examples=20)
@given(_sizes, _room)
def test_pictures_come_row_by_row_or_column_by_column(sizes: list[tuple[int, int]], room: tuple[int, int]) -> None:
    cells = arrange(sizes, (0, 0, *room), SPACING)
    by_rows = sorted(cells, key=lambda cell: (cell[1], cell[0]))
    by_columns = sorted(cells, key=lambda cell: (cell[0], cell[1]))
    assert cells in (by_rows, by_columns)


@settings(max_examples=20)
@given(_sizes, _room)
def test_a_cell_is_as_large_as_its_picture_and_caption(sizes: list[tuple[int, int]], room: tuple[int, int]) -> None:
    """No cell takes room that its picture, at its own aspect, does not use; the caption's width is the exception."""
    for size, cell in zip(sizes, arrange(sizes, (0, 0, *room), SPACING), strict=True):
        width, height = picture_size(size, cell, SPACING)
        assert width >= 1
        assert height >= 1
        rim = 2 * SPACING.border
        slack = max(1, math.ceil(max(size) / min(size) / 2))
        fills_width = cell[2] - cell[0] - rim - width <= slack or cell[2] - cell[0] <= SPACING.caption_width
        fills_height = cell[3] - cell[1] - rim - SPACING.caption - height <= slack
        assert fills_width or fills_height


@settings(max_examples=20)
@given(_sizes, _room)
def test_no_other_way_of_breaking_into_equal_rows_shows_more(
    sizes: list[tuple[int, int]], room: tuple[int, int]
) -> None:
    """Against the plain way: rows of equal height, cells of equal width."""

    def product(cells: list[PixelBox]) -> int:
        return math.prod(math.prod(picture_size(size, cell, SPACING)) for size, cell in zip(sizes, cells, strict=True))

    found = product(arrange(sizes, (0, 0, *room), SPACING))
    for rows in range(1, len(sizes) + 1):
        counts = [len(sizes) // rows + (row < len(sizes) % rows) for row in range(rows)]
        plain = [
            (x0, y0, x1, y1)
            for count, (y0, y1) in zip(counts, split(room[1], [1] * rows, SPACING.gap), strict=True)
            for x0, x1 in split(room[0], [1] * count, SPACING.gap)
        ]
        # Rows of unequal lengths ask for heights in proportion, and narrow pictures keep room for their captions.
        if len(set(counts)) == 1 and all(x1 - x0 >= SPACING.caption_width for x0, _, x1, _ in plain):
            assert found >= product(plain) * 0.97 ** len(sizes)


def shown(sizes: list[tuple[int, int]], width: int, height: int) -> list[tuple[int, int]]:
    return [
        picture_size(size, cell, Spacing())
        for size, cell in zip(sizes, arrange(sizes, (0, 0, width, height), Spacing()), strict=True)
    ]


def test_the_arrangement_shows_the_most_picture() -> None:
    assert arrange([], (0, 0, 100, 100), Spacing(4, 10)) == []
    assert arrange([(400, 100)] * 2, (0, 0, 400, 400), Spacing()) == [(0, 100, 400, 200), (0, 200, 400, 300)]
    assert arrange([(100, 400)] * 2, (0, 0, 400, 400), Spacing()) == [(100, 0, 200, 400), (200, 0, 300, 400)]
    assert shown([(100, 100)] * 3, 400, 400) == [(200, 200)] * 3
    assert shown([(100, 100)] * 8, 400, 200) == [(100, 100)] * 8
    # A tall picture beside two wide ones.
    assert arrange([(100, 200), (200, 100), (200, 100)], (0, 0, 300, 200), Spacing()) == [
        (0, 0, 100, 200), (100, 0, 300, 100), (100, 100, 300, 200),
    ]  # fmt: skip


def test_a_sliver_does_not_starve_its_neighbours() -> None:
    square, sliver = shown([(100, 100), (2000, 100)], 400, 400)
    assert sliver == (400, 20)
    assert square == (380, 380)


def test_narrow_pictures_keep_room_for_their_captions() -> None:
    cells = arrange([(10, 400)] * 3, (0, 0, 600, 420), Spacing(gap=6, caption=20, caption_width=150))
    assert [cell[2] - cell[0] for cell in cells] == [150, 150, 150]


def test_dozens_of_tiles_are_arranged_in_lines_of_equal_length() -> None:
    cells = arrange([(10, 10)] * 36, (0, 0, 600, 600), Spacing())
    assert {cell[2] - cell[0] for cell in cells} == {100}
    assert len({cell[1] for cell in cells}) == 6
    assert list(breaks(9))[3] == [range(3), range(3, 5), range(5, 7), range(7, 9)]
    assert sum(1 for _ in breaks(8)) == 2**7


@given(st.integers(1, 10000), st.integers(1, 10000), st.integers(1, 2000), st.integers(1, 2000))
def test_fitted_pictures_keep_their_aspect(width: int, height: int, room_width: int, room_height: int) -> None:
    shown_width, shown_height = fit_inside(width, height, room_width, room_height)
    assert 1 <= shown_width <= room_width
    assert 1 <= shown_height <= room_height
    assert shown_width == room_width or shown_height == room_height
    if shown_width > 1 and shown_height > 1:
        assert abs(shown_width * height - shown_height * width) <= max(width, height)


@pytest.mark.parametrize(
    ("size", "least", "shown"),
    [((10000, 10), (1, 8), (600, 8)), ((1, 3000), (12, 1), (12, 400)), ((1, 1), (4, 4), (400, 400))],
)
def test_a_sliver_stays_visible(size: tuple[int, int], least: tuple[int, int], shown: tuple[int, int]) -> None:
    assert fit_inside(*size, 600, 400, least) == shown
    (cell,) = arrange([size], (0, 0, 600, 400), Spacing(), [least])
    assert fit_inside(*size, cell[2] - cell[0], cell[3] - cell[1], least) == shown


def test_no_room_shows_nothing() -> None:
    assert fit_inside(10, 10, 0, 100) == (0, 0)
