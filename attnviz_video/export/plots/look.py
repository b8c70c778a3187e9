"""How a plot looks: colours, text sizes and line widths, the program's own or those of a style file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from attnviz_video.colormaps import colormap
from attnviz_video.export.figures.look import pt
from attnviz_video.theme import Rgb, Theme

TextSize = Literal["title", "label", "small"]
#: Hues of curves, apart from each other for the colour-blind too (Okabe and Ito 2008, without yellow and black), the
#: darkest first so that they differ in print as well.
SERIES: tuple[Rgb, ...] = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
#: Colour map of plots where nothing else is asked for: one hue, so that what has no weight stays near the paper.
DEFAULT_COLORMAP = "reds"


@dataclass(frozen=True, eq=False)
class PlotLook:
    """Colours, sizes and fonts of one plot."""

    theme: Theme
    #: The 256 colours from no weight to the top of the scale.
    table: UInt8[np.ndarray, "256 3"]
    #: Colours by name that a style file sets in place of the theme's.
    colors: Mapping[str, Rgb] = field(default_factory=dict)
    series: tuple[Rgb, ...] = SERIES
    #: Points of the text called "label"; the other sizes keep their proportion to it.
    text_size: float = pt("label.text")
    #: Points of a curve and of the frame around a plot.
    line_width: float = 1.1
    border_width: float = 0.5
    #: Whether a style file asks for lines behind curves (None: it says nothing).
    grid: bool | None = None
    #: Files of the regular and the bold font that a style file names; the shipped fonts stand behind them.
    fonts: tuple[str, str] | None = None

    def color(self, name: str) -> Rgb:
        """The colour called `name` (see `theme`)."""
        return self.colors[name] if name in self.colors else self.theme.color(name)

    def text(self, size: TextSize) -> float:
        """Points of title, labels and small print."""
        return self.text_size * pt(f"{size}.text") / pt("label.text")


def plain_look(theme: Theme, name: str | None) -> PlotLook:
    """The look without a style file; `name` is the colour map, None for the default."""
    return PlotLook(theme, colormap(name or DEFAULT_COLORMAP))
