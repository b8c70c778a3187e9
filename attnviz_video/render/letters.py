"""Words on a ground of one colour, kept as coloured pixels: a frame that repeats them copies instead of blending."""

from __future__ import annotations

import re
from collections import OrderedDict

import numpy as np
from jaxtyping import UInt8

from attnviz_video.render.brush import blend, canvas
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Rgb

#: Stretches that are kept: all digits in all inks, and the words of some hundred frames.
_KEPT = 512
#: A line is cut before and after every digit, so that changing numbers are made of kept parts. The shipped fonts
#: do not kern digits and give them whole widths, so the parts stand exactly where the whole would.
_PARTS = re.compile(r"\d|\D+")


class Letters:
    """Writes text of one typeface on one ground colour."""

    def __init__(self, face: Typeface, ground: Rgb) -> None:
        self.face = face
        self._ground = ground
        self._kept: OrderedDict[tuple[str, Rgb], UInt8[np.ndarray, "rows columns 3"]] = OrderedDict()

    def width(self, text: str) -> int:
        """Width of `text` in pixels, as `write` sets it."""
        return sum(self.face.width(part) for part in _PARTS.findall(self.face.visible(text)))

    def write(self, picture: UInt8[np.ndarray, "height width 3"], x: int, y: int, text: str, color: Rgb) -> int:
        """Write `text` with its upper left corner at (x, y), all of it on the picture; returns the x where it ends."""
        for part in _PARTS.findall(self.face.visible(text)):
            stamp = self._stamp(part, color)
            rows, columns = stamp.shape[:2]
            picture[y : y + rows, x : x + columns] = stamp
            x += columns
        return x

    def _stamp(self, text: str, color: Rgb) -> UInt8[np.ndarray, "rows columns 3"]:
        key = (text, color)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        stamp = canvas(self.face.width(text), self.face.height, self._ground)
        blend(stamp, 0, 0, self.face.coverage(text)[:, : stamp.shape[1]], color)
        self._kept[key] = stamp
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return stamp
