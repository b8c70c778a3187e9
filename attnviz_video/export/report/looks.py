"""The colours of the viewer's pages, from the tables that the frames of a video are painted with."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np

from attnviz_video.colormaps import NAMES, colormap
from attnviz_video.render.heat import image_heat, token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import N_SERIES, Rgb, theme

#: The themes of a page, in this order wherever there is a list of them.
GROUNDS = ("light", "dark")


def color_looks(render: RenderSettings) -> Mapping[str, object]:
    """Colours of the 256 steps of every colour map, on images and behind tokens, and the opacities on images."""
    return {
        "maps": {name: _text(colormap(name)) for name in NAMES},
        "tokens": {
            ground: {name: _text(token_heat(name, "box", sheet).ramp(sheet)) for name in NAMES}
            for ground, sheet in ((g, theme(g).color("panel.background")) for g in GROUNDS)
        },
        "alpha": {
            mode: [int(step) for step in image_heat(render.colormap, mode, render.alpha).alpha]
            for mode in ("weight", "flat")
        },
    }


def series_colors() -> list[list[Rgb]]:
    """The colours of images and heads in curves, per theme."""
    return [[theme(name).colors[f"series.{n + 1}"] for n in range(N_SERIES)] for name in GROUNDS]


def _text(colors: np.ndarray) -> str:
    return base64.b64encode(colors.astype(np.uint8).tobytes()).decode("ascii")
