from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.room import useful_height, useful_width

SIZES = st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1, max_size=8)


def test_one_picture_takes_its_own_shape() -> None:
    assert useful_width([(200, 100)], 330, 20, 30, 900) == 600
    assert useful_height([(200, 100)], 600, 20, 30, 900) == 330


def test_no_more_than_there_is() -> None:
    assert useful_width([(400, 100)], 330, 20, 30, 900) == 900
    assert useful_height([(100, 400)], 600, 20, 30, 900) == 900


def test_two_wide_pictures_stand_above_one_another_beside_the_text() -> None:
    # In one row each would be 440 wide and 220 high; in two rows 600 wide and 300 high.
    assert useful_width([(200, 100)] * 2, 600 + 20 + 2 * 30, 20, 30, 900) == 600


def test_two_high_pictures_stand_side_by_side_above_the_text() -> None:
    assert useful_height([(100, 200)] * 2, 420, 20, 30, 900) == 400 + 30


@given(SIZES, st.integers(50, 2000), st.integers(0, 40), st.integers(0, 80), st.integers(50, 2000))
def test_it_is_always_within_the_room(
    sizes: list[tuple[int, int]], side: int, gap: int, caption: int, most: int
) -> None:
    assert 0 < useful_width(sizes, side, gap, caption, most) <= most
    assert 0 < useful_height(sizes, side, gap, caption, most) <= most
