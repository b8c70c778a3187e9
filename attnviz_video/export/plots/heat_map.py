"""A heat map with a name for every row and column, of which as many are written as have room."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from attnviz_video.colormaps import level_steps
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import PointBox, Sheet
from attnviz_video.export.figures.tokens import readable_ink
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.export.plots.parts import line_height

#: Points of the largest cell, and of the least column of a whole image, which is one among many narrow ones.
WIDEST_CELL = 25.0
LEAST_WIDE = 8.0
#: Cells from this size on are parted by lines.
_LEAST_LINED = 4.0
#: Of the width and of the height that names may take, the part that they take at most.
_NAMES_SHARE = 0.2
#: Text sizes that a name may always take, however large the text: those of a short word.
_LEAST_NAME = 4.5
_TICK = 1.6
#: From one name to the next, in text sizes: as near as lines may come.
_NAME_PITCH = 1.08


@dataclass(frozen=True)
class Name:
    """What a row or a column is called."""

    text: str
    #: Written even where others are left out, and never narrower than can be seen.
    always: bool = False
    #: Carries the mark of an attention sink.
    sink: bool = False


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Levels to paint and the names of their rows and columns."""

    #: 0 to 1; NaN: no value.
    levels: Float[np.ndarray, "rows columns"]
    #: False: there is nothing, the paper shows.
    present: Bool[np.ndarray, "rows columns"]
    rows: tuple[Name, ...]
    columns: tuple[Name, ...]
    row_title: str = ""
    column_title: str = ""
    #: Whether the names of columns are turned; numbers need not be.
    turned: bool = True
    #: What each cell says, where cells are large enough for all of them.
    numbers: tuple[tuple[str, ...], ...] | None = None
    #: How many rows and columns stand before a line that parts them from the rest; 0: there is no line.
    rows_before: int = 0
    columns_before: int = 0


@dataclass(frozen=True, eq=False)
class PlacedMap:
    """A heat map that has been drawn."""

    #: The cells themselves, in points.
    box: PointBox
    #: What the caption has to say of names left out and of cells that stand for several.
    notes: tuple[str, ...]
    #: Whether the cells had room for their numbers.
    numbered: bool = False


def draw_heat_map(
    sheet: Sheet,
    look: PlotLook,
    heat: HeatMap,
    place: tuple[float, float],
    width: float,
    tallest: float,
    name: str = "cells",
) -> PlacedMap:
    """The cells with names left of and above them, from the upper left corner `place` on, `width` points wide at most.

    `tallest` is the greatest height of the cells. The picture of the cells is called `name` in an SVG.
    """
    size = look.text("small")
    most = max(width * _NAMES_SHARE, _LEAST_NAME * size)
    beside = pt("line_gap") + _TICK
    names_left = min(_widest(sheet, look, heat.rows), most) + beside
    names_above = (min(_widest(sheet, look, heat.columns), most) if heat.turned else size) + beside
    names_above += 2 * pt("sink.radius") if any(column.sink for column in heat.columns) else 0.0
    title = line_height(sheet, look, "label") + pt("line_gap")
    left = sheet.snapped(place[0] + names_left + (title if heat.row_title else 0.0))
    top = sheet.snapped(place[1] + names_above + (title if heat.column_title else 0.0))
    widths = column_widths([column.always for column in heat.columns], place[0] + width - left)
    height = min(
        max(min(widths, default=0.0), 1.02 * _NAME_PITCH * size), WIDEST_CELL, tallest / max(1, len(heat.rows))
    )
    x_edges, y_edges = cell_edges(sheet, widths), cell_edges(sheet, [height] * len(heat.rows))
    pixels, pooled = paint(heat, look, x_edges, y_edges)
    box = (left, top, left + x_edges[-1] * sheet.dot, top + y_edges[-1] * sheet.dot)
    sheet.picture(left, top, pixels, name)
    _draw_lines(sheet, look, box, x_edges, y_edges)
    draw_parting_lines(sheet, look, heat, box, x_edges, y_edges)
    sheet.box(box, None, rim=look.color("image.border"), rim_width=look.border_width)
    each_column = _draw_columns(sheet, look, heat, (left, top), x_edges, most, name)
    each_row = _draw_rows(sheet, look, heat, (left, top), y_edges, most, name)
    numbered = _draw_numbers(sheet, look, heat, (left, top), x_edges, y_edges)
    _draw_titles(sheet, look, heat, box, place)
    notes = [*_thinned("row", each_row), *_thinned("column", each_column), *pooled]
    return PlacedMap(box, tuple(notes), numbered)


