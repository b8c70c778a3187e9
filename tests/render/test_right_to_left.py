from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.right_to_left import directions, visual_places, with_joiners


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["ok", "שלום", ",", "עולם", "."], [False, True, True, True, False]),
        (["שלום", "x", "עולם"], [True, False, True]),
        (["שלום", "12", "עולם"], [True, True, True]),
        (["a", ",", "b"], [False, False, False]),
        ([], []),
    ],
)
def test_what_has_no_direction_goes_with_its_neighbours(parts: list[str], expected: list[bool]) -> None:
    assert directions(parts) == expected


@pytest.mark.parametrize(
    ("before", "text", "after", "expected"),
    [
        ("", "سه", "لا"[:1], "سه\u200d"),
        ("ه", "لا", "", "\u200dلا"),
        # Alef does not join what follows it.
        ("ا", "لب", "", "لب"),
        ("", "لا", "ب", "لا"),
        ("ש", "לום", "x", "לום"),
    ],
)
def test_letters_at_the_edge_of_a_box_keep_the_form_they_have_in_the_word(
    before: str, text: str, after: str, expected: str
) -> None:
    assert with_joiners(text, before, after) == expected


def test_boxes_of_a_run_stand_in_reverse_order_in_the_same_room() -> None:
    # Widths 10, 20, 30 with gaps 1 and 4: mirrored, the widest comes first.
    assert visual_places([(0, 10), (11, 20), (35, 30)], [True, True, True]) == [55, 34, 0]
    assert visual_places([(0, 10), (12, 10), (24, 10)], [False, True, False]) == [0, 12, 24]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40), st.booleans()), max_size=12))
def test_no_two_boxes_overlap_and_none_leaves_the_line(boxes: list[tuple[int, int, bool]]) -> None:
    places, end = [], 0
    for gap, width, _ in boxes:
        places.append((end + gap, width))
        end += gap + width
    lefts = visual_places(places, [leftward for _, _, leftward in boxes])
    moved = sorted(zip(lefts, [width for _, width in places], strict=True))
    assert all(one + width < other for (one, width), (other, _) in zip(moved, moved[1:], strict=False))
    assert not moved or (moved[0][0] >= places[0][0] and sum(moved[-1]) <= end)
