"""`FrameWeights`, `Sink` and `ColorScale`: what a picture is painted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Region = Literal["text", "image"]


@dataclass(frozen=True, eq=False)
class FrameWeights:
    """The weights one frame shows. Nothing is renormalised: they are the numbers of the trace."""

    #: Answer token that the frame shows as current.
    step: int
    #: Weight of every position of prompt + answer; NaN for image patches and for positions the row does not see.
    text: Float[np.ndarray, "positions"]
    #: Weight of every patch, one array per image.
    images: tuple[Float[np.ndarray, "_"], ...]
    #: False where the convention leaves the frame without a row ("reading", last token): all weights are NaN.
    has_row: bool = True


@dataclass(frozen=True, slots=True)
class Sink:
    """A position that takes attention whatever is written, found when the trace is read."""

    position: int
    #: Its mean weight over the shown steps.
    weight: float
    #: Index of image and patch, -1 for text.
    image: int = -1
    patch: int = -1


@dataclass(frozen=True)
class ColorScale:
    """From weight to a level between 0 and 1: `clip(weight / top, 0, 1) ** gamma`."""

    #: Weight that takes the top colour, per region. Larger weights take it too.
    text_top: float
    image_top: float
    gamma: float = 1.0
    #: Whether any weight lies above the top, so that the legend must say "≥".
    text_clipped: bool = False
    image_clipped: bool = False

    def top(self, region: Region) -> float:
        return self.text_top if region == "text" else self.image_top

    def clipped(self, region: Region) -> bool:
        return self.text_clipped if region == "text" else self.image_clipped
