"""Settings of painting frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Width and height of the smallest frame on which all parts have room.
LEAST_SIZE = (480, 270)


@dataclass(frozen=True)
class RenderSettings:
    """What a frame looks like."""

    width: int = field(default=1920, metadata={"help": "frame width in pixels"})
    height: int = field(default=1080, metadata={"help": "frame height in pixels"})
    colormap: Literal["red_green", "cividis", "viridis", "magma", "greys", "reds"] = field(
        default="red_green", metadata={"help": "colours from no weight to the top of the scale"}
    )
    theme: Literal["light", "dark"] = field(default="light", metadata={"help": "background and ink"})
    token_style: Literal["box", "text"] = field(
        default="box",
        metadata={"help": "box: coloured box behind the token; text: coloured letters, as older scripts do"},
    )
    heat_alpha: Literal["weight", "flat"] = field(
        default="weight", metadata={"help": "weight: the overlay's opacity grows with the weight; flat: an even wash"}
    )
    grid_lines: bool = field(default=True, metadata={"help": "draw the patch grid on the images"})
    title: str | None = field(default=None, metadata={"help": "line at the top of the frame (default: the question)"})
