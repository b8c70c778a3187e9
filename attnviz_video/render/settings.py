"""Settings of painting frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: Width and height of the smallest frame on which all parts have room.
LEAST_SIZE = (480, 270)
#: Width and height by the names that `--size` takes.
SIZES: Mapping[str, tuple[int, int]] = {
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
    "vertical": (1080, 1920),
}


@dataclass(frozen=True)
class RenderSettings:
    """What a frame looks like."""

    size: Literal["720p", "1080p", "4k", "vertical"] | None = field(
        default=None,
        metadata={
            "help": "1280x720, 1920x1080, 3840x2160, or 1080x1920 for phones "
            "(default: vertical with --layout vertical, else 1080p)"
        },
    )
    width: int | None = field(default=None, metadata={"help": "frame width in pixels (default: that of --size)"})
    height: int | None = field(default=None, metadata={"help": "frame height in pixels (default: that of --size)"})
    layout: Literal["auto", "side", "stacked", "vertical"] = field(
        default="auto",
        metadata={
            "help": "side: images right of the text; stacked: images above the text; vertical: images above the text, "
            "legends below each, for tall frames; auto: vertical for tall frames, else side"
        },
    )
    colormap: Literal["red_green", "cividis", "viridis", "magma", "greys", "reds"] = field(
        default="red_green", metadata={"help": "colours from no weight to the top of the scale"}
    )
    theme: Literal["light", "dark", "talk", "paper"] = field(
        default="light",
        metadata={
            "help": "light or dark; talk: large type, high contrast and less small print, for a hall; "
            "paper: white with thin lines, for print"
        },
    )
    token_style: Literal["box", "text"] = field(
        default="box",
        metadata={"help": "box: coloured box behind the token; text: coloured letters, as older scripts do"},
    )
    show_prompt: Literal["full", "phrase", "none"] = field(
        default="phrase",
        metadata={"help": "text before the answer: full: the whole prompt; phrase: from the start phrase on; none"},
    )
    fonts: Literal["bundled", "system"] = field(
        default="system",
        metadata={
            "help": "system: characters that the shipped fonts lack are taken from this machine's; "
            "bundled: the shipped fonts only, the same pixels on every machine"
        },
    )
    heat_alpha: Literal["weight", "flat"] = field(
        default="weight", metadata={"help": "weight: the overlay's opacity grows with the weight; flat: an even wash"}
    )
    alpha: float | None = field(
        default=None,
        metadata={
            "help": "opacity of the overlay on images at the top of the scale, above 0 to 1 "
            "(default: 0.6, or 0.45 with --heat_alpha flat)"
        },
    )
    smooth: bool = field(
        default=False,
        metadata={"help": "interpolate the overlay between the middles of the patches; draws no grid lines"},
    )
    grid_lines: bool = field(default=True, metadata={"help": "draw the patch grid on the images"})
    boxes: Literal["none", "truth", "answer", "both"] = field(
        default="none",
        metadata={
            "help": "boxes on the images: truth: those of the dataset; answer: those that the answer writes, from the "
            "frame on which they are complete; both"
        },
    )
    strip: bool = field(
        default=True, metadata={"help": "draw image share and entropy over the whole video, with a cursor"}
    )
    title: str | None = field(
        default=None, metadata={"help": "words at the top of the frame (default: the question); '' for none"}
    )
    caption: str = field(default="", metadata={"help": "words at the foot of the frame, such as 'Figure 3: …'"})
