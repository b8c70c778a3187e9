"""Settings of plots for papers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class PlotSettings:
    """What is plotted, of what, how wide, and where it goes."""

    what: Literal["matrix", "heads", "layers_heads", "layers", "curves", "rollout", "filmstrip"] = field(
        default="matrix",
        metadata={
            "help": "matrix: attention of a layer, query by key; heads: the same of every head of a layer, or with "
            "--step its image maps; layers_heads: one number of every layer and head; layers: from which layer on a "
            "token looks at others; curves: layers over the steps; rollout: all layers together; filmstrip: some steps "
            "side by side"
        },
    )
    step: int | None = field(
        default=None,
        metadata={"help": "one step, numbered from 1 as in the video's footer; -1 is the last (default: all of them)"},
    )
    steps: tuple[int, ...] | None = field(
        default=None, metadata={"help": "filmstrip: these steps, such as 3,17,40, in this order"}
    )
    filmstrip: int | None = field(
        default=None, metadata={"help": "filmstrip: this many steps, those with most image attention (default: 5)"}
    )
    queries: Literal["answer", "all"] = field(
        default="answer",
        metadata={"help": "rows of the answer's queries, or of the prompt's as well (--record_rows all records them)"},
    )
    patches: bool = field(
        default=False, metadata={"help": "one column per image patch (default: one per image, the sum of its patches)"}
    )
    words: bool = field(
        default=False,
        metadata={"help": "merge pieces to words: weights summed over the pieces of a key, averaged over a query's"},
    )
    scalar: Literal["image_share", "entropy", "first_token", "maximum"] | None = field(
        default=None,
        metadata={
            "help": "layers_heads, curves: share of the row on the images, its entropy in nats, the weight of the very "
            "first token, or the row's largest weight (default: image_share for layers_heads, all four for curves)"
        },
    )
    token: str | None = field(
        default=None,
        metadata={"help": "layers: the word whose rows are compared (in place of --step), such as chased"},
    )
    occurrence: int | None = field(
        default=None,
        metadata={"help": "layers: which occurrence of --token, from 1 (default: the first in the answer)"},
    )
    keys: str = field(
        default="",
        metadata={
            "help": "layers: what is looked at, separated by commas: words (all occurrences; cat#2 is the second), "
            "image 1, image 1 row 3 col 4, first token (default: the --top_keys heaviest words and images)"
        },
    )
    top_keys: int | None = field(
        default=None, metadata={"help": "layers: how many keys are chosen where --keys names none (default: 5)"}
    )
    threshold: float = field(
        default=0.1,
        metadata={"help": "layers: the weight from which on a key counts as looked at; its first layer is marked"},
    )
    start_layer: int = field(default=0, metadata={"help": "rollout: the layer it starts from"})
    discard_ratio: float = field(
        default=0.0, metadata={"help": "rollout: the part of each row that is set to 0 first, its lightest weights"}
    )
    residual: float = field(
        default=0.5, metadata={"help": "rollout: the part of a position that comes through the residual connection"}
    )
    colormap: Literal["red_green", "cividis", "viridis", "magma", "greys", "reds"] | None = field(
        default=None,
        metadata={
            "help": "colours from no weight to the top of the scale; all but red_green are safe for the colour-blind "
            "(default: reds; over pictures red_green, as in the video)"
        },
    )
    style: Path | None = field(
        default=None,
        metadata={"help": "matplotlib style file (.mplstyle): its fonts, text size, colours and line widths are used"},
    )
    columns: int = field(default=2, metadata={"help": "width: 1 column of a paper (3.35 inches) or 2 (7 inches)"})
    format: Literal["pdf", "png", "svg"] | None = field(
        default=None, metadata={"help": "what the plot is written as (default: the ending of -o, else pdf)"}
    )
    dpi: int = field(default=300, metadata={"help": "pixels per inch of a PNG, and of the cells in every format"})
    output_dir: Path | None = field(
        default=None, metadata={"help": "folder for plots (default: the folder that holds the trace)"}
    )
    output: Path | None = field(
        default=None,
        metadata={"help": "name of the plot, ending in .pdf, .png or .svg (one layer only)", "short": "-o"},
    )
    overwrite: bool = field(
        default=False, metadata={"help": "replace a file of that name that this program did not write"}
    )
