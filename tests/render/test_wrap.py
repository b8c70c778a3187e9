from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.typefaces import Typeface
from attnviz_video.render.wrap import wrap

FACE = Typeface(20)
CHINESE = "图中红色圆圈左边有多少个物体？请一步一步思考，然后写出最终答案。"


def test_words_stay_whole_and_lines_are_of_about_equal_length() -> None:
    words = "How many objects are left of the red circle and below the star?"
    room = FACE.width(words) - 10
    lines = wrap(words, room, FACE, 3)
    assert " ".join(lines) == words
    assert len(lines) == 2
    assert abs(FACE.width(lines[0]) - FACE.width(lines[1])) < FACE.width("objects ")


def test_what_fits_stays_on_one_line() -> None:
    assert wrap("  One\nline\t only ", 400, FACE, 2) == ("One line only",)
    assert wrap(" \n", 400, FACE, 2) == ()
    assert wrap("x", 400, FACE, 0) == ()


def test_too_much_is_cut_at_the_end_of_the_last_line() -> None:
    words = "word " * 60
    lines = wrap(words, 300, FACE, 2)
    assert len(lines) == 2
    assert lines[1].endswith("…")
    assert "…" not in lines[0]
    assert all(FACE.width(line) <= 300 for line in lines)


def test_chinese_breaks_anywhere_but_before_its_punctuation() -> None:
    for width in range(60, 700, 7):
        lines = wrap(CHINESE, width, FACE, 99)
        assert "".join(lines) == CHINESE
        assert all(line[0] not in "，。？" for line in lines)
        assert all(FACE.width(line) <= width for line in lines)


def test_a_word_longer_than_a_line_is_cut() -> None:
    word = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    lines = wrap(f"Der {word}", 200, FACE, 99)
    assert "".join(lines).replace(" ", "") == f"Der{word}"
    assert all(FACE.width(line) <= 200 for line in lines)


def test_opening_brackets_do_not_end_a_line() -> None:
    for width in range(60, 300, 5):
        assert all(line[-1] not in "（「" for line in wrap("物体（红色）和「星」在左边（上）", width, FACE, 99))


@pytest.mark.parametrize("text", ["न" * 40, "👍🏽" * 9, "e\u0301" * 50, "\u202eabc", "\x1b[31m red"])
def test_any_text_keeps_to_its_width(text: str) -> None:
    assert all(FACE.width(line) <= 150 for line in wrap(text, 150, FACE, 2))


@given(st.text(max_size=80), st.integers(30, 400), st.integers(1, 4))
def test_lines_keep_order_and_room(text: str, width: int, most: int) -> None:
    lines = wrap(text, width, FACE, most)
    assert len(lines) <= most
    assert all(FACE.width(line) <= width for line in lines)
    shown = FACE.visible(" ".join(text.split()))
    joined = "".join(lines).replace(" ", "")
    wanted = shown.replace(" ", "")
    assert joined == wanted or (joined.endswith("…") and wanted.startswith(joined[:-1]))
