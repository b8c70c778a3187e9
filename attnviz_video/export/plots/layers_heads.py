"""Plot `layers_heads`: one number of every layer and head, from the scalars of the trace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.core.step import StepScalars
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.plots.heat_map import HeatMap, Name, draw_heat_map
from attnviz_video.export.plots.parts import Bar, bar_height, draw_bar, draw_notes, draw_title, draw_words, line_height
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.render.numbers import weight

_TALLEST = 480.0
#: What the scalars are called, and in which unit they are given.
SCALAR_WORDS: Mapping[str, str] = {
    "image_share": "share of the row on the images",
    "entropy": "entropy of the row in nats",
    "first_token": "weight of the first token",
    "maximum": "largest weight of the row",
}


@dataclass(frozen=True, eq=False)
class LayersHeads:
    """One number of every recorded layer and head."""

    #: Numbers of the layers, ascending.
    layers: tuple[int, ...]
    values: Float[np.ndarray, "layers heads"]
    #: How many steps it is the mean of.
    n_steps: int


def layers_heads_name(request: PlotRequest) -> str:
    """`attention_layers_heads_entropy`, `attention_layers_heads_entropy_step12`."""
    step = request.settings.step
    return f"attention_layers_heads_{asked_scalar(request)}{'' if step is None else f'_step{request.step_number}'}"


def asked_scalar(request: PlotRequest) -> str:
    """The number that is plotted: `--scalar`, else the share of the images, or the entropy where there are none."""
    return request.settings.scalar or ("image_share" if request.trace.layout.images else "entropy")


def draw_layers_heads(request: PlotRequest) -> Drawn:
    """Layers from top to bottom, heads from left to right; one map for each image where the number is of images.

    Raises:
        UsageError: a share of images without images, or a step without a row.
        TraceError: no scalars were recorded, or not those of a layer that is asked for.
    """
    if request.analysis.head != "mean":
        raise UsageError(f"--head {request.analysis.head}: --what layers_heads shows every head; leave out --head")
    panels = layers_heads_panels(request)
    sheet, look, margin, gap = request.sheet(), request.look, pt("margin"), pt("gap")
    start = draw_title(request, sheet, margin)
    stack = np.stack([panel.values for panel in panels.values()])
    low = float(stack.min()) if asked_scalar(request) == "entropy" else 0.0  # no row is near an entropy of 0
    high = float(stack.max())
    width = (sheet.width - 2 * margin - (len(panels) - 1) * gap) / len(panels)
    bottom, notes = start, []
    first = next(iter(panels.values()))
    turn = len(first.layers) > 1.5 * first.values.shape[1]  # the longer side lies across
    for number, (title, panel) in enumerate(panels.items()):
        left, top = margin + number * (width + gap), start
        if title:
            draw_words(sheet, look, (left, top), title, "label", bold=True)
            top += line_height(sheet, look, "label") + pt("line_gap")
        values = panel.values.T if turn else panel.values
        sides = [("layer", tuple(Name(str(layer)) for layer in panel.layers))]
        sides.append(("head", tuple(Name(str(head)) for head in range(panel.values.shape[1]))))
        (row_title, rows), (column_title, columns) = sides[::-1] if turn else sides
        heat = HeatMap(
            np.clip((values - low) / ((high - low) or 1.0), 0.0, 1.0).astype(np.float32),
            np.ones(values.shape, dtype=bool),
            rows,
            columns,
            row_title=row_title,
            column_title=column_title,
            turned=False,
            numbers=tuple(tuple(weight(value) for value in row) for row in values.tolist()),
        )
        placed = draw_heat_map(sheet, look, heat, (left, top), width, _TALLEST, f"cells-{number + 1}")
        bottom, notes = max(bottom, placed.box[3]), list(placed.notes)
    top = bottom + pt("row_gap")
    numbers = (weight(low), weight((low + high) / 2), weight(high))
    kind = "from the smallest to the largest" if low else "one scale"
    draw_bar(sheet, look, Bar(SCALAR_WORDS[asked_scalar(request)], numbers, kind), (margin, top), sheet.width)
    top += bar_height(sheet, look) + pt("line_gap")
    height = draw_notes(request, sheet, [*_steps_words(request, first), *_largest(panels), *notes], top)
    return request.drawn(sheet, height, f"layers and heads, {SCALAR_WORDS[asked_scalar(request)]}")


def layers_heads_panels(request: PlotRequest) -> dict[str, LayersHeads]:
    """The maps by title: one in all, or with several images one for each.

    Raises:
        UsageError, TraceError: as `draw_layers_heads`.
    """
    trace, scalar = as_steps(request.trace), asked_scalar(request)
    header = trace.header
    n_images = len(request.trace.layout.images)
    if scalar == "image_share" and not n_images:
        raise UsageError(
            "--scalar image_share: this trace has no image; choose --scalar entropy, first_token or maximum"
        )
    layers = header.scalar_layers
    if request.layers_named:
        missing = sorted(set(request.layers) - set(layers))
        if missing:
            raise TraceError(
                f"the scalars of layer {missing[0]} are not in this trace; record again with --layers {missing[0]}"
            )
        layers = request.layers
    found = _scalars(request, trace)
    if not found or not layers:
        raise TraceError("this trace holds no scalars of its layers; record it again to plot --what layers_heads")
    order = sorted(layers)
    rows = [header.scalar_layers.index(layer) for layer in order]

    def panel(values: list[Float[np.ndarray, "layers heads"]]) -> LayersHeads:
        stack = np.stack(values).astype(np.float64)[:, rows]
        return LayersHeads(tuple(order), stack.mean(axis=0), len(values))

    if scalar != "image_share":
        return {"": panel([getattr(scalars, scalar) for scalars in found])}
    if n_images == 1 or n_images > 4 or request.settings.columns == 1:
        return {"": panel([scalars.image_share.sum(axis=2) for scalars in found])}
    return {
        f"image {image + 1}": panel([scalars.image_share[:, :, image] for scalars in found])
        for image in range(n_images)
    }


def _scalars(request: PlotRequest, trace: TraceData) -> list[StepScalars]:
    """The scalars of every step shown, or of the one asked for.

    Raises:
        UsageError: the convention leaves that step without a row.
    """
    steps = shown_steps(trace)
    wanted = set(steps)
    if request.step is not None:
        convention = "predicting" if trace.is_encoding else request.analysis.convention
        row = row_of_frame(request.step, frozenset(steps), convention)
        if row is None:
            raise UsageError(
                f"--step {request.settings.step}: nothing was written after this token, so it has no row with "
                "--convention reading; choose an earlier step"
            )
        wanted = {row}
    return [info.scalars for info in trace.steps if info.index in wanted and info.scalars is not None]


def _steps_words(request: PlotRequest, panel: LayersHeads) -> list[str]:
    """Which steps the numbers are of."""
    if request.step is not None:
        count = len(shown_steps(as_steps(request.trace)))
        return [f"{'query' if request.trace.is_encoding else 'step'} {request.step_number} of {count}"]
    return [f"mean of {panel.n_steps} {'queries' if request.trace.is_encoding else 'steps'}"]


def _largest(panels: Mapping[str, LayersHeads]) -> list[str]:
    """Where the largest number is."""
    words = []
    for title, panel in panels.items():
        layer, head = np.unravel_index(int(np.nanargmax(panel.values)), panel.values.shape)
        where = f"layer {panel.layers[layer]} head {head}"
        words.append(f"largest{f' ({title})' if title else ''}: {weight(float(panel.values[layer, head]))} at {where}")
    return words
