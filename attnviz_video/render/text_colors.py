"""The colours of a page's keys: every look that a piece of text can have, worked out once per video."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt32

from attnviz_video.colormaps import level_steps
from attnviz_video.render.heat import token_heat
from attnviz_video.render.text_raster import BAR, CORNER, COVERAGES, RIM_ANSWER, RIM_THINK, SHEET_KEYS, STROKE
from attnviz_video.theme import Rgb, Theme, luminance

#: How much of the ink is left for marks and special tokens.
_FAINT = 0.7
#: Looks beyond the 256 of a weight: without a value (a frame without a row), hatched (a value that is no weight),
#: the current token, what stands for an image, and what is not written yet.
BARE, HATCHED, CURRENT, CHIP, HIDDEN = range(256, 261)
_LOOKS = 261


class TextColors:
    """Colours of the pieces of a page by their level and what else they are."""

    def __init__(self, colormap: str, style: Literal["box", "text"], look: Theme, bar: int) -> None:
        sheets = look.color("panel.background"), look.color("panel.carried")
        #: The colours of the 256 levels as painted.
        self.ramp: UInt8[np.ndarray, "256 3"] = token_heat(colormap, style, sheets[0]).ramp(sheets[0])
        self._bar = bar
        self._sheets = np.array([_packed(np.array(sheet, dtype=np.float64)) for sheet in sheets], dtype=np.uint32)
        # Coloured letters are not softened: their colour is their weight, and it has to be readable.
        kinds = [(sheet, faint and style == "box") for sheet in sheets for faint in (False, True)]
        self._looks: UInt32[np.ndarray, "looks keys"] = np.concatenate(
            [_looks(self.ramp, style, look, sheet, faint=faint) for sheet, faint in kinds]
        )
        heights = np.arange(bar + 1)[:, None] > np.arange(bar)[None, :]
        ink = _packed(np.array(look.color("token.bar"), dtype=np.float64))
        #: Colours of a bar's rows, on either sheet, for each height it can have.
        self._bars = np.where(heights[None], ink, self._sheets[:, None, None]).astype(np.uint32)

    def of(
        self,
        levels: Float[np.ndarray, "pieces"],
        special: Int[np.ndarray, "pieces"],
        faint: Bool[np.ndarray, "pieces"],
        carried: Bool[np.ndarray, "pieces"],
    ) -> UInt32[np.ndarray, "keys"]:
        """The colour of every key of a page, as `PageRaster.colored` wants them.

        `special` is the look of a piece that is not coloured by its level (`BARE` …), else -1.
        """
        by_level = special < 0
        looks = np.where(by_level, level_steps(levels), special)
        rows = (2 * carried + faint) * _LOOKS + looks
        heights = np.where(by_level, np.floor(np.nan_to_num(levels) * self._bar + 0.5), 0).astype(np.int64)
        colors = np.empty(SHEET_KEYS + levels.size * (BAR + self._bar), dtype=np.uint32)
        colors[:SHEET_KEYS] = self._sheets
        pieces = colors[SHEET_KEYS:].reshape(levels.size, BAR + self._bar)
        pieces[:, :BAR] = self._looks[rows]
        pieces[:, BAR:] = self._bars[carried.astype(np.int64), heights]
        return colors


def _looks(
    ramp: UInt8[np.ndarray, "256 3"], style: str, look: Theme, sheet: Rgb, *, faint: bool
) -> UInt32[np.ndarray, "looks keys"]:
    """Colours of the keys of a piece, up to its bar, in every look; on one sheet."""
    color = look.color
    fills = np.empty((_LOOKS, 3), dtype=np.float64)
    inks = np.empty((_LOOKS, 3), dtype=np.float64)
    fills[:256], inks[:256] = (ramp, _readable_inks(ramp, look)) if style == "box" else (np.array(sheet), ramp)
    for number, fill, ink in (
        (BARE, sheet, color("ink")),
        (HATCHED, color("nan.ground"), color("ink")),
        (CURRENT, color("token.current"), color("token.current.ink")),
        (CHIP, color("chip"), color("ink")),
        (HIDDEN, sheet, sheet),
    ):
        fills[number], inks[number] = fill, ink
    if faint:
        soft = np.arange(_LOOKS) != CURRENT
        inks[soft] = fills[soft] + (inks[soft] - fills[soft]) * _FAINT
    grounds = np.tile(np.array(sheet, dtype=np.float64), (_LOOKS, 1))
    grounds[CURRENT] = color("token.current.outline")
    part = (np.arange(COVERAGES) / (COVERAGES - 1))[None, :, None]
    keys = np.empty((_LOOKS, BAR, 3), dtype=np.float64)
    keys[:, :CORNER] = fills[:, None] + (inks - fills)[:, None] * part
    keys[:, CORNER:STROKE] = fills[:, None] + (grounds - fills)[:, None] * part
    keys[:, STROKE] = fills
    keys[HATCHED, STROKE] = color("nan.stroke")
    keys[:, RIM_THINK], keys[:, RIM_ANSWER] = color("gutter.think"), color("gutter.answer")
    keys[CURRENT, [RIM_THINK, RIM_ANSWER]] = color("token.current")
    keys[HIDDEN] = sheet
    return _packed(keys)


def _packed(colors: Float[np.ndarray, "*shape 3"]) -> UInt32[np.ndarray, "*shape"]:
    red, green, blue = np.moveaxis(np.floor(colors + 0.5).astype(np.uint32), -1, 0)
    packed: UInt32[np.ndarray, "*shape"] = np.asarray(red | green << np.uint32(8) | blue << np.uint32(16))
    return packed


def _readable_inks(ramp: UInt8[np.ndarray, "256 3"], look: Theme) -> UInt8[np.ndarray, "256 3"]:
    """For each colour of the ramp, black or white letters, whichever contrasts more."""
    dark, light = look.color("token.dark_letters"), look.color("token.light_letters")
    inks = np.empty((256, 3), dtype=np.uint8)
    for step, color in enumerate(ramp):
        bright = luminance((int(color[0]), int(color[1]), int(color[2])))
        inks[step] = dark if (bright + 0.05) / (luminance(dark) + 0.05) >= 1.05 / (bright + 0.05) else light
    return inks
