from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.pictures import PictureRoom, caption_height, picture_rooms
from attnviz_video.export.figures.sheet import Sheet

SHEET = Sheet(241.2, (255, 255, 255), FigureFonts(), 150)


@given(st.lists(st.tuples(st.integers(20, 2000), st.integers(20, 2000)), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_pictures_and_their_captions_never_overlap_and_stay_inside(sizes: list[tuple[int, int]]) -> None:
    rooms, height = picture_rooms(SHEET, sizes, 235.0, 200.0)
    assert len(rooms) == len(sizes)
    assert height <= 200.0 + SHEET.dot
    assert min(room.left for room in rooms) == 0
    assert min(room.top for room in rooms) == 0
    for room in rooms:
        assert room.left + room.width <= 235.0 + SHEET.dot
        assert room.top + room.height + caption_height(SHEET) <= height + SHEET.dot
    for one, other in combinations(rooms, 2):
        assert apart(one, other)


def apart(one: PictureRoom, other: PictureRoom) -> bool:
    below = caption_height(SHEET) - SHEET.dot
    return (
        one.left + one.width <= other.left
        or other.left + other.width <= one.left
        or one.top + one.height + below <= other.top
        or other.top + other.height + below <= one.top
    )


def test_two_pictures_side_by_side_begin_at_the_same_height() -> None:
    rooms, _ = picture_rooms(SHEET, [(320, 200), (300, 500)], 235.0, 235.0)
    assert [room.top for room in rooms] == [0, 0]
    assert rooms[0].left == 0
    assert rooms[0].width / rooms[0].height == pytest.approx(1.6, abs=0.02)
