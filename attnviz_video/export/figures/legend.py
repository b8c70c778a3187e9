"""What explains a figure: the ramps with their weights, what the marks mean, and the line that says whose rows these
are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.scores import ColorScale, Region
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.text import wrapped
from attnviz_video.render.footer import footer_words
from attnviz_video.render.heat import HeatTable
from attnviz_video.render.keys import key_names
from attnviz_video.render.legend import legend_words, ramp_numbers
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.status import replay_words
from attnviz_video.theme import Rgb, Theme

_SEPARATOR = " · "
#: Colours of the boxes on images, by what the key calls them.
BOX_COLORS = {"ground truth": "box.truth", "box in the answer": "box.answer"}


def line_height(sheet: Sheet, name: str = "small.text") -> float:
    """Height of one line of the text size called `name`."""
    return pt(name) * sheet.fonts.height


def legend_height(sheet: Sheet) -> float:
    """Height of a ramp with its title, its numbers, and what scale it is."""
    return line_height(sheet, "label.text") + pt("ramp.height") + 2 * line_height(sheet) + pt("line_gap")


def draw_legend(
    sheet: Sheet, scores: Scores, scale: ColorScale, region: Region, heat: HeatTable, look: Theme,
    left: float, top: float, width: float, *, smooth: bool = False, measure: str | None = None,
) -> None:  # fmt: skip
    """The colours of a region as painted, with the weights at level 0, one half and 1; `smooth` is said of images.

    `measure` is what the numbers are where they are not attention, on a scale of their own.
    """
    fonts, small = sheet.fonts, pt("small.text")
    title, kind = legend_words(region, scores.settings, smooth=smooth)
    if measure is not None:
        title, kind = title.replace("attention", measure, 1), "scale of this figure alone"
    baseline = top + fonts.ascent * pt("label.text")
    sheet.words(
        left, baseline, fonts.fit(title, pt("label.text"), width), pt("label.text"), look.color("ink"),
        name=f"legend-{region}",
    )  # fmt: skip
    ground = look.color("panel.background" if region == "text" else "ramp.ground")
    y = sheet.snapped(top + line_height(sheet, "label.text") + pt("line_gap") / 2)
    n_columns = max(2, round(min(width, pt("ramp.width")) / sheet.dot))
    n_rows = max(1, round(pt("ramp.height") / sheet.dot))
    steps = (np.arange(n_columns) * 255 + (n_columns - 1) // 2) // (n_columns - 1)
    x = sheet.snapped(left)
    sheet.picture(x, y, np.repeat(heat.ramp(ground)[steps][None], n_rows, axis=0), f"ramp-{region}")
    end, bottom = x + n_columns * sheet.dot, y + n_rows * sheet.dot
    sheet.box((x, y, end, bottom), None, rim=look.color("image.border"), rim_width=pt("ramp.border"))
    baseline = bottom + pt("line_gap") / 2 + fonts.ascent * small
    first, middle, last = ramp_numbers(scale, region)
    sheet.words(x, baseline, first, small, look.color("ink"))
    sheet.words(end, baseline, last, small, look.color("ink"), anchor="right")
    half = fonts.width(middle, small) / 2
    centre, gap = (x + end) / 2, fonts.width("  ", small)
    if x + fonts.width(first, small) + gap <= centre - half and centre + half + gap <= end - fonts.width(last, small):
        sheet.words(centre, baseline, middle, small, look.color("ink"), anchor="center")
    sheet.words(left, baseline + line_height(sheet), fonts.fit(kind, small, width), small, look.color("ink.soft"))


def draw_keys(
    sheet: Sheet, scores: Scores, render: RenderSettings, look: Theme, left: float, top: float, width: float,
    left_out: Sequence[str] = (),
) -> float:  # fmt: skip
    """What the marks mean, in as many lines as needed, but for those `left_out`; returns the height."""
    names = [name for name in key_names(scores, render.boxes) if name not in left_out]
    return draw_named_marks(sheet, names, look, left, top, width)


def draw_named_marks(
    sheet: Sheet, names: Sequence[str], look: Theme, left: float, top: float, width: float,
    size: float = pt("small.text"), ink: Rgb | None = None,
) -> float:  # fmt: skip
    """`names` with the marks they stand for, in text of `size` points; returns the height."""
    fonts, mark = sheet.fonts, pt("key.mark")
    x, y, pitch = left, top, size * sheet.fonts.height
    for name in names:
        own = mark + pt("line_gap") + fonts.width(name, size)
        if x > left and x + own > left + width:
            x, y = left, y + pitch + pt("line_gap") / 2
        _draw_mark(sheet, name, x, y + (pitch - mark) / 2, look)
        sheet.words(x + mark + pt("line_gap"), y + fonts.ascent * size, name, size, ink or look.color("ink.soft"))
        x += own + pt("gap") * 0.75
    return y + pitch - top


def draw_caption(
    sheet: Sheet, scores: Scores, look: Theme, extra: Sequence[str], left: float, top: float, width: float,
    own: Sequence[str] | None = None,
) -> float:  # fmt: skip
    """Model, layer, heads, convention and sinks, with `extra` before them, in as many lines as needed; returns the
    height. `own` words stand in place of all but the model.
    """
    fonts, size = sheet.fonts, pt("small.text")
    trace = scores.trace
    incomplete = "" if trace.status == "complete" else "recording incomplete"
    guessed = "layout guessed" if trace.layout.guessed else ""
    told = (trace.header.model.short_name, *footer_words(scores)) if own is None else (
        *own, trace.header.model.short_name
    )  # fmt: skip
    words = [*extra, *told, replay_words(trace.header), incomplete, guessed]
    lines = wrapped([fonts.visible(word) for word in words if word], _SEPARATOR, fonts, size, width)
    for number, line in enumerate(lines):
        baseline = top + number * line_height(sheet) + fonts.ascent * size
        sheet.words(left, baseline, line, size, look.color("ink.soft"), name=f"caption-{number}")
    return len(lines) * line_height(sheet)


def _draw_mark(sheet: Sheet, name: str, left: float, top: float, look: Theme) -> None:
    """The mark called `name` in a square of the key's size."""
    mark = pt("key.mark")
    rim = pt("token.outline")
    inside = (left + rim / 2, top + rim / 2, left + mark - rim / 2, top + mark - rim / 2)
    if name == "attention sink":
        middle = (left + mark / 2, top + mark / 2)
        sheet.disc(middle, pt("sink.radius"), look.color("sink.fill"), look.color("sink.rim"), pt("sink.rim"))
    elif name == "current token":
        sheet.box(inside, look.color("token.current"), rim=look.color("token.current.outline"), rim_width=rim)
    elif name in BOX_COLORS:
        sheet.box(inside, None, rim=look.color(BOX_COLORS[name]), rim_width=rim)
    elif name == "no value":
        stroke = look.color("nan.stroke")
        sheet.box(inside, look.color("nan.ground"), rim=stroke, rim_width=pt("hatch.line"), hatch="//////")
    else:
        rim = pt("key.rim")
        for inset, color in ((0.0, "peak.outer"), (rim, "peak.inner"), (2 * rim, "ramp.ground")):
            box = (left + inset, top + inset, left + mark - inset, top + mark - inset)
            sheet.box(box, look.color(color))
