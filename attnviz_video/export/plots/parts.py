"""What stands around a plot: its title, the bar of its colours, and the lines that say what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from attnviz_video.core.sample import PAIR_FIELD
from attnviz_video.core.scores import ColorScale, Region
from attnviz_video.export.figures.look import LEAST_TEXT, pt
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.text import wrapped
from attnviz_video.export.plots.look import PlotLook, TextSize
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.render.legend import ramp_numbers
from attnviz_video.render.status import replay_words

_SEPARATOR = " · "
#: Between two sentences on one line.
_BETWEEN = "    "


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
    """The title, or the question, in one line, or two sentences in one line or a line each; returns where they end
    with the space below.
    """
    look, margin, size = request.look, pt("margin"), request.look.text("title")
    room = sheet.width - 2 * margin
    lines = [sheet.fonts.visible(line) for line in title_lines(request) if line]
    if lines and sheet.fonts.width(_BETWEEN.join(lines), size, bold=True) <= room:
        lines = [_BETWEEN.join(lines)]
    for number, line in enumerate(lines):
        name = f"title-{number + 1}" if number else "title"
        draw_words(sheet, look, (margin, top), sheet.fonts.fit(line, size, room, bold=True), "title", bold=True,
                   name=name)  # fmt: skip
        top += line_height(sheet, look, "title")
    return top + pt("row_gap") if lines else top


def title_lines(request: PlotRequest) -> tuple[str, ...]:
    """The title that was asked for, or the question; of two sentences both, `A: …` and `B: …`."""
    sample = request.trace.header.sample
    pair = sample.extra.get(PAIR_FIELD) if request.trace.is_encoding else None
    if request.render.title is not None:
        words: tuple[str, ...] = (request.render.title,)
    elif pair:
        words = (f"A: {sample.problem}", f"B: {pair}")
    else:
        words = (sample.problem,)
    return tuple(" ".join(line.split()) for line in words)


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


def draw_bars(request: PlotRequest, sheet: Sheet, bars: Sequence[Bar], top: float) -> float:
    """Bars side by side, or below each other where one has no room for its words; returns where they end."""
    look, margin, gap = request.look, pt("margin"), pt("gap")
    whole = sheet.width - 2 * margin
    half = (whole - gap) / 2
    beside = len(bars) == 2 and all(_has_room(sheet, look, bar, half) for bar in bars)
    for number, bar in enumerate(bars):
        left = margin + (half + gap if beside and number else 0.0)
        draw_bar(sheet, look, bar, (left, top), half if beside else whole, f"bar-{number + 1}")
        if not beside or number == len(bars) - 1:
            top += bar_height(sheet, look) + pt("line_gap")
    return top


def _has_room(sheet: Sheet, look: PlotLook, bar: Bar, width: float) -> bool:
    """Whether all words of a bar fit over and under it."""
    fonts, label, small = sheet.fonts, look.text("label"), look.text("small")
    title = min(fonts.width(fonts.visible(words), label) for words in (bar.title, bar.short or bar.title))
    return max(title, fonts.width(fonts.visible(bar.kind), small)) <= width


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
    title = fonts.visible(bar.title if has_room else bar.short or bar.title)
    title_size = _fitting(sheet, title, look.text("label"), width)
    title = fonts.fit(title, title_size, width)
    sheet.words(left, top + fonts.ascent * look.text("label"), title, title_size, look.color("ink"),
                name=f"{name}-title")  # fmt: skip
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
    kind = fonts.visible(bar.kind)
    kind_size = _fitting(sheet, kind, small, width)
    baseline += line_height(sheet, look)
    sheet.words(left, baseline, fonts.fit(kind, kind_size, width), kind_size, look.color("ink.soft"),
                name=f"{name}-kind")  # fmt: skip


def _fitting(sheet: Sheet, words: str, size: float, width: float) -> float:
    """Points of `words` that have to be smaller than `size` to fit, but never so small that print loses them."""
    needed = sheet.fonts.width(words, size)
    return size if needed <= width else max(min(size, LEAST_TEXT), size * width / needed * 0.999)
