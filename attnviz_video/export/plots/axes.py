"""Axes with numbers, for curves: round numbers on them, and where a value lies in points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import PointBox, Sheet
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.export.plots.parts import line_height

#: Points of a tick outside the frame, and between it and its number.
_TICK = 2.0
#: Round numbers are 1, 2 or 5 times a power of ten.
_ROUND = (1.0, 2.0, 5.0, 10.0)
#: More curves cannot be told apart by colour: layers or keys beyond are drawn as a heat map.
MOST_CURVES = 6


@dataclass(frozen=True)
class Axis:
    """A range of numbers, those that are written beside it, and what they are."""

    low: float
    high: float
    title: str = ""
    #: (value, what is written there).
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float, start: float, stop: float) -> float:
        """Where `value` lies when `low` is at `start` and `high` at `stop`, in points."""
        return start + (value - self.low) / ((self.high - self.low) or 1.0) * (stop - start)


def round_step(span: float, most: int) -> float:
    """The smallest round number of which at most `most` fit into `span`."""
    least = span / max(1, most)
    if not (least > 0 and math.isfinite(least)):
        return 1.0
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in _ROUND if factor * power >= least * (1 - 1e-9))


def number_axis(low: float, high: float, title: str, most: int = 5) -> Axis:
    """An axis from `low` to `high` with at most `most` + 1 round numbers on it, all with the same digits."""
    step = round_step(high - low, most)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple((number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1))
    return Axis(low, high, title, ticks)


def left_room(sheet: Sheet, look: PlotLook, axis: Axis) -> float:
    """Points that the numbers and the title of a vertical axis take left of its frame."""
    widest = max((sheet.fonts.width(text, look.text("small")) for _, text in axis.ticks), default=0.0)
    title = line_height(sheet, look, "label") + pt("line_gap") if axis.title else 0.0
    return _TICK + pt("line_gap") + widest + title


def below_room(sheet: Sheet, look: PlotLook, axis: Axis) -> float:
    """Points that the numbers and the title of a horizontal axis take below its frame."""
    title = line_height(sheet, look, "label") if axis.title else 0.0
    return _TICK + pt("line_gap") + line_height(sheet, look) + title


def least_height(sheet: Sheet, look: PlotLook, axes: Sequence[Axis]) -> float:
    """The height of a frame from which on the turned title of each vertical axis fits beside it, with space around,
    and its numbers do not touch.
    """
    titles = [sheet.fonts.width(sheet.fonts.visible(axis.title), look.text("label")) for axis in axes]
    ticks = [len(axis.ticks) * 1.2 * line_height(sheet, look) for axis in axes]
    return max([0.0, *(title + pt("line_gap") for title in titles), *ticks])


def draw_axes(sheet: Sheet, look: PlotLook, box: PointBox, across: Axis, upwards: Axis) -> None:
    """The frame of a plot, its ticks and their numbers, the titles, and lines behind it where the style asks for them.

    `box` is the frame itself; `left_room` and `below_room` tell what has to stay free beside it.
    """
    left, top, right, bottom = box
    fonts, small, border = sheet.fonts, look.text("small"), look.border_width
    ink, soft = look.color("ink"), look.color("panel.border")
    if look.grid is not False:
        for value, _ in upwards.ticks:
            y = upwards.place(value, bottom, top)
            sheet.line((left, y), (right, y), soft, border / 2)
    for value, text in across.ticks:
        x = across.place(value, left, right)
        sheet.line((x, bottom), (x, bottom + _TICK), ink, border)
        baseline = bottom + _TICK + pt("line_gap") + fonts.ascent * small
        sheet.words(x, baseline, fonts.visible(text), small, ink, anchor="center")
    for value, text in upwards.ticks:
        y = upwards.place(value, bottom, top)
        sheet.line((left - _TICK, y), (left, y), ink, border)
        baseline = y + (fonts.ascent - fonts.height / 2) * small
        sheet.words(left - _TICK - pt("line_gap"), baseline, fonts.visible(text), small, ink, anchor="right")
    sheet.line((left, bottom), (right, bottom), ink, border)
    sheet.line((left, top), (left, bottom), ink, border)
    label = look.text("label")
    if across.title:
        baseline = bottom + _TICK + pt("line_gap") + line_height(sheet, look) + fonts.ascent * label
        sheet.words((left + right) / 2, baseline, fonts.visible(across.title), label, ink, anchor="center")
    if upwards.title:
        x = left - left_room(sheet, look, upwards) + fonts.ascent * label
        title = fonts.visible(upwards.title)
        sheet.words(x, (top + bottom) / 2, title, label, ink, anchor="center", upwards=True)


def draw_curve(
    sheet: Sheet, look: PlotLook, box: PointBox, axes: tuple[Axis, Axis], points: Sequence[tuple[float, float]],
    series: int, *, dashed: bool = False, name: str | None = None,
) -> None:  # fmt: skip
    """A curve through `points` (values across and upwards, NaN parts it) in the colour of number `series`."""
    left, top, right, bottom = box
    across, upwards = axes
    places = [(across.place(x, left, right), upwards.place(y, bottom, top)) for x, y in points]
    color = look.series[series % len(look.series)]
    sheet.path(places, color, look.line_width, dashed=dashed, name=name)