def column_widths(
    wide: Sequence[bool], room: float, least: float = LEAST_WIDE, widest: float = WIDEST_CELL
) -> list[float]:
    """Points of every column: all alike, but those of whole images never so narrow that they cannot be seen."""
    if not wide:
        return []
    plain, n_wide = room / len(wide), sum(wide)
    if plain < least and n_wide and n_wide * least < room / 2:
        narrow = (room - n_wide * least) / max(1, len(wide) - n_wide)
        return [least if own else narrow for own in wide]
    return [min(plain, widest)] * len(wide)


def written(always: Sequence[bool], places: Sequence[float], pitch: float) -> tuple[list[int], int]:
    """Which names are written at `places` (points) so that none stands on another: those that always are, and every
    k-th, with the smallest k that leaves `pitch` to each. Returns k as well.
    """
    steps = [later - earlier for earlier, later in zip(places, places[1:], strict=False)]
    # The middle of the narrower steps: those beside the column of an image are wider.
    cell = float(np.mean([step for step in steps if step <= 1.5 * min(steps)])) if steps else pitch
    every = max(1, math.ceil(pitch / cell - 0.03)) if cell > 0 else max(1, len(places))
    chosen: list[int] = []
    for index in [*(n for n, own in enumerate(always) if own), *range(0, len(places), every)]:
        if index not in chosen and all(abs(places[index] - places[other]) >= pitch * 0.95 for other in chosen):
            chosen.append(index)
    return sorted(chosen), every


def paint(
    heat: HeatMap, look: PlotLook, x_edges: Int[np.ndarray, "x_edges"], y_edges: Int[np.ndarray, "y_edges"]
) -> tuple[UInt8[np.ndarray, "height width 3"], tuple[str, ...]]:
    """The pixels of the cells between the edges, and what has to be said where cells are smaller than a pixel: then
    each pixel shows the largest of its cells.
    """
    levels, present, notes = heat.levels, heat.present, []
    if (np.diff(x_edges) < 1).any():
        levels, present, count = _pooled(levels, present, int(x_edges[-1]))
        x_edges = np.arange(levels.shape[1] + 1)
        notes.append(f"each cell shows the largest of {count} columns")
    if (np.diff(y_edges) < 1).any():
        levels, present, count = _pooled(levels.T, present.T, int(y_edges[-1]))
        levels, present = levels.T, present.T
        y_edges = np.arange(levels.shape[0] + 1)
        notes.append(f"each cell shows the largest of {count} rows")
    colors = look.table[level_steps(levels)]
    colors[np.isnan(levels)] = look.color("nan.ground")
    colors[~present] = look.color("panel.background")
    pixels = np.repeat(np.repeat(colors, np.diff(y_edges), axis=0), np.diff(x_edges), axis=1)
    return np.ascontiguousarray(pixels), tuple(notes)


def middles(sheet: Sheet, start: float, edges: Int[np.ndarray, "edges"]) -> list[float]:
    """Middle of every cell in points, the first edge at `start`."""
    found: list[float] = (start + (edges[:-1] + edges[1:]) / 2 * sheet.dot).tolist()
    return found


