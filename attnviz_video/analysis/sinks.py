"""Attention sinks: positions that take attention whatever is being written.

Xiao et al. 2023, "Efficient Streaming Language Models with Attention Sinks": the first positions of a text
take a large share of attention regardless of their meaning (the four first are kept there). Kang et al. 2025,
"See What You Are Told: Visual Attention Sink in Large Multimodal Models": some image patches do so too.
Both papers describe a weight that is *high at every query*, which is what is tested here, on the rows shown:

    in a step, position p is high  ⇔  w_p ≥ FACTOR · median of its region, and
                                      w_p ≥ TEXT_SHARE (IMAGE_SHARE) · sum of its region
    p is a sink                    ⇔  p is high in ≥ PRESENCE of all shown steps

A patch of an object is high only while the object is spoken of, so it is not a sink. In a video of few steps
the two cannot be told apart: there, only the first positions of the text can be sinks. An object that the
model looks at in more than nine steps of ten cannot be told from a sink by its weights either; since the
default only marks sinks, the picture stays true then.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float, Int

from attnviz_video.analysis.regions import Regions
from attnviz_video.core.scores import Sink

FACTOR = 5.0
TEXT_SHARE = 0.1
IMAGE_SHARE = 0.03
PRESENCE = 0.9
#: Steps needed to call a position a sink, unless it is one of the first.
MIN_STEPS = 8
#: Positions at the start of the text that are known to be sinks, for which a single step is enough.
FIRST_POSITIONS = 4
#: Smallest mean that `relative` divides by (the smallest normal fp16 number): below it, the quotient
#: would show the rounding of the stored rows.
SMALLEST_MEAN = 2.0**-14


class SinkTally:
    """Takes the shown rows one by one and keeps a few numbers per position, none per step."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._n_steps = 0
        self._high = np.zeros(regions.n_positions, dtype=np.int64)
        self._seen = np.zeros(regions.n_positions, dtype=np.int64)
        self._sum = np.zeros(regions.n_positions, dtype=np.float64)

    def add(self, row: Float[np.ndarray, "keys"]) -> None:
        """Count one row; values that are not finite or negative count as absent."""
        valid = np.isfinite(row) & (row >= 0)
        weights = np.where(valid, row, 0.0)
        keys = row.shape[0]
        self._n_steps += 1
        self._seen[:keys] += valid
        self._sum[:keys] += weights
        text = np.flatnonzero(self._regions.is_text[:keys])
        image = np.concatenate([*self._regions.patches, np.zeros(0, dtype=np.int64)])
        self._high[text[_high(weights[text], TEXT_SHARE)]] += 1
        self._high[image[_high(weights[image], IMAGE_SHARE)]] += 1

    def position_mean(self) -> Float[np.ndarray, "positions"]:
        """Mean weight of every position over the rows that see it; 0 where none does."""
        return self._sum / np.maximum(self._seen, 1)

    def sinks(self) -> tuple[Sink, ...]:
        """The sinks among the rows added so far, heaviest first."""
        if self._n_steps == 0:
            return ()
        found = self._high >= PRESENCE * self._n_steps
        if self._n_steps < MIN_STEPS:
            found[FIRST_POSITIONS:] = False
        found[:FIRST_POSITIONS] &= self._high[:FIRST_POSITIONS] > 0
        mean = self.position_mean()
        image_of, patch_of = _owners(self._regions)
        order = sorted((int(position) for position in np.flatnonzero(found)), key=lambda position: -mean[position])
        return tuple(Sink(p, float(mean[p]), int(image_of[p]), int(patch_of[p])) for p in order)


def find_sinks(rows: Iterable[Float[np.ndarray, "_"]], regions: Regions) -> tuple[Sink, ...]:
    """The sinks of the shown `rows` (each of the positions its query sees), heaviest first."""
    tally = SinkTally(regions)
    for row in rows:
        tally.add(row)
    return tally.sinks()


def masked(row: Float[np.ndarray, "keys"], sinks: Iterable[Sink]) -> Float[np.ndarray, "keys"]:
    """`--sinks mask`: `row` with NaN at the sinks."""
    positions = np.array([sink.position for sink in sinks if sink.position < row.shape[0]], dtype=np.int64)
    result = row.copy()
    result[positions] = np.nan
    return result


def relative(row: Float[np.ndarray, "keys"], mean: Float[np.ndarray, "positions"]) -> Float[np.ndarray, "keys"]:
    """`--sinks relative`: every weight over its position's mean in the video, so 1 is "as much as usual".

    This takes every constant preference out, of sinks and of all other positions alike.
    """
    quotient: np.ndarray = row / np.maximum(mean[: row.shape[0]], SMALLEST_MEAN)
    return quotient.astype(np.float32)


def _high(weights: Float[np.ndarray, "region"], share: float) -> Bool[np.ndarray, "region"]:
    if weights.size == 0:
        return np.zeros(0, dtype=bool)
    threshold = max(FACTOR * float(np.median(weights)), share * float(weights.sum()))
    return (weights >= threshold) & (weights > 0)


def _owners(regions: Regions) -> tuple[Int[np.ndarray, "positions"], Int[np.ndarray, "positions"]]:
    """Image and patch of every position, -1 for text."""
    image_of = np.full(regions.n_positions, -1, dtype=np.int64)
    patch_of = np.full(regions.n_positions, -1, dtype=np.int64)
    for image, positions in enumerate(regions.patches):
        image_of[positions] = image
        patch_of[positions] = np.arange(positions.size)
    return image_of, patch_of
