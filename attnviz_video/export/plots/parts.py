"""What stands around a plot: its title, the bar of its colours, and the lines that say what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from attnviz_video.core.scores import ColorScale, Region
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.text import wrapped
from attnviz_video.export.plots.look import PlotLook, TextSize
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.render.legend import ramp_numbers
from attnviz_video.render.status import replay_words

_SEPARATOR = " · "


@dataclass(frozen=True)
class Bar:
    """What the colours mean: a title, the numbers at no weight, the middle and the top, and what scale it is."""

    title: str
    numbers: tuple[str, str, str]
    kind: str = ""
    #: The title where there is little room.
    short: str = ""


def weight_bar(title: str, scale: ColorScale, region: Region, kind: str, short: str = "") -> Bar:
    """The bar of weights on a scale; its last number says "≥" where larger ones take the top colour too."""
    return Bar(title, ramp_numbers(scale, region), kind, short)


def line_height(sheet: Sheet, look: PlotLook, size: TextSize = "small") -> float:
    """Height of one line of text in points."""
    return look.text(size) * sheet.fonts.height


def draw_words(
    sheet: Sheet, look: PlotLook, place: tuple[float, float], text: str, size: TextSize = "small",
    color: str = "ink", *, bold: bool = False, name: str | None = None,
) -> None:  # fmt: skip
    """One line of text with its upper left corner at `place`; what no font has is written out."""
    points = look.text(size)
    baseline = place[1] + sheet.fonts.ascent * points
    sheet.words(place[0], baseline, sheet.fonts.visible(text), points, look.color(color), bold=bold, name=name)


def draw_title(request: PlotRequest, sheet: Sheet, top: float) -> float:
    """The title, or the question, in one line; returns where it ends with the space below."""
    render, look, margin = request.render, request.look, pt("margin")
    words = " ".join((render.title if render.title is not None else request.trace.header.sample.problem).split())
    if not words:
        return top
    size = look.text("title")
    shown = sheet.fonts.fit(sheet.fonts.visible(words), size, sheet.width - 2 * margin, bold=True)
    draw_words(sheet, look, (margin, top), shown, "title", bold=True, name="title")
    return top + line_height(sheet, look, "title") + pt("row_gap")


def draw_notes(request: PlotRequest, sheet: Sheet, words: Sequence[str], top: float) -> float:
    """The lines below a plot: `words` (empty ones aside), then the model and what has to be known of the recording;
    below them the caption that the user gave. Returns where they end, with the margin of the sheet.
    """
    trace, look, margin = request.trace, request.look, pt("margin")
    width = sheet.width - 2 * margin
    incomplete = "" if trace.status == "complete" else "recording incomplete"
    guessed = "layout guessed" if trace.layout.guessed else ""
    told = [*words, trace.header.model.short_name, replay_words(trace.header), incomplete, guessed]
    shown = [sheet.fonts.visible(word) for word in told if word]
    for number, line in enumerate(wrapped(shown, _SEPARATOR, sheet.fonts, look.text("small"), width)):
        draw_words(sheet, look, (margin, top), line, "small", "ink.soft", name=f"caption-{number}")
        top += line_height(sheet, look)
    own = sheet.fonts.visible(" ".join(request.render.caption.split()))
    if own:
        top += pt("row_gap")
        for number, line in enumerate(wrapped(own.split(" "), " ", sheet.fonts, look.text("label"), width)):
            draw_words(sheet, look, (margin, top), line, "label", name=f"words-{number}")
            top += line_height(sheet, look, "label")
    return top + margin


def bar_height(sheet: Sheet, look: PlotLook) -> float:
    """Height of a bar with its title, its numbers and what scale it is."""
    return line_height(sheet, look, "label") + pt("ramp.height") + 2 * line_height(sheet, look) + pt("line_gap")


def draw_bar(
    sheet: Sheet, look: PlotLook, bar: Bar, place: tuple[float, float], width: float, name: str = "bar",
    table: UInt8[np.ndarray, "256 3"] | None = None,
) -> None:  # fmt: skip
    """The colours from no weight to the top, `width` points wide, at the upper left corner `place`.

    `table` are the colours where they are not those of the look, such as those painted over pictures.
    """
    colors = look.table if table is None else table
    fonts, small, (left, top) = sheet.fonts, look.text("small"), place
    has_room = fonts.width(fonts.visible(bar.title), look.text("label")) <= width
    title = fonts.fit(fonts.visible(bar.title if has_room else bar.short or bar.title), look.text("label"), width)
    draw_words(sheet, look, place, title, "label", name=f"{name}-title")
    x, y = sheet.snapped(left), sheet.snapped(top + line_height(sheet, look, "label") + pt("line_gap") / 2)
    n_columns = max(2, round(min(width, pt("ramp.width")) / sheet.dot))
    n_rows = max(1, round(pt("ramp.height") / sheet.dot))
    steps = (np.arange(n_columns) * 255 + (n_columns - 1) // 2) // (n_columns - 1)
    sheet.picture(x, y, np.repeat(colors[steps][None], n_rows, axis=0), f"{name}-ramp")
    end, bottom = x + n_columns * sheet.dot, y + n_rows * sheet.dot
    sheet.box((x, y, end, bottom), None, rim=look.color("image.border"), rim_width=pt("ramp.border"))
    baseline = bottom + pt("line_gap") / 2 + fonts.ascent * small
    first, middle, last = (fonts.visible(number) for number in bar.numbers)
    sheet.words(x, baseline, first, small, look.color("ink"), name=f"{name}-first")
    sheet.words(end, baseline, last, small, look.color("ink"), anchor="right", name=f"{name}-last")
    half, gap, centre = fonts.width(middle, small) / 2, fonts.width("  ", small), (x + end) / 2
    if x + fonts.width(first, small) + gap <= centre - half and centre + half + gap <= end - fonts.width(last, small):
        sheet.words(centre, baseline, middle, small, look.color("ink"), anchor="center")
    kind = fonts.fit(fonts.visible(bar.kind), small, width)
    sheet.words(left, baseline + line_height(sheet, look), kind, small, look.color("ink.soft"), name=f"{name}-kind")
