"""Layers over the steps: how much of each row lies on the images, how wide it is, how much rests on the first token.

The numbers are the scalars that a trace keeps of every layer and head, so no row is read and a trace of few recorded
rows has them of all layers. They are scalars of single heads: their mean over the heads is the share (or the weight of
the first token) of the mean row, but not its entropy or maximum, which also depend on how far the heads agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.convention import Convention, row_of_frame
from attnviz_video.analysis.heads import HeadReduction
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.core.step import StepScalars
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError

#: The scalars that a trace keeps of every layer and head.
Scalar = Literal["image_share", "entropy", "first_token", "maximum"]
SCALARS: tuple[Scalar, ...] = get_args(Scalar)
#: What each is called, with its unit.
SCALAR_NAMES: Mapping[Scalar, str] = {
    "image_share": "image share",
    "entropy": "entropy (nats)",
    "first_token": "first-token share",
    "maximum": "largest weight",
}


@dataclass(frozen=True, eq=False)
class LayerCurves:
    """One scalar of some layers over the steps."""

    scalar: Scalar
    #: Index of the image whose share it is; -1 for the other scalars.
    image: int
    layers: tuple[int, ...]
    #: float64; NaN where the convention leaves a step without a row.
    values: Float[np.ndarray, "steps layers"] = field(repr=False)


def layer_curves(
    trace: TraceData,
    scalars: Sequence[Scalar],
    layers: Sequence[int],
    head: HeadReduction,
    convention: Convention = "predicting",
) -> tuple[LayerCurves, ...]:
    """`scalars` of `layers` over the steps that a video shows; the image share once for every image.

    Of the heads' scalars the mean, the largest, or that of one head is taken, as `head` says.

    Raises:
        UsageError: the model has no such head.
        TraceError: the scalars were not recorded, or there is no step.
    """
    header = trace.header
    if head.kind == "one" and head.number >= header.model.n_heads:
        raise UsageError(
            f"--head {head.number} is out of range: the model has query heads 0 to {header.model.n_heads - 1}"
        )
    steps = shown_steps(trace)
    missing = [layer for layer in layers if layer not in header.scalar_layers]
    if missing:
        held = ", ".join(map(str, header.scalar_layers)) or "none"
        raise TraceError(
            f"the scalars of layer {missing[0]} are not in this trace (it holds those of layers: {held}); record again"
        )
    of_step = {info.index: info.scalars for info in trace.steps}
    rows = [row_of_frame(step, frozenset(steps), convention) for step in steps]
    places = [header.scalar_layers.index(layer) for layer in layers]
    found = []
    for scalar in scalars:
        for image in range(len(trace.layout.images)) if scalar == "image_share" else (-1,):
            values = np.full((len(steps), len(layers)), np.nan)
            for number, row in enumerate(rows):
                kept = None if row is None else of_step[row]
                if kept is not None:
                    values[number] = _of_heads(scalar_values(kept, scalar, image)[places], head)
            found.append(LayerCurves(scalar, image, tuple(layers), values))
    return tuple(found)


def scalar_values(kept: StepScalars, scalar: Scalar, image: int = -1) -> Float[np.ndarray, "layers heads"]:
    """One scalar of a step, of all layers and heads."""
    values: Float[np.ndarray, "layers heads"] = (
        kept.image_share[:, :, image] if scalar == "image_share" else getattr(kept, scalar)
    )
    return values


def spread_layers(wanted: Sequence[int], n_layers: int, most: int) -> tuple[int, ...]:
    """At most `most` layers from the first to the last, evenly spread; those `wanted` are among them where all fit."""
    even = np.unique(np.round(np.linspace(0, n_layers - 1, most)).astype(int)).tolist()
    for layer in wanted if len(wanted) <= most else ():
        if layer not in even:
            free = [other for other in even if other not in wanted]
            even.remove(min(free, key=lambda other: abs(other - layer)))
            even.append(layer)
    return tuple(sorted(even))


def _of_heads(values: Float[np.ndarray, "layers heads"], head: HeadReduction) -> Float[np.ndarray, "layers"]:
    if head.kind == "one":
        return values[:, head.number].astype(np.float64)
    reduced: Float[np.ndarray, "layers"] = (
        values.astype(np.float64).max(axis=1) if head.kind == "max" else (values.astype(np.float64).mean(axis=1))
    )
    return reduced
