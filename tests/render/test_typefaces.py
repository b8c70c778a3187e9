from __future__ import annotations

import numpy as np
import pytest
from PIL import features

from attnviz_video.render.typefaces import Typeface


@pytest.fixture(scope="module")
def face() -> Typeface:
    return Typeface(24)


@pytest.mark.parametrize("text", ["red", "红色的圆", "ひらがな", "한국어", "∑≥→", "😀"])
def test_t12_characters_of_all_shipped_scripts_are_drawn(face: Typeface, text: str) -> None:
    assert face.visible(text) == text
    nothing = face.coverage("\uffff" * len(text))
    drawn = face.coverage(text)
    assert drawn.max() > 200
    assert drawn.shape != nothing.shape or not np.array_equal(drawn, nothing)


def test_t12_missing_characters_are_shown_and_noted_once_per_script() -> None:
    face = Typeface(24)
    assert face.visible("हि न 🧠") == "⟨U+0939⟩⟨U+093F⟩ ⟨U+0928⟩ ⟨U+1F9E0⟩"
    assert face.notices() == (
        "no shipped font has the character ⟨U+0939⟩ (DEVANAGARI); such characters are shown by number",
        "no shipped font has the character ⟨U+1F9E0⟩ (emoji); such characters are shown by number",
    )


def test_controls_are_shown_without_a_notice() -> None:
    face = Typeface(24)
    assert face.visible("\x1b\u202e") == "⟨U+001B⟩⟨U+202E⟩"
    assert face.notices() == ()


def test_each_character_is_drawn_by_the_first_font_that_has_it(face: Typeface) -> None:
    assert [run[:2] for run in face._runs("ab红c")] == [(0, "ab"), (1, "红"), (0, "c")]
    # A mark is drawn by the font of its letter, where that one has it.
    assert [run[:2] for run in face._runs("红e\u0301")] == [(1, "红"), (0, "e\u0301")]


def test_width_is_that_of_the_picture(face: Typeface) -> None:
    for text in ("red circle", "红色 red", "i"):
        assert face.coverage(text).shape == (face.height, face.width(text))


def test_letters_stay_inside_their_line(face: Typeface) -> None:
    tall = Typeface(24)
    tall.ascent += 20
    tall.descent += 20
    for text in ("Ågjpqy|{}", "红色的圆鬱", "한글"):
        rows = np.flatnonzero(tall.coverage(text).max(axis=1) > 32)
        assert rows.min() >= 20
        assert rows.max() < tall.height - 20


@pytest.mark.parametrize("keep", ["start", "end"])
def test_fit_shortens_to_the_room(face: Typeface, keep: str) -> None:
    text = "a long line of text that has no room"
    short = face.fit(text, 150, keep=keep)
    assert face.width(short) <= 150
    assert "…" in short
    assert short.strip("…").strip() in text
    assert text.startswith(short[:4]) == (keep == "start")
    assert face.fit("tiny", 150) == "tiny"
    assert face.fit(text, 1) == ""


def test_bold_is_wider() -> None:
    assert Typeface(24, bold=True).width("weight") > Typeface(24).width("weight")


def test_right_to_left_text_is_written_in_reading_order_with_one_notice_per_script() -> None:
    face = Typeface(24)
    assert face.visible("שלום عالم שלום") == "שלום عالم שלום"
    assert not face.shapes
    assert [run[:2] for run in face._runs("שלום")] == [(0, "שלום")]
    cure = "; --fonts system writes it as it is read, where Pillow comes with a shaping library (raqm)"
    assert face.notices() == (
        f"HEBREW is written letter by letter from left to right{cure}",
        f"ARABIC is written letter by letter from left to right{cure}",
    )


def test_without_a_shaping_library_the_notice_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda name: False)
    face = Typeface(24, fonts="system")
    face.visible("שלום")
    assert face.notices() == (
        "HEBREW is written letter by letter from left to right, "
        "since Pillow comes without a shaping library (raqm) here",
    )
    assert np.array_equal(face.coverage("שלום"), Typeface(24).coverage("שלום"))


@pytest.mark.skipif(not features.check("raqm"), reason="Pillow comes without a shaping library here")
def test_shaped_text_runs_from_right_to_left_and_joins() -> None:
    shaped, plain = Typeface(24, fonts="system"), Typeface(24)
    # Hebrew letters do not join: shaped, the word is the plain one written backwards.
    backwards = _difference(shaped.coverage("שלום"), plain.coverage("םולש"))
    assert backwards < 0.4 * _difference(shaped.coverage("שלום"), plain.coverage("שלום"))
    assert shaped.width("عالم") < plain.width("عالم")
    assert shaped.notices() == ()
    # Everything else is drawn as on any machine.
    for text in ("red", "红色", "a, b."):
        assert np.array_equal(shaped.coverage(text), plain.coverage(text))


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def test_marks_alone_stand_on_a_circle(face: Typeface) -> None:
    assert face.visible("\u0301") == "\u25cc\u0301"
    assert face.visible("e\u0301") == "e\u0301"
    # The circle is there, so the mark does not float; and the mark is there too.
    assert not np.array_equal(face.coverage("\u25cc\u0301"), face.coverage("\u25cc"))
