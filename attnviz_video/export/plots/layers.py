"""Plot `layers`: from which layer does one query look at what? A curve over the layers for each key, or a heat map."""

from __future__ import annotations

import math
import re

import numpy as np

from attnviz_video.analysis.heads import parse_head
from attnviz_video.analysis.layer_comparison import (
    LayerComparison,
    QueryRows,
    compare_layers,
    query_of_step,
    query_of_text,
    recorded_layers,
)
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import PointBox, Sheet
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.plots.axes import (
    MOST_CURVES,
    Axis,
    below_room,
    draw_axes,
    draw_curve,
    least_height,
    left_room,
    number_axis,
)
from attnviz_video.export.plots.heat_map import HeatMap, Name, draw_heat_map
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.export.plots.matrix import head_words
from attnviz_video.export.plots.parts import Bar, bar_height, draw_bar, draw_notes, draw_title, draw_words, line_height
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.export.words import keyword_list
from attnviz_video.render.numbers import weight

#: Keys that are chosen where no number is given.
TOP_KEYS = 5
#: Height of the curves, greatest height of the cells, radius of the mark, length of a line in the key, height of a
#: cell, in points.
_HEIGHT, _TALLEST, _MARK, _SWATCH = 130.0, 300.0, 2.2, 14.0
#: Part of two columns that the key takes beside the curves.
_KEY_SHARE = 0.3
_CELL = 14.0
_NEVER = "never"
_IMAGE = re.compile(r"image \d+")
#: Characters of a query that go into the name of a file.
_LONGEST_NAME = 30


def layers_name(request: PlotRequest) -> str:
    """`attention_layers_chased`, `attention_layers_chased-2`, `attention_layers_step12`."""
    settings = request.settings
    if settings.token is None:
        return f"attention_layers_step{request.step_number}" if settings.step is not None else "attention_layers"
    word = re.sub(r"\W+", "-", settings.token)[:_LONGEST_NAME].strip("-") or "token"
    return f"attention_layers_{word}{f'-{settings.occurrence}' if settings.occurrence else ''}"


def draw_layers(request: PlotRequest) -> Drawn:
    """The weights of the chosen keys in every layer; where a key is first looked at is marked.

    Raises:
        UsageError: no token or a wrong one is asked for, or a key that it does not see.
        TraceError: the rows were not recorded, or those of one layer only.
    """
    found = compared(request)
    sheet = request.sheet()
    top = draw_title(request, sheet, pt("margin"))
    if len(found.keys) <= MOST_CURVES:
        top, notes = _draw_curves(request, sheet, found, top), list[str]()
    else:
        top, notes = _draw_cells(request, sheet, found, top)
    height = draw_notes(request, sheet, [*layers_words(request, found), *notes], top + pt("row_gap"))
    return request.drawn(sheet, height, f"“{found.query.text}” from layer to layer, {head_words(request)}")


def compared(request: PlotRequest) -> LayerComparison:
    """The numbers of the plot.

    Raises:
        UsageError, TraceError: as `draw_layers`.
    """
    trace, settings, head = request.trace, request.settings, parse_head(request.analysis.head)
    query = _query(request)
    layers = tuple(sorted(request.layers)) if request.layers_named else recorded_layers(trace, head)
    if len(layers) < 2:
        if request.layers_named:
            raise UsageError("--what layers compares layers: name several with --layer_idx, or leave it out for all")
        raise TraceError(f"this trace holds {head} of layer {layers[0]} only; record again with --layers all")
    keys = keyword_list(settings.keys)
    if keys and settings.top_keys is not None:
        raise UsageError(
            f"--keys names what is looked at, so --top_keys {settings.top_keys} has nothing to choose; leave one of "
            "them out"
        )
    with request.progress.track("layers", len(layers), "layer") as advance:
        return compare_layers(
            trace, query, layers, head, keys=keys, top_keys=settings.top_keys or TOP_KEYS,
            on_layer=lambda _: advance(1),
        )  # fmt: skip


def _query(request: PlotRequest) -> QueryRows:
    settings, convention = request.settings, request.analysis.convention
    if (settings.token is None) == (request.settings.step is None):
        asked = "which token? give" if settings.token is None else "--token and --step each name a query; give one:"
        raise UsageError(f"{asked} --token WORD for a word of the text, or --step N for a token of the answer")
    if settings.token is None and settings.occurrence is not None:
        raise UsageError("--occurrence counts the places of a word; name it with --token WORD in place of --step")
    if settings.token is None:
        step = request.step
        assert step is not None
        return query_of_step(request.trace, step, convention)
    query = query_of_text(request.trace, settings.token, convention, settings.occurrence)
    if query.n_occurrences > 1 and settings.occurrence is None:
        request.progress.notice(
            f"{query.text!r} stands {query.n_occurrences} times where rows were recorded; shown is number "
            f"{query.occurrence} (position {query.tokens[0]}), choose another with --occurrence"
        )
    return query


