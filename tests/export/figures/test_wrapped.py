"""Lines of words: notes stay whole where they fit, and go on in the next line where they do not."""

from __future__ import annotations

from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.text import wrapped

SIZE = 6.0


def test_notes_are_joined_and_never_parted_where_they_fit() -> None:
    fonts = FigureFonts()
    width = fonts.width("one note · two notes", SIZE)
    assert wrapped(["one note", "two notes", "a third"], " · ", fonts, SIZE, width) == [
        "one note · two notes",
        "a third",
    ]


def test_a_note_wider_than_a_line_goes_on_at_a_space_and_is_not_cut() -> None:
    fonts = FigureFonts()
    width = fonts.width("at most 100.0 %", SIZE)
    lines = wrapped(["short", "mean 1.1 %, at most 100.0 % of a row", "end"], " · ", fonts, SIZE, width)
    assert " ".join(lines).replace(" · ", " ") == "short mean 1.1 %, at most 100.0 % of a row end"
    assert all(fonts.width(line, SIZE) <= width for line in lines)
    assert not any(line.startswith("%") for line in lines), "a number keeps its percent sign"


def test_what_has_no_space_is_cut() -> None:
    fonts = FigureFonts()
    (line,) = wrapped(["x" * 99], " · ", fonts, SIZE, 60.0)
    assert line.endswith("…")
    assert fonts.width(line, SIZE) <= 60
