from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.units import DisplayUnit
from attnviz_video.render.fragments import Fragment, fragments


def _of(*texts: str, special: bool = False) -> tuple[Fragment, ...]:
    units = [DisplayUnit(number, number + 1, text, special) for number, text in enumerate(texts)]
    return fragments(units, lambda text: text)


def _breaks(*texts: str) -> list[bool]:
    return [part.breaks for part in _of(*texts)]


def test_words_start_at_a_space() -> None:
    parts = _of("The", " red", "dish", " one")
    assert [part.text for part in parts] == ["The", "red", "dish", "one"]
    assert [part.spaces for part in parts] == [0, 1, 0, 1]
    assert [part.breaks for part in parts] == [True, True, False, True]


def test_parts_of_a_word_join() -> None:
    parts = _of("The", " red", "dish", " one")
    assert [(part.joins_before, part.joins_after) for part in parts] == [
        (False, False), (False, True), (True, False), (False, False),
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["红色", "ひら", "カタ", "한국"])
def test_scripts_without_spaces_break_anywhere(text: str) -> None:
    assert _breaks(text[0], text[1]) == [True, True]


@pytest.mark.parametrize("closing", ["，", "。", "）", ".", ","])
def test_closing_marks_do_not_start_a_line(closing: str) -> None:
    assert _breaks("红", closing) == [True, False]


def test_combining_marks_stay_with_their_letter() -> None:
    assert _breaks("红", "\u0301") == [True, False]


def test_newlines_become_marks() -> None:
    parts = _of(".\n\n", "a\nb")
    assert [(part.unit, part.text, part.newlines) for part in parts] == [
        (0, ".", 0), (0, "⏎⏎", 2), (1, "a", 0), (1, "⏎", 1), (1, "b", 0),
    ]  # fmt: skip
    assert [part.faint for part in parts] == [False, True, False, True, False]


def test_bare_spaces_become_marks_and_many_are_counted() -> None:
    assert [part.text for part in _of(" ", "        ", "\n" * 9)] == ["␣", "␣×8", "⏎×9"]


def test_special_tokens_are_tags() -> None:
    (part,) = _of("<|im_end|>", special=True)
    assert (part.text, part.faint) == ("‹im_end›", True)


def test_a_think_tag_that_is_text_stays_text() -> None:
    (part,) = _of("<think>")
    assert (part.text, part.faint) == ("<think>", False)


@given(st.lists(st.text(alphabet="ab \n红,\u0301", max_size=5), max_size=12))
def test_each_unit_is_shown_and_order_is_kept(texts: list[str]) -> None:
    parts = _of(*texts)
    units = [part.unit for part in parts]
    assert units == sorted(units)
    assert set(units) == set(range(len(texts)))
    for index, text in enumerate(texts):
        own = "".join(part.text for part in parts if part.unit == index and not part.faint)
        assert own == "".join(piece.lstrip(" ") for piece in text.split("\n"))
