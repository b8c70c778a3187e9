"""The image weights of every head of a layer at one step, and the scale they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.regions import regions_of
from attnviz_video.analysis.scale import COVERED, WeightTally
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.sinks import SinkTally, masked, relative
from attnviz_video.core.scores import ColorScale, Sink
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError


@dataclass(frozen=True, eq=False)
class HeadImages:
    """What every recorded head of a layer gives to the patches at one step."""

    #: Numbers of the heads, as the trace holds them.
    heads: tuple[int, ...]
    #: One array per image; sinks treated as the settings say.
    images: tuple[Float[np.ndarray, "heads _"], ...]
    #: Share of every head's row on each image, as recorded.
    shares: Float[np.ndarray, "heads images"]
    #: One for all heads: "image" is its only region in use.
    scale: ColorScale
    #: Positions that take attention in the mean of these heads whatever is written.
    sinks: tuple[Sink, ...]


def head_images(trace: TraceData, layer: int, step: int, settings: AnalysisSettings) -> HeadImages:
    """The weights of the heads of `layer` behind the frame of answer token `step`, and their scale.

    The scale is found as for a video, with a head in the place of a frame (see `analysis.scale`). Sinks, and the mean
    that `--sinks relative` divides by, are those of all steps shown.

    Raises:
        UsageError: the convention leaves the step without a row.
    """
    steps = shown_steps(trace)
    row_step = row_of_frame(step, frozenset(steps), settings.convention)
    if row_step is None:
        raise UsageError(
            "nothing was written after the last token, so it has no row with --convention reading; "
            "choose an earlier step with --step"
        )
    regions = regions_of(trace.layout, len(trace.tokens), settings.areas)
    tally, own = SinkTally(regions), [SinkTally(regions) for _ in trace.header.heads]
    for number in steps:
        rows = trace.rows.head_rows(number, layer)
        tally.add(rows.mean(axis=0, dtype=np.float64).astype(np.float32))
        for head, row in zip(own, rows, strict=True):
            head.add(row)
    sinks = tally.sinks()
    rows = trace.rows.head_rows(row_step, layer).astype(np.float32, copy=False)
    shares = np.stack([rows[:, positions].sum(axis=1, dtype=np.float64) for positions in regions.patches], axis=1)
    if settings.sinks == "mask":
        rows = np.stack([masked(row, sinks) for row in rows])
    elif settings.sinks == "relative":
        rows = np.stack([relative(row, head.position_mean()) for row, head in zip(rows, own, strict=True)])
    images = tuple(rows[:, positions] for positions in regions.patches)
    tops = WeightTally()
    for number in range(len(rows)):
        for image, weights in enumerate(images):
            is_sink = np.zeros(weights.shape[1], dtype=bool)
            is_sink[[sink.patch for sink in sinks if sink.image == image]] = True
            painted = regions.painted[image]
            tops.add_row("image", weights[number, painted & ~is_sink], weights[number, painted & is_sink])
    scale = tops.scale(covered=COVERED, joint=False, gamma=settings.gamma)
    return HeadImages(trace.header.heads, images, shares, scale, sinks)
