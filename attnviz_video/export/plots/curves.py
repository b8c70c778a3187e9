"""Plot `curves`: what becomes of some layers over the steps. A line per layer, or a heat map of many layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.heads import parse_head
from attnviz_video.analysis.layer_curves import SCALAR_NAMES, SCALARS, LayerCurves, Scalar, layer_curves, spread_layers
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.analysis.timeline import Stretch, stretches_of
from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.errors import UsageError
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
from attnviz_video.export.plots.parts import Bar, bar_height, draw_bar, draw_notes, draw_title, draw_words, line_height
from attnviz_video.export.plots.request import PlotRequest, layer_words
from attnviz_video.render.numbers import weight
from attnviz_video.theme import Rgb

#: Heights of one panel of curves among others and alone, of the cells of one heat map, of the strip of segments and
#: length of a line in the key, in points.
_PANEL, _ALONE, _TALLEST, _STRIP, _SWATCH = 62.0, 130.0, 96.0, 3.0, 12.0
#: Segments that are marked.
_MARKED = ("think", "answer")
#: Steps from which on curves are drawn thinner, and how much.
_DENSE, _THIN = 80, 0.6
#: Points from which on there is room for more.
_WIDE = 300.0
#: How much of a segment's colour the ground behind curves has.
_GROUND = 0.45


@dataclass(frozen=True)
class _Curves:
    """What is drawn."""

    panels: tuple[LayerCurves, ...]
    layers: tuple[int, ...]
    stretches: tuple[Stretch, ...]
    n_steps: int
    #: What a step is: one of the answer, or in an encoding a token of the text.
    step_word: str


def curves_name(request: PlotRequest) -> str:
    """`attention_curves`, `attention_curves_entropy_layers3-8`."""
    scalar, layers = request.settings.scalar, tuple(dict.fromkeys(request.layers))
    many = len(layers) > MOST_CURVES
    named = "" if not request.layers_named else f"_{len(layers)}layers" if many else f"_{layer_words(layers)}"
    return f"attention_curves{f'_{scalar}' if scalar else ''}{named}"


def draw_curves(request: PlotRequest) -> Drawn:
    """One panel per scalar, and per image for its share; the steps run from left to right.

    Raises:
        UsageError: a share of images without images, or a head that the model does not have.
        TraceError: the scalars were not recorded, or there is no step.
    """
    found = read_curves(request)
    sheet, look = request.sheet(), request.look
    top = draw_title(request, sheet, pt("margin"))
    if found.n_steps > _DENSE:
        look = replace(look, line_width=look.line_width * _THIN)
    if len(found.layers) <= MOST_CURVES:
        top, notes = _draw_lines(sheet, look, found, top), list[str]()
    else:
        top, notes = _draw_cells(sheet, look, found, top)
    height = draw_notes(request, sheet, [*curves_words(request, found), *notes], top + pt("row_gap"))
    return request.drawn(sheet, height, f"curves of {layer_words(found.layers)}")


def read_curves(request: PlotRequest) -> _Curves:
    """The numbers of the plot.

    Raises:
        UsageError, TraceError: as `draw_curves`.
    """
    trace = as_steps(request.trace)
    n_images, asked = len(trace.layout.images), request.settings.scalar
    if asked == "image_share" and not n_images:
        raise UsageError("--scalar image_share: this trace has no images; choose entropy, first_token or maximum")
    scalars: Sequence[Scalar] = (asked,) if asked else [one for one in SCALARS if n_images or one != "image_share"]
    layers = tuple(sorted(set(request.layers)))
    if not request.layers_named:
        layers = spread_layers(request.layers, trace.header.model.n_layers, MOST_CURVES)
    convention = "predicting" if trace.is_encoding else request.analysis.convention
    panels = layer_curves(trace, scalars, layers, parse_head(request.analysis.head), convention)
    steps = shown_steps(trace)
    stretches = () if trace.is_encoding else stretches_of(trace, steps)
    return _Curves(
        panels,
        layers,
        stretches if any(one.segment != "other" for one in stretches) else (),
        len(steps),
        "token" if trace.is_encoding else "step",
    )


def curves_words(request: PlotRequest, found: _Curves) -> list[str]:
    """What the caption says: the heads, the rows, how layers were chosen."""
    n_heads, head = request.trace.header.model.n_heads, request.analysis.head
    of_heads = {"mean": f"mean of the values of {n_heads} heads", "max": f"largest value of {n_heads} heads"}
    if request.trace.is_encoding:
        rows = "row of each token"
    else:
        rows = {"predicting": "row that produced each token", "reading": "row of each token itself"}[
            request.analysis.convention
        ]
    some = len(found.layers) < request.trace.header.model.n_layers and not request.layers_named
    chosen = "layers spread over the depth" if some else ""
    return [
        f"{found.n_steps} {found.step_word}{'s' if found.n_steps > 1 else ''}",
        rows,
        of_heads.get(head, f"head {head}"),
        chosen,
    ]


def panel_title(panel: LayerCurves, n_images: int) -> str:
    """`image share`, `share of image 2`, `entropy (nats)`."""
    return f"share of image {panel.image + 1}" if panel.image >= 0 and n_images > 1 else SCALAR_NAMES[panel.scalar]


def _draw_lines(sheet: Sheet, look: PlotLook, found: _Curves, top: float) -> float:
    """The key, then the panels under each other over one axis of steps; returns where they end."""
    margin, n_images = pt("margin"), sum(panel.image >= 0 for panel in found.panels)
    upwards = [_value_axis(panel, panel_title(panel, n_images), len(found.panels) > 1) for panel in found.panels]
    left = margin + max(left_room(sheet, look, axis) for axis in upwards)
    right = sheet.width - margin - pt("gap") / 2
    across = number_axis(1, max(2, found.n_steps), found.step_word, 8 if sheet.width > _WIDE else 5)
    across = Axis(across.low, across.high, across.title, _whole_ticks(across, found.n_steps))
    direct = _fit_over_their_stretches(sheet, look, found.stretches, across, right - left)
    top = _draw_key(sheet, look, found.layers, () if direct else found.stretches, top) + pt("row_gap")
    if found.stretches and direct:
        _draw_segment_names(sheet, look, found.stretches, across, (left, top, right, top))
        top += line_height(sheet, look) + pt("line_gap") / 2
    height = max(_ALONE if len(found.panels) == 1 else _PANEL, least_height(sheet, look, upwards))
    for number, (panel, axis) in enumerate(zip(found.panels, upwards, strict=True)):
        box = (left, top, right, top + height)
        _draw_bands(sheet, look, found.stretches, across, box)
        last = number == len(found.panels) - 1
        shown = across if last else Axis(across.low, across.high, "", tuple((place, "") for place, _ in across.ticks))
        draw_axes(sheet, look, box, shown, axis)
        for series, layer in enumerate(panel.layers):
            points = [(step + 1.0, value) for step, value in enumerate(panel.values[:, series].tolist())]
            draw_curve(sheet, look, box, (across, axis), points, series, name=f"curve-{_name_of(panel)}-layer{layer}")
            _draw_lone_points(sheet, look, box, (across, axis), points, series)
        top = box[3] + (below_room(sheet, look, across) if last else pt("row_gap") * 1.6)
    return top


def _value_axis(panel: LayerCurves, title: str, small: bool) -> Axis:
    values = panel.values[np.isfinite(panel.values)]
    largest = float(values.max(initial=0.0)) or 1.0
    return number_axis(0.0, largest * 1.05, title, 3 if small else 5)


def _whole_ticks(axis: Axis, n_steps: int) -> tuple[tuple[float, str], ...]:
    """The first step and round ones after it."""
    ticks = [(value, text) for value, text in axis.ticks if value >= 1 and float(value).is_integer()]
    least = (axis.high - axis.low) / 16
    kept = [(value, f"{value:.0f}") for value, _ in ticks if 1 + least < value <= n_steps]
    return ((1.0, "1"), *kept)


def _draw_key(sheet: Sheet, look: PlotLook, layers: Sequence[int], stretches: Sequence[Stretch], top: float) -> float:
    """The layers with their colours, then the segments with theirs, in as many lines as needed; returns where they
    end.
    """
    margin, size = pt("margin"), look.text("label")
    x, y, pitch = margin, top, line_height(sheet, look, "label")
    segments = list(dict.fromkeys(stretch.segment for stretch in stretches if stretch.segment in _MARKED))
    for number, words in enumerate([*(f"layer {layer}" for layer in layers), *map(SEGMENT_NAMES.get, segments)]):
        own = _SWATCH + 2 * pt("line_gap") + sheet.fonts.width(str(words), size)
        if x > margin and x + own > sheet.width - margin:
            x, y = margin, y + pitch
        if number < len(layers):
            line = [(x, y + pitch / 2), (x + _SWATCH, y + pitch / 2)]
            color = look.series[number % len(look.series)]
            sheet.path(line, color, look.line_width * 1.5, name=f"swatch-{layers[number]}")
        else:
            fill = look.color(f"{'segment' if layers else 'gutter'}.{segments[number - len(layers)]}")
            sheet.box((x, y + pitch * 0.2, x + _SWATCH, y + pitch * 0.8), fill)
        draw_words(sheet, look, (x + _SWATCH + 2 * pt("line_gap"), y), str(words), "label")
        x += own + pt("gap")
    return y + pitch if x > margin else top


def _fit_over_their_stretches(
    sheet: Sheet, look: PlotLook, stretches: Sequence[Stretch], across: Axis, width: float
) -> bool:
    """Whether the name of every segment fits over one of its stretches; else a key names them."""
    if not stretches:
        return True
    spans = _spans(stretches, across, 0.0, width)
    fitting = {
        stretch.segment
        for stretch, (start, stop) in zip(stretches, spans, strict=True)
        if sheet.fonts.width(SEGMENT_NAMES[stretch.segment], look.text("small")) <= stop - start
    }
    return {stretch.segment for stretch in stretches if stretch.segment in _MARKED} <= fitting


def _spans(stretches: Sequence[Stretch], across: Axis, left: float, right: float) -> list[tuple[float, float]]:
    """Where each stretch begins and ends, in points: half a step before its first and after its last."""
    edges = [across.place(stretch.start + 0.5, left, right) for stretch in stretches]
    edges.append(across.place(stretches[-1].stop + 0.5, left, right))
    return [(max(left, start), min(right, stop)) for start, stop in zip(edges, edges[1:], strict=False)]


def _draw_bands(sheet: Sheet, look: PlotLook, stretches: Sequence[Stretch], across: Axis, box: PointBox) -> None:
    """The ground behind thinking and answer."""
    if not stretches:
        return
    for stretch, (start, stop) in zip(stretches, _spans(stretches, across, box[0], box[2]), strict=True):
        if stretch.segment in _MARKED:
            ground = _mixed(look.color("panel.background"), look.color(f"segment.{stretch.segment}"))
            sheet.box((start, box[1], stop, box[3]), ground)


def _mixed(paper: Rgb, color: Rgb) -> Rgb:
    """A shade so faint that curves of every colour stand out."""
    red, green, blue = (round(low + (high - low) * _GROUND) for low, high in zip(paper, color, strict=True))
    return red, green, blue


def _draw_segment_names(
    sheet: Sheet, look: PlotLook, stretches: Sequence[Stretch], across: Axis, box: PointBox
) -> None:
    """The names of segments at the top of `box`, where their stretches have room for them."""
    size = look.text("small")
    for stretch, (start, stop) in zip(stretches, _spans(stretches, across, box[0], box[2]), strict=True):
        words = SEGMENT_NAMES[stretch.segment]
        if stretch.segment in _MARKED and sheet.fonts.width(words, size) <= stop - start:
            draw_words(sheet, look, (start, box[1]), words, "small", f"gutter.{stretch.segment}")


def _draw_lone_points(
    sheet: Sheet, look: PlotLook, box: PointBox, axes: tuple[Axis, Axis], points: Sequence[tuple[float, float]],
    series: int,
) -> None:  # fmt: skip
    """A disc where a value has no neighbour, which no line would show."""
    finite = [False, *np.isfinite([value for _, value in points]).tolist(), False]
    for number, (x, y) in enumerate(points, 1):
        if finite[number] and not finite[number - 1] and not finite[number + 1]:
            place = (axes[0].place(x, box[0], box[2]), axes[1].place(y, box[3], box[1]))
            color = look.series[series % len(look.series)]
            sheet.disc(place, look.line_width, color, color, 0.0)


def _draw_cells(sheet: Sheet, look: PlotLook, found: _Curves, top: float) -> tuple[float, list[str]]:
    """A heat map per scalar, layers by steps, with its own scale; returns where they end and their notes.

    Over two columns two of them stand side by side.
    """
    margin, gap = pt("margin"), pt("gap")
    top = _draw_segment_key(sheet, look, found, top)
    beside = 2 if len(found.panels) > 1 and sheet.width > _WIDE else 1
    width = (sheet.width - 2 * margin - (beside - 1) * gap) / beside
    notes: list[str] = []
    for first in range(0, len(found.panels), beside):
        ends = []
        for place, panel in enumerate(found.panels[first : first + beside]):
            end, own = _draw_map(sheet, look, found, panel, (margin + place * (width + gap), top), width)
            ends.append(end)
            notes += [note for note in own if note not in notes]
        top = max(ends) + pt("row_gap")
    return top - pt("row_gap"), notes


def _draw_map(
    sheet: Sheet, look: PlotLook, found: _Curves, panel: LayerCurves, corner: tuple[float, float], width: float
) -> tuple[float, list[str]]:
    """One heat map with its steps and its colours below; returns where it ends and its notes."""
    n_images = sum(panel.image >= 0 for panel in found.panels)
    largest = float(np.nan_to_num(panel.values).max()) or 1.0
    name = _name_of(panel)
    heat = HeatMap(
        (panel.values.T / largest).clip(0, 1),
        np.ones(panel.values.T.shape, dtype=bool),
        tuple(Name(str(layer)) for layer in panel.layers),
        (Name(""),) * found.n_steps,
        row_title="layer",
    )
    tallest = _TALLEST * (2 if len(found.panels) == 1 else 1)
    placed = draw_heat_map(sheet, look, heat, corner, width, tallest, f"cells-{name}")
    left, _, right, _ = placed.box
    bottom = _draw_steps(sheet, look, found, placed.box)
    bar = Bar(panel_title(panel, n_images), ("0", weight(largest / 2), weight(largest)))
    draw_bar(sheet, look, bar, (left, bottom + pt("line_gap")), right - left, f"bar-{name}")
    notes = [note for note in placed.notes if "column named" not in note]
    return bottom + bar_height(sheet, look) - line_height(sheet, look) + pt("line_gap"), notes


def _draw_steps(sheet: Sheet, look: PlotLook, found: _Curves, cells: PointBox) -> float:
    """The strip of segments under the cells and the numbers of steps under it; returns where they end."""
    left, _, right, top = cells
    across = Axis(0.5, found.n_steps + 0.5)
    if found.stretches:
        top = _draw_strip(sheet, look, found, across, (left, top, right, top + _STRIP))
    numbers = number_axis(1, max(2, found.n_steps), "", 10 if right - left > _WIDE else 5)
    baseline = top + pt("line_gap") / 2 + sheet.fonts.ascent * look.text("small")
    for value, text in _whole_ticks(numbers, found.n_steps):
        x = across.place(value, left, right)
        sheet.words(x, baseline, text, look.text("small"), look.color("ink"), anchor="center")
    label, title = look.text("label"), found.step_word
    x, half = (left + right) / 2, sheet.fonts.width(title, label) / 2
    baseline += line_height(sheet, look)
    sheet.words(x - half, baseline, title, label, look.color("ink.soft"))
    return top + pt("line_gap") / 2 + line_height(sheet, look) + line_height(sheet, look, "label")


def _draw_segment_key(sheet: Sheet, look: PlotLook, found: _Curves, top: float) -> float:
    """What the strips under the cells mean; returns where it ends."""
    if not found.stretches:
        return top
    return _draw_key(sheet, look, (), found.stretches, top) + pt("row_gap") / 2


def _draw_strip(sheet: Sheet, look: PlotLook, found: _Curves, across: Axis, box: PointBox) -> float:
    """Thinking and answer as a coloured strip; returns where it ends."""
    left, top, right, bottom = box
    for stretch, (start, stop) in zip(found.stretches, _spans(found.stretches, across, left, right), strict=True):
        if stretch.segment in _MARKED:
            sheet.box((start, top, stop, bottom), look.color(f"gutter.{stretch.segment}"))
    return bottom


def _name_of(panel: LayerCurves) -> str:
    """What a panel is called in an SVG: `entropy`, `image_share-1`."""
    return panel.scalar + (f"-{panel.image + 1}" if panel.image >= 0 else "")