def layers_words(request: PlotRequest, found: LayerComparison) -> list[str]:
    """What the caption says: the query and its rows, the heads, what keys are, what the mark means."""
    query, settings = found.query, request.settings
    which = f" ({query.occurrence} of {query.n_occurrences})" if query.n_occurrences > 1 else ""
    counted = "token" if request.trace.is_encoding else "step"
    step = "" if settings.step is None else f", {counted} {request.step_number}"
    several = len(query.queries) > 1
    if request.trace.is_encoding or request.analysis.convention == "reading":
        rows = f"mean of the rows of its {len(query.queries)} tokens" if several else "row of the token itself"
    else:
        rows = f"mean of the rows that produced its {len(query.queries)} tokens" if several else "row that produced it"
    summed = [f"{key.label}: {key.n_occurrences} occurrences summed" for key in found.keys if key.n_occurrences > 1]
    chosen = (
        ""
        if keyword_list(settings.keys)
        else f"keys: the {len(found.keys)} heaviest words and images, first token aside"
    )
    images = "image: sum of its patches" if any(_IMAGE.fullmatch(key.label) for key in found.keys) else ""
    sign = "mark" if len(found.keys) <= MOST_CURVES else "outline"
    mark = f"{sign}: first layer with at least {weight(settings.threshold)}"
    return [f"query “{query.text}”{which}{step}", rows, head_words(request), chosen, *summed, images, mark]


def layer_axis(layers: tuple[int, ...], most: int) -> Axis:
    """The layers as an axis, with whole numbers on it."""
    axis = number_axis(min(layers), max(layers), "layer", min(most, max(layers) - min(layers)))
    return Axis(axis.low, axis.high, axis.title, tuple(tick for tick in axis.ticks if float(tick[1]).is_integer()))


def _draw_curves(request: PlotRequest, sheet: Sheet, found: LayerComparison, top: float) -> float:
    """The curves with their key; returns where they end."""
    look, margin, settings = request.look, pt("margin"), request.settings
    largest = max(float(np.nan_to_num(found.weights).max()), settings.threshold)
    two = (
        settings.columns == 2
        and _key_width(sheet, look, found, settings.threshold) <= (sheet.width - 2 * margin) * _KEY_SHARE
    )
    across = layer_axis(found.layers, 11 if settings.columns == 2 else 6)
    upwards = number_axis(0.0, min(1.0, largest * 1.08) if largest <= 1 else largest * 1.08, "attention weight")
    height = max(_HEIGHT, least_height(sheet, look, [upwards]))
    right = sheet.width - margin
    plot_right = right - (right - margin) * _KEY_SHARE if two else right - pt("gap") / 2
    box = (margin + left_room(sheet, look, upwards), top + pt("row_gap") / 2, plot_right, top + height)
    draw_axes(sheet, look, box, across, upwards)
    _draw_threshold(sheet, look, box, upwards, settings.threshold)
    # Every other curve is dashed and lies above: of two that are the same, both are seen.
    for number in sorted(range(len(found.keys)), key=_is_dashed):
        points = list(zip(found.layers, found.weights[:, number].tolist(), strict=True))
        draw_curve(sheet, look, box, (across, upwards), points, number, dashed=_is_dashed(number), name=f"key-{number}")
    _draw_marks(sheet, look, found, settings.threshold, box, (across, upwards))
    bottom = box[3] + below_room(sheet, look, across)
    if two:
        end = _draw_key(sheet, look, found, settings.threshold, (plot_right + pt("gap"), box[1]), right)
        return max(bottom, end)
    return _draw_key(sheet, look, found, settings.threshold, (margin, bottom + pt("row_gap")), right)


def _is_dashed(number: int) -> bool:
    return number % 2 == 1


def _draw_marks(
    sheet: Sheet, look: PlotLook, found: LayerComparison, threshold: float, box: PointBox, axes: tuple[Axis, Axis]
) -> None:
    """A disc on the first layer of each key; of several at one place the later are smaller, so that all are seen."""
    places: list[tuple[float, float, int]] = []
    for number, first in enumerate(found.first_above(threshold)):
        if first is not None:
            value = float(found.weights[found.layers.index(first), number])
            places.append((axes[0].place(first, box[0], box[2]), axes[1].place(value, box[3], box[1]), number))
    for order, (x, y, number) in enumerate(places):
        below = sum(math.hypot(x - other[0], y - other[1]) < _MARK for other in places[order + 1 :])
        color = look.series[number % len(look.series)]
        sheet.disc((x, y), _MARK * (1 + 0.6 * below), color, look.color("panel.background"), look.border_width)


