"""Settings of figures for papers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class FigureSettings:
    """Which steps are drawn, how wide, and where the figure goes."""

    step: int | None = field(
        default=None,
        metadata={
            "help": "one step with its text and images, numbered from 1 as in the video's footer; -1 is the last"
        },
    )
    filmstrip: int | None = field(
        default=None,
        metadata={
            "help": "a strip of this many steps: those whose token has most attention on the images, spread over the "
            "answer (the largest is taken, its neighbours nearer than half an even spacing are ruled out, and so on; "
            "special tokens are passed over)"
        },
    )
    steps: tuple[int, ...] | None = field(
        default=None, metadata={"help": "a strip of these steps, such as 3,17,40, in this order"}
    )
    columns: int = field(default=2, metadata={"help": "width: 1 column of a paper (3.35 inches) or 2 (7 inches)"})
    format: Literal["pdf", "png", "svg"] | None = field(
        default=None, metadata={"help": "what the figure is written as (default: the ending of -o, else pdf)"}
    )
    dpi: int = field(default=300, metadata={"help": "pixels per inch of a PNG, and of the images in every format"})
    output_dir: Path | None = field(
        default=None, metadata={"help": "folder for figures (default: the folder that holds the trace)"}
    )
    output: Path | None = field(
        default=None,
        metadata={"help": "name of the figure, ending in .pdf, .png or .svg (one layer only)", "short": "-o"},
    )
    overwrite: bool = field(
        default=False, metadata={"help": "replace a file of that name that this program did not write"}
    )
