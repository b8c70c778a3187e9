"""The whole video in two curves: how much of each row falls on the images, and how widely each row is spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.heads import HeadReduction, reduce_heads
from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.shares import row_shares
from attnviz_video.core.step import StepScalars
from attnviz_video.core.tokens import Segment
from attnviz_video.core.trace import TraceData


@dataclass(frozen=True, eq=False)
class Timeline:
    """One value per frame and curve; NaN where the convention leaves a frame without a row, or none was recorded."""

    #: Share of the row on each image, 0 to 1, sinks included.
    image_share: Float[np.ndarray, "frames images"]
    #: Shannon entropy in nats.
    entropy: Float[np.ndarray, "frames"]
    #: Whether `entropy` is the mean of the heads' entropies; else it is that of the row shown.
    entropy_of_heads: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """Frames `start` to `stop` (exclusive) whose current tokens are of one segment."""

    segment: Segment
    start: int
    stop: int


def timeline(scores: Scores) -> Timeline:
    """The curves of all frames of `scores`, by their rows as recorded, whatever `--sinks` says.

    The numbers come from the scalars of the trace, without reading a row: the share of the mean row is the mean of the
    heads' shares, and the entropy is the mean of the heads' entropies (that of a mean row is larger: it also counts how
    much the heads disagree). A maximum over heads is no distribution: the mean stands for it, as in `Scores.shares`.
    Where a trace lacks the scalars of this layer at any step, all of it is computed from the rows shown.
    """
    recorded = frozenset(scores.steps)
    row_steps = [row_of_frame(step, recorded, scores.settings.convention) for step in scores.steps]
    share = np.full((scores.n_frames, len(scores.trace.layout.images)), np.nan, dtype=np.float64)
    entropy = np.full(scores.n_frames, np.nan, dtype=np.float64)
    scalars = _scalars(scores, {step for step in row_steps if step is not None})
    head = HeadReduction("mean") if scores.head.kind == "max" else scores.head
    is_shown = scores.is_shown
    for number, step in enumerate(row_steps):
        if step is None:
            continue
        if scalars:
            share[number], entropy[number] = _of_scalars(scalars[step], scores)
        else:
            row = reduce_heads(scores.trace, step, scores.layer, head)
            share[number], entropy[number] = row_shares(row, scores.regions, is_shown).images, row_entropy(row)
    clean = [np.where(np.isfinite(values), values, np.nan) for values in (share, entropy)]
    return Timeline(clean[0], clean[1], entropy_of_heads=bool(scalars) and head.kind != "one")


def _scalars(scores: Scores, steps: set[int]) -> dict[int, StepScalars]:
    """The scalars of `steps`; none at all where this layer's are not kept at one of them."""
    if scores.layer not in scores.trace.header.scalar_layers:
        return {}
    kept = {info.index: info.scalars for info in scores.trace.steps if info.scalars is not None}
    return {step: kept[step] for step in steps} if steps <= kept.keys() else {}


def _of_scalars(scalars: StepScalars, scores: Scores) -> tuple[Float[np.ndarray, "images"], float]:
    """Image shares and entropy of one step."""
    layer = scores.trace.header.scalar_layers.index(scores.layer)
    shares, entropies = scalars.image_share[layer].astype(np.float64), scalars.entropy[layer].astype(np.float64)
    if scores.head.kind == "one":
        return shares[scores.head.number], float(entropies[scores.head.number])
    return shares.mean(axis=0), float(entropies.mean())


def row_entropy(row: Float[np.ndarray, "keys"]) -> float:
    """Shannon entropy of a row in nats, as shares of its sum; NaN where the row has no weight or one that is none."""
    total = float(row.sum(dtype=np.float64))
    if not (np.isfinite(total) and total > 0 and bool((row >= 0).all())):
        return float("nan")
    shares = row[row > 0].astype(np.float64) / total
    return float(-(shares * np.log(shares)).sum())


def segment_stretches(scores: Scores) -> tuple[Stretch, ...]:
    """The segments of the answer as stretches of frames, in order; together they are all frames."""
    return stretches_of(scores.trace, scores.steps)


def stretches_of(trace: TraceData, steps: Sequence[int]) -> tuple[Stretch, ...]:
    """The segments of the answer as stretches of `steps`, in order; together they are all of them.

    White space and special tokens that belong to no segment go with the one before, as above the text and in the
    chapters; white space before the first goes with that.
    """
    answer = trace.tokens[trace.n_prompt :]
    own = [token.segment for token in answer]
    for number, token in enumerate(answer):
        if number and own[number] == "other" and (token.special or not token.piece.strip()):
            own[number] = own[number - 1]
    first = next((number for number, token in enumerate(answer) if own[number] != "other" or token.piece.strip()), 0)
    own[:first] = [own[first]] * first if own else []
    segments = [own[step] for step in steps]
    starts = [number for number in range(len(segments)) if number == 0 or segments[number] != segments[number - 1]]
    stops = [*starts[1:], len(segments)]
    return tuple(Stretch(segments[start], start, stop) for start, stop in zip(starts, stops, strict=True))
