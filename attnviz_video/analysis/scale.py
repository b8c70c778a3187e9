"""From weights to levels between 0 and 1: which weight takes the top colour.

`shared`: one scale for the whole video, so that frames can be compared and a share of 0.1 % never looks like one of
60 %. Its top is the larger of two numbers, both without the sinks: the 99.5th percentile of the region's weights, and
the 90th percentile of the frames' largest weights. (A single bright patch a frame is one of a thousand weights of a
large grid: percentiles of all weights would miss it and paint the noise instead.) `per_frame`: each frame up to its own
maximum. What counts as one weight is what is painted as one: a patch, or a display unit of the text (the sum of its
tokens), but not the current token, which is blue. With scope `joint` text and images share one scale. Nothing is
renormalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from attnviz_video.core.scores import ColorScale, FrameWeights, Region
from attnviz_video.core.units import unit_sums

#: Share of the weights that a shared scale covers; the rest take the top colour, and the legend says "≥".
COVERED = 0.995
#: Share of the frames whose largest weight it covers as well.
COVERED_PEAKS = 0.9
#: Top of a scale when no weight is above 0, so that it is never 0: the smallest positive fp16 number.
SMALLEST_TOP = 2.0**-24
#: Number of fp16 bit patterns of finite numbers ≥ 0, which sort like the numbers themselves.
_N_BINS = 0x7C00


class WeightHistogram:
    """Counts of weights by their fp16 bit pattern: any quantile, exact to fp16, in 250 kB however many weights."""

    def __init__(self) -> None:
        self._counts: Int[np.ndarray, "bins"] = np.zeros(_N_BINS, dtype=np.int64)

    def add(self, weights: Float[np.ndarray, "_"]) -> None:
        """Count `weights`; NaN, infinite and negative ones are left out."""
        bins = _bins(weights[_usable(weights)])
        self._counts += np.bincount(bins, minlength=_N_BINS)

    def __add__(self, other: WeightHistogram) -> WeightHistogram:
        result = WeightHistogram()
        result._counts = self._counts + other._counts
        return result

    def quantile(self, share: float) -> float:
        """The smallest counted weight that at least `share` of them do not exceed; 0 when nothing was counted."""
        total = int(self._counts.sum())
        if total == 0:
            return 0.0
        rank = max(int(np.ceil(share * total)), 1)
        return _weight(int(np.searchsorted(np.cumsum(self._counts), rank)))


@dataclass(frozen=True, eq=False)
class ShownPositions:
    """What of a frame enters its scale: the text the panel paints in colour, and the patches, each without sinks."""

    #: First position and stop of every display unit of the text panel, in order.
    units: Int[np.ndarray, "units 2"]
    #: True for units that hold a sink.
    unit_sinks: Bool[np.ndarray, "units"]
    #: True for patches that are sinks, one array per image.
    image_sinks: tuple[Bool[np.ndarray, "_"], ...]
    n_prompt: int
    #: True for patches that are painted, one array per image; empty where all are.
    painted: tuple[Bool[np.ndarray, "_"], ...] = ()
    #: Whether a frame colours the text after its current token as well, as that of an encoding does.
    whole: bool = False

    def weights(self, frame: FrameWeights, region: Region) -> tuple[Float[np.ndarray, "_"], Float[np.ndarray, "_"]]:
        """The weights of `region` as painted: without the sinks, and those of the sinks.

        Text is painted in whole units, and those before the current token only: it is blue, whatever its weight
        (in a row of the `reading` convention it has one). In an encoding those after it are painted too.
        """
        if region == "text":
            n_colored = int(np.searchsorted(self.units[:, 1], self.n_prompt + frame.step, side="right"))
            sums, are_sinks = unit_sums(frame.text, self.units), self.unit_sinks
            colored = np.arange(len(sums)) < n_colored
            if self.whole:
                colored |= np.arange(len(sums)) > n_colored
            return sums[colored & ~are_sinks], sums[colored & are_sinks]
        flat = np.concatenate([*frame.images, np.zeros(0, dtype=np.float32)])
        sinks = np.concatenate([*self.image_sinks, np.zeros(0, dtype=bool)])
        if self.painted:
            painted = np.concatenate(self.painted)
            flat, sinks = flat[painted], sinks[painted]
        return flat[~sinks], flat[sinks]


class WeightTally:
    """Takes rows of weights one by one and yields the scale they share."""

    def __init__(self) -> None:
        self._weights = {"text": WeightHistogram(), "image": WeightHistogram()}
        self._sinks = {"text": WeightHistogram(), "image": WeightHistogram()}
        self._peaks = {"text": WeightHistogram(), "image": WeightHistogram()}

    def add_row(self, region: Region, weights: Float[np.ndarray, "_"], sinks: Float[np.ndarray, "_"]) -> None:
        """Take the weights of one row in `region`: without the sinks, and those of the sinks."""
        self._weights[region].add(weights)
        self._sinks[region].add(sinks)
        usable = weights[_usable(weights)]
        self._peaks[region].add(usable.max(keepdims=True) if usable.size else usable)

    def scale(self, *, covered: float, joint: bool, gamma: float) -> ColorScale:
        """The scale whose top is the `covered` quantile of the weights added so far (1.0: their maximum), or what
        covers most frames' largest weight where that is more.

        Where both are 0 although some weight is not, the top is the largest weight.
        """
        tops = {region: self._top([region], covered) for region in _REGIONS}
        if joint:
            tops = dict.fromkeys(_REGIONS, self._top(list(_REGIONS), covered))
        clipped = {region: self._largest([region]) > tops[region] for region in _REGIONS}
        return ColorScale(tops["text"], tops["image"], gamma, clipped["text"], clipped["image"])

    def _top(self, regions: list[Region], covered: float) -> float:
        weights = sum((self._weights[region] for region in regions), WeightHistogram())
        peak = max(self._peaks[region].quantile(COVERED_PEAKS) for region in regions)
        return max(weights.quantile(covered), peak) or weights.quantile(1.0) or self._largest(regions) or SMALLEST_TOP

    def _largest(self, regions: list[Region]) -> float:
        return max(histogram[region].quantile(1.0) for histogram in (self._weights, self._sinks) for region in regions)


class ScaleTally(WeightTally):
    """Takes the frames of a video one by one and yields their shared scale."""

    def __init__(self, shown: ShownPositions) -> None:
        super().__init__()
        self._shown = shown

    def add(self, frame: FrameWeights) -> None:
        for region in _REGIONS:
            self.add_row(region, *self._shown.weights(frame, region))


def frame_scale(frame: FrameWeights, shown: ShownPositions, *, joint: bool, gamma: float) -> ColorScale:
    """The `per_frame` scale: from 0 to the largest weight of this frame, sinks aside."""
    tally = ScaleTally(shown)
    tally.add(frame)
    return tally.scale(covered=1.0, joint=joint, gamma=gamma)


def level(weights: Float[np.ndarray, "*shape"], scale: ColorScale, region: Region) -> Float[np.ndarray, "*shape"]:
    """`clip(weight / top, 0, 1) ** gamma`, float32; NaN for what is no weight (NaN, infinite, negative)."""
    usable = _usable(weights)
    with np.errstate(over="ignore"):  # a huge weight over a tiny top is infinite, and clipped to 1
        part = np.clip(np.where(usable, weights, 0.0) / scale.top(region), 0.0, 1.0) ** scale.gamma
    return np.where(usable, part, np.nan).astype(np.float32)


_REGIONS: tuple[Region, Region] = ("text", "image")


def _usable(weights: Float[np.ndarray, "*shape"]) -> Bool[np.ndarray, "*shape"]:
    usable: np.ndarray = np.isfinite(weights) & (weights >= 0)
    return usable


def _bins(weights: Float[np.ndarray, "_"]) -> Int[np.ndarray, "_"]:
    largest = np.finfo(np.float16).max
    # Adding 0 turns the bit pattern of -0.0, which passes as "not negative", into that of 0.0.
    halves = np.minimum(weights, largest).astype(np.float16) + np.float16(0)
    patterns: np.ndarray = halves.view(np.uint16)
    return patterns.astype(np.int64)


def _weight(pattern: int) -> float:
    return float(np.array([pattern], dtype=np.uint16).view(np.float16)[0])
