from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.arrange import arrange, fit_inside, split


@given(st.integers(0, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=9), st.integers(0, 50))
def test_parts_sum_exactly(total: int, weights: list[int], gap: int) -> None:
    parts = split(total, weights, gap)
    assert parts[0][0] == 0
    assert parts[-1][1] == total
    gaps = {after[0] - before[1] for before, after in zip(parts, parts[1:], strict=False)}
    assert len(gaps) <= 1
    assert all(stop >= start for start, stop in parts)


@given(st.integers(10, 5000), st.integers(1, 9))
def test_equal_weights_give_equal_parts(total: int, count: int) -> None:
    sizes = [stop - start for start, stop in split(total, [1] * count)]
    assert max(sizes) - min(sizes) <= 1


_sizes = st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=1, max_size=8)


@given(_sizes, st.integers(100, 1200), st.integers(100, 1200))
def test_cells_are_in_the_box_in_order_and_apart(sizes: list[tuple[int, int]], width: int, height: int) -> None:
    cells = arrange(sizes, (50, 60, 50 + width, 60 + height), 10, 20)
    assert len(cells) == len(sizes)
    assert cells == sorted(cells, key=lambda cell: (cell[1], cell[0]))
    for number, (left, top, right, bottom) in enumerate(cells):
        assert 50 <= left < right <= 50 + width
        assert 60 <= top < bottom <= 60 + height
        for other in cells[number + 1 :]:
            assert other[0] >= right or other[1] >= bottom


def test_the_arrangement_shows_the_most_picture() -> None:
    assert arrange([], (0, 0, 100, 100), 4, 10) == []
    wide = arrange([(400, 100)] * 2, (0, 0, 400, 400), 0, 0)
    assert wide == [(0, 0, 400, 200), (0, 200, 400, 400)]
    tall = arrange([(100, 400)] * 2, (0, 0, 400, 400), 0, 0)
    assert tall == [(0, 0, 200, 400), (200, 0, 400, 400)]
    three = arrange([(100, 100)] * 3, (0, 0, 400, 400), 0, 0)
    assert three == [(0, 0, 200, 200), (200, 0, 400, 200), (0, 200, 400, 400)]


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


def test_no_room_shows_nothing() -> None:
    assert fit_inside(10, 10, 0, 100) == (0, 0)
