"""What colour and opacity a weight takes: on images, behind tokens, and so in the legend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.colormaps import colormap, colormap_on_dark
from attnviz_video.theme import Rgb, contrast, luminance

#: Opacity of the overlay on images, at level 0 and at level 1; the first keeps the picture readable.
ALPHA_LEAST, ALPHA_MOST = 0.25, 0.60
#: In between it grows with this power of the level. A growing opacity pulls the painted colour from the picture to the
#: colour map, and where the picture is on the other side of a map's first colour, that works against the map's own
#: change: with an even growth from 0.15 two levels looked alike on some pictures (greys on black, red_green on green).
#: Like this, no colour of a picture lets two levels come near each other (tests/render/test_heat.py).
ALPHA_POWER = 2.0
#: Opacity of the even wash of older scripts.
ALPHA_FLAT = 0.45
#: Opacity of the box behind a token. It grows from the first to the second with the level where the colour map says
#: nothing by brightness; a map that does is painted evenly, or a growing opacity would bend its brightness.
TOKEN_LEAST, TOKEN_MOST = 0.45, 0.85
_WITHOUT_BRIGHTNESS = frozenset({"red_green"})
#: Least contrast of coloured letters with their ground (WCAG 2.1, 1.4.11: 3 to 1 for what is needed to understand).
LETTER_CONTRAST = 3.0
#: The luminance that contrasts as much with black as with white: sqrt(1.05 · 0.05) - 0.05.
_MIDDLE_LUMINANCE = 0.179
#: Full opacity in the integer blend.
OPAQUE = 256


@dataclass(frozen=True, eq=False)
class HeatTable:
    """Colour and opacity of the 256 steps of a level."""

    colors: UInt8[np.ndarray, "256 3"]
    #: Opacity in units of 1 / 256.
    alpha: Int[np.ndarray, "256"]

    def over(self, ground: Float[np.ndarray, "*shape 3"], step: int) -> Float[np.ndarray, "*shape 3"]:
        """`ground` (0 to 255) seen through the overlay of one step, not rounded."""
        alpha = float(self.alpha[step]) / OPAQUE
        mixed: Float[np.ndarray, "*shape 3"] = ground * (1.0 - alpha) + self.colors[step].astype(np.float64) * alpha
        return mixed

    def ramp(self, ground: tuple[int, int, int]) -> UInt8[np.ndarray, "256 3"]:
        """The colours of all steps as painted over one ground colour."""
        alpha = self.alpha[:, None]
        mixed = np.array(ground, dtype=np.int64) * (OPAQUE - alpha) + self.colors.astype(np.int64) * alpha
        ramp: UInt8[np.ndarray, "256 3"] = ((mixed + OPAQUE // 2) // OPAQUE).astype(np.uint8)
        return ramp


def image_heat(name: str, mode: Literal["weight", "flat"], alpha: float | None = None) -> HeatTable:
    """The overlay on images: its opacity grows with the weight, or is the same everywhere.

    `alpha` is the opacity at the top of the scale; that at 0 stays the same part of it.
    """
    least, most = (ALPHA_FLAT, ALPHA_FLAT) if mode == "flat" else (ALPHA_LEAST, ALPHA_MOST)
    if alpha is not None:
        least, most = alpha * least / most, alpha
    return HeatTable(colormap(name), _alpha_steps(least, most, ALPHA_POWER))


def token_heat(name: str, style: Literal["box", "text"], ground: Rgb) -> HeatTable:
    """The colours of the text panel, whose sheet is `ground`.

    `box`: the box behind a token, stronger than on images, where a picture has to stay visible. `text`: the letters,
    opaque, in colours that can be read on `ground` (see `readable_on`); the legend shows the same.
    """
    if style == "text":
        return HeatTable(readable_on(colormap(name), ground), _alpha_steps(1.0, 1.0))
    least = TOKEN_LEAST if name in _WITHOUT_BRIGHTNESS else TOKEN_MOST
    is_dark = luminance(ground) < _MIDDLE_LUMINANCE
    return HeatTable((colormap_on_dark if is_dark else colormap)(name), _alpha_steps(least, TOKEN_MOST))


def readable_on(colors: UInt8[np.ndarray, "256 3"], ground: Rgb) -> UInt8[np.ndarray, "256 3"]:
    """`colors` mixed with black (on a dark `ground` with white) until each has a contrast of `LETTER_CONTRAST`.

    All colours take the same share, the least that does, so that colours that differ stay different and in order.
    """
    goal = 255.0 if luminance(ground) < _MIDDLE_LUMINANCE else 0.0
    # The contrast grows with the share, so the least one is found by halving.
    low, high = 0, 256
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _all_contrast(_mixed(colors, goal, middle / 256), ground) else (middle + 1, high)
    return _mixed(colors, goal, low / 256)


def _mixed(colors: UInt8[np.ndarray, "256 3"], goal: float, share: float) -> UInt8[np.ndarray, "256 3"]:
    mixed: UInt8[np.ndarray, "256 3"] = np.floor(colors + (goal - colors) * share + 0.5).astype(np.uint8)
    return mixed


def _all_contrast(colors: UInt8[np.ndarray, "256 3"], ground: Rgb) -> bool:
    return all(contrast((int(r), int(g), int(b)), ground) >= LETTER_CONTRAST for r, g, b in colors)


def _alpha_steps(least: float, most: float, power: float = 1.0) -> Int[np.ndarray, "256"]:
    growth = np.linspace(0.0, 1.0, 256) ** power
    return np.floor((least + (most - least) * growth) * OPAQUE + 0.5).astype(np.int64)
