"""Settings of turning rows into scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class AnalysisSettings:
    """Which number is shown for each token and patch, and on which scale."""

    head: str = field(default="mean", metadata={"help": "mean or max over the heads, or the number of one head"})
    convention: Literal["predicting", "reading"] = field(
        default="predicting",
        metadata={
            "help": "predicting: the row that produced the blue token; reading: the row of the blue token itself"
        },
    )
    scale: Literal["shared", "per_frame"] = field(
        default="shared",
        metadata={"help": "shared: one scale for the whole video; per_frame: each frame up to its own maximum"},
    )
    scale_scope: Literal["region", "joint"] = field(
        default="region", metadata={"help": "region: text and images have a scale each; joint: one for both"}
    )
    gamma: float = field(
        default=1.0, metadata={"help": "exponent of the scale; below 1 lifts small weights (0.4 is the older look)"}
    )
    sinks: Literal["raw", "mask", "relative"] = field(
        default="raw",
        metadata={
            "help": "attention sinks: raw: shown and marked; mask: drawn as no value; "
            "relative: every weight over its position's mean of the video"
        },
    )
    areas: Literal["combined", "thumbnail", "side_by_side", "separate"] = field(
        default="combined",
        metadata={
            "help": "images cut into tiles and a thumbnail: combined: the tiles where they lie; thumbnail: the "
            "thumbnail only; side_by_side: a picture of the tiles and one of the thumbnail; separate: one of each"
        },
    )
    strict: bool = field(
        default=False,
        metadata={"help": "fail where rows hold NaN, infinite or negative numbers, or do not sum to 1"},
    )