def _pooled(
    levels: Float[np.ndarray, "rows columns"], present: Bool[np.ndarray, "rows columns"], most: int
) -> tuple[Float[np.ndarray, "rows pooled"], Bool[np.ndarray, "rows pooled"], int]:
    """Columns taken together, so many that at most `most` are left: the largest level of each."""
    count = -(-levels.shape[1] // max(1, most))
    starts = np.arange(0, levels.shape[1], count)
    largest = np.fmax.reduceat(levels, starts, axis=1)
    there: Bool[np.ndarray, "rows pooled"] = np.logical_or.reduceat(present, starts, axis=1)
    return largest, there, count


def cell_edges(sheet: Sheet, sizes: Sequence[float]) -> Int[np.ndarray, "edges"]:
    """Edges of cells of `sizes` points in whole pixels, from 0 on; nothing is left out or counted twice."""
    ends = np.concatenate([[0.0], np.cumsum(sizes)])
    return np.floor(ends / sheet.dot + 0.5).astype(np.int64)


def _widest(sheet: Sheet, look: PlotLook, names: Sequence[Name]) -> float:
    size = look.text("small")
    return max((sheet.fonts.width(sheet.fonts.visible(name.text), size) for name in names), default=0.0)


def _draw_lines(
    sheet: Sheet, look: PlotLook, box: PointBox, x_edges: Int[np.ndarray, "x_edges"],
    y_edges: Int[np.ndarray, "y_edges"],
) -> None:  # fmt: skip
    """Lines of the paper between cells that are large enough."""
    left, top, right, bottom = box
    color, width = look.color("panel.background"), look.border_width * 0.6
    for edges, start, vertical in ((x_edges, left, True), (y_edges, top, False)):
        if edges.size > 2 and float(np.median(np.diff(edges))) * sheet.dot >= _LEAST_LINED:
            for edge in (start + edges[1:-1] * sheet.dot).tolist():
                ends = ((edge, top), (edge, bottom)) if vertical else ((left, edge), (right, edge))
                sheet.line(ends[0], ends[1], color, width)


def draw_parting_lines(
    sheet: Sheet, look: PlotLook, heat: HeatMap, box: PointBox, x_edges: Int[np.ndarray, "x_edges"],
    y_edges: Int[np.ndarray, "y_edges"], name: str = "parting",
) -> None:  # fmt: skip
    """The lines that part some rows and columns from the rest, such as one sentence from the next."""
    left, top, right, bottom = box
    ink, width = look.color("ink"), 1.6 * look.border_width
    if heat.columns_before:
        x = left + float(x_edges[heat.columns_before]) * sheet.dot
        sheet.path([(x, top), (x, bottom)], ink, width, name=f"{name}-columns")
    if heat.rows_before:
        y = top + float(y_edges[heat.rows_before]) * sheet.dot
        sheet.path([(left, y), (right, y)], ink, width, name=f"{name}-rows")


def _draw_columns(
    sheet: Sheet, look: PlotLook, heat: HeatMap, corner: tuple[float, float], edges: Int[np.ndarray, "edges"],
    most: float, name: str,
) -> int:  # fmt: skip
    """The names above the columns; returns how many columns there are to a name."""
    size, places = look.text("small"), middles(sheet, corner[0], edges)
    pitch = _NAME_PITCH * size if heat.turned else _widest(sheet, look, heat.columns) + pt("line_gap")
    named, every = written([column.always for column in heat.columns], places, pitch)
    for index, (column, x) in enumerate(zip(heat.columns, places, strict=True)):
        y = corner[1] - pt("line_gap") / 2
        if column.sink:
            y -= pt("sink.radius")
            sheet.disc((x, y), pt("sink.radius"), look.color("sink.fill"), look.color("sink.rim"), pt("sink.rim"))
            y -= pt("sink.radius")
        if index not in named or not column.text:
            continue
        if every > 1:
            sheet.line((x, y), (x, y - _TICK), look.color("ink.soft"), look.border_width / 2)
        words, ink = sheet.fonts.fit(sheet.fonts.visible(column.text), size, most), look.color("ink")
        own, end = f"{name}-column-{index}", y - _TICK - pt("line_gap") / 2
        if heat.turned:
            sheet.words(x + _to_middle(sheet, size), end, words, size, ink, upwards=True, name=own)
        else:
            x = min(x, sheet.width - sheet.fonts.width(words, size) / 2)  # the last may be wider than its column
            sheet.words(x, end, words, size, ink, anchor="center", name=own)
    return every


def _draw_rows(
    sheet: Sheet, look: PlotLook, heat: HeatMap, corner: tuple[float, float], edges: Int[np.ndarray, "edges"],
    most: float, name: str,
) -> int:  # fmt: skip
    """The names left of the rows; returns how many rows there are to a name."""
    size, places = look.text("small"), middles(sheet, corner[1], edges)
    named, every = written([row.always for row in heat.rows], places, _NAME_PITCH * size)
    end = corner[0] - _TICK - pt("line_gap") / 2
    for index in named:
        y = places[index]
        if every > 1:
            sheet.line((corner[0], y), (corner[0] - _TICK, y), look.color("ink.soft"), look.border_width / 2)
        words, ink = sheet.fonts.fit(sheet.fonts.visible(heat.rows[index].text), size, most), look.color("ink")
        baseline = y + _to_middle(sheet, size)
        sheet.words(end, baseline, words, size, ink, anchor="right", name=f"{name}-row-{index}")
    return every


def _to_middle(sheet: Sheet, size: float) -> float:
    """From the middle of a line of text to its baseline."""
    return (sheet.fonts.ascent - sheet.fonts.height / 2) * size


def _draw_titles(sheet: Sheet, look: PlotLook, heat: HeatMap, box: PointBox, place: tuple[float, float]) -> None:
    """What the columns and the rows are: above their names, and turned, left of them."""
    label, ascent = look.text("label"), sheet.fonts.ascent
    if heat.column_title:
        right = sheet.width - pt("margin")
        words = sheet.fonts.fit(sheet.fonts.visible(heat.column_title), label, right - place[0])
        x = min(box[0], right - sheet.fonts.width(words, label))
        sheet.words(x, place[1] + ascent * label, words, label, look.color("ink.soft"), name="column-title")
    if heat.row_title:
        words = sheet.fonts.fit(sheet.fonts.visible(heat.row_title), label, box[3] - place[1])
        half = sheet.fonts.width(words, label) / 2
        middle = min((box[1] + box[3]) / 2, box[3] - half)
        x = place[0] + ascent * label
        sheet.words(x, middle, words, label, look.color("ink.soft"), anchor="center", upwards=True, name="row-title")


def _draw_numbers(
    sheet: Sheet, look: PlotLook, heat: HeatMap, corner: tuple[float, float],
    x_edges: Int[np.ndarray, "x_edges"], y_edges: Int[np.ndarray, "y_edges"],
) -> bool:  # fmt: skip
    """The numbers in the cells, where every one of them has room; returns whether they have."""
    if heat.numbers is None:
        return False
    size, dot = look.text("small"), sheet.dot
    shown = list(zip(*np.nonzero(heat.present & ~np.isnan(heat.levels)), strict=True))
    widest = max((sheet.fonts.width(heat.numbers[row][column], size) for row, column in shown), default=0.0)
    if widest + pt("line_gap") > min(np.diff(x_edges)) * dot or 1.3 * size > min(np.diff(y_edges)) * dot:
        return False
    steps = level_steps(heat.levels)
    shift = _to_middle(sheet, size)
    columns, rows = middles(sheet, corner[0], x_edges), middles(sheet, corner[1], y_edges)
    for row, column in shown:
        red, green, blue = look.table[steps[row, column]].tolist()
        ink = readable_ink((red, green, blue), look.theme)
        sheet.words(columns[column], rows[row] + shift, heat.numbers[row][column], size, ink, anchor="center")
    return True


def _thinned(what: str, every: int) -> list[str]:
    """How many names are written, where that is not all of them."""
    return [] if every == 1 else [f"every {ordinal(every)} {what} named"]


def ordinal(number: int) -> str:
    """`2nd`, `11th`."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