def _draw_threshold(sheet: Sheet, look: PlotLook, box: PointBox, upwards: Axis, threshold: float) -> None:
    y = upwards.place(threshold, box[3], box[1])
    ends = [(box[0], y), (box[2], y)]
    sheet.path(ends, look.color("ink.soft"), look.border_width, dashed=True, name="threshold")


def _draw_key(
    sheet: Sheet, look: PlotLook, found: LayerComparison, threshold: float, corner: tuple[float, float], right: float
) -> float:
    """A line per key: its curve, its name, its first layer above the threshold; returns where they end."""
    left, y = corner
    pitch, small = line_height(sheet, look, "label") + pt("line_gap"), look.text("small")
    firsts = _first_words(found, threshold)
    label_size, x = look.text("label"), left + _SWATCH + pt("line_gap") * 2
    room = right - max(sheet.fonts.width(first, small) for first in firsts) - pt("gap") - x
    labels = [sheet.fonts.fit(sheet.fonts.visible(key.label), label_size, room) for key in found.keys]
    first_left = x + max(sheet.fonts.width(label, label_size) for label in labels) + pt("gap")
    for number, (label, first) in enumerate(zip(labels, firsts, strict=True)):
        middle = y + line_height(sheet, look, "label") / 2
        color = look.series[number % len(look.series)]
        line = [(left, middle), (left + _SWATCH, middle)]
        sheet.path(line, color, look.line_width, dashed=_is_dashed(number), name=f"swatch-{number}")
        if first != _NEVER:
            sheet.disc((left + _SWATCH / 2, middle), _MARK, color, look.color("panel.background"), look.border_width)
        draw_words(sheet, look, (x, y), label, "label", name=f"label-{number}")
        baseline = y + sheet.fonts.ascent * label_size
        sheet.words(first_left, baseline, first, small, look.color("ink.soft"), name=f"first-{number}")
        y += pitch
    return y


def _key_width(sheet: Sheet, look: PlotLook, found: LayerComparison, threshold: float) -> float:
    """Points that a key takes in which no name is cut."""
    labels = max(sheet.fonts.width(sheet.fonts.visible(key.label), look.text("label")) for key in found.keys)
    firsts = max(sheet.fonts.width(first, look.text("small")) for first in _first_words(found, threshold))
    return _SWATCH + 2 * pt("line_gap") + labels + pt("gap") + firsts


def _first_words(found: LayerComparison, threshold: float) -> list[str]:
    """For each key the layer from which on it is looked at."""
    return [
        _NEVER if first is None else f"from layer {first}" if first == found.layers[0] else f"first at layer {first}"
        for first in found.first_above(threshold)
    ]


def _draw_cells(request: PlotRequest, sheet: Sheet, found: LayerComparison, top: float) -> tuple[float, list[str]]:
    """Keys by layers as a heat map, the first layer of each key outlined; returns where it ends and its notes."""
    look, margin = request.look, pt("margin")
    largest = float(np.nan_to_num(found.weights).max()) or 1.0
    levels = (found.weights.T / largest).clip(0, 1)
    heat = HeatMap(
        levels,
        np.ones(levels.shape, dtype=bool),
        tuple(Name(key.label) for key in found.keys),
        tuple(Name(str(layer)) for layer in found.layers),
        column_title="layer",
        turned=False,
    )
    tallest = min(_TALLEST, _CELL * len(found.keys))
    placed = draw_heat_map(sheet, look, heat, (margin, top), sheet.width - 2 * margin, tallest, "layers")
    left, upper, right, bottom = placed.box
    wide, high = (right - left) / len(found.layers), (bottom - upper) / len(found.keys)
    for number, first in enumerate(found.first_above(request.settings.threshold)):
        if first is not None:
            x, y = left + found.layers.index(first) * wide, upper + number * high
            inset = look.border_width
            box = (x + inset, y + inset, x + wide - inset, y + high - inset)
            sheet.box(box, None, rim=look.color("ink"), rim_width=2 * look.border_width, name=f"first-{number}")
    top = bottom + pt("row_gap")
    bar = Bar("attention weight", ("0", weight(largest / 2), weight(largest)), "up to the largest weight shown")
    draw_bar(sheet, look, bar, (margin, top), sheet.width - 2 * margin)
    return top + bar_height(sheet, look), list(placed.notes)
