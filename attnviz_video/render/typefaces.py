"""The shipped fonts as one: each character is drawn by the first font that has it.

Characters that no font has are written out as `⟨U+XXXX⟩` and noted, one notice per script, so that a
missing glyph is never a silent empty box. Pillow's basic layout is used on purpose: it gives the same pixels
on every machine, which the optional shaping library does not.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from attnviz_video.render.cmap import covered
from attnviz_video.render.escape import code_point, script_of, visible
from attnviz_video.theme import Theme

_FOLDER = Path(__file__).parent / "fonts"
#: Drawn texts that are kept: most words of a frame are on the next one too.
_TEXTS_KEPT = 256
_REGULAR = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
_BOLD = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "DroidSansFallback.ttf")


class Typeface:
    """Text of one size and weight: measure it, then rasterise it."""

    def __init__(self, size_px: int, *, bold: bool = False) -> None:
        files = [_FOLDER / name for name in (_BOLD if bold else _REGULAR)]
        self.size_px = size_px
        self._fonts = [ImageFont.truetype(str(file), size_px, layout_engine=ImageFont.Layout.BASIC) for file in files]
        self._covered = [covered(file) for file in files]
        #: Pixels above and below the baseline; the first font's, as the others fit into them.
        self.ascent, self.descent = self._fonts[0].getmetrics()
        #: First character of each script that no font has.
        self.missing: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._widths: dict[str, int] = {}
        self._font_numbers: dict[str, int | None] = {}
        self._drawn: OrderedDict[str, UInt8[np.ndarray, "height width"]] = OrderedDict()

    @property
    def height(self) -> int:
        """Height of a line of text, without any leading."""
        return self.ascent + self.descent

    def visible(self, text: str) -> str:
        """`text` as it will be drawn: what no font has is written out, and noted in `missing`."""
        if text not in self._shown:
            self._shown[text] = visible(text, self._drawable)
        return self._shown[text]

    def width(self, text: str) -> int:
        """Width of `text` in pixels; it must have passed through `visible`."""
        if text not in self._widths:
            self._widths[text] = int(np.ceil(sum(self._fonts[font].getlength(run) for font, run in self._runs(text))))
        return self._widths[text]

    def coverage(self, text: str) -> UInt8[np.ndarray, "height width"]:
        """How much of each pixel the letters of `text` cover, 0 to 255; `height` rows, the baseline at `ascent`."""
        if text in self._drawn:
            self._drawn.move_to_end(text)
            return self._drawn[text]
        self._drawn[text] = drawn = self._draw(text)
        if len(self._drawn) > _TEXTS_KEPT:
            self._drawn.popitem(last=False)
        return drawn

    def _draw(self, text: str) -> UInt8[np.ndarray, "height width"]:
        canvas = Image.new("L", (max(1, self.width(text)), self.height))
        draw = ImageDraw.Draw(canvas)
        x = 0.0
        for font, run in self._runs(text):
            draw.text((x, self.ascent), run, fill=255, font=self._fonts[font], anchor="ls")
            x += self._fonts[font].getlength(run)
        return np.asarray(canvas, dtype=np.uint8)

    def fit(self, text: str, width_px: int, *, keep: str = "start") -> str:
        """`text`, shortened with "…" so that it is at most `width_px` wide; `keep` says which end stays."""
        if self.width(text) <= width_px:
            return text
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.width(_shortened(text, middle, keep)) <= width_px else (low, middle - 1)
        return _shortened(text, low, keep) if low else ""

    def notices(self) -> tuple[str, ...]:
        """One sentence per script with characters that no shipped font has."""
        return tuple(
            f"no shipped font has the character {code_point(character)} ({script}); such characters are shown by number"
            for script, character in self.missing.items()
        )

    def _drawable(self, character: str) -> bool:
        if self._font_of(character) is not None:
            return True
        self.missing.setdefault(script_of(character), character)
        return False

    def _font_of(self, character: str) -> int | None:
        if character not in self._font_numbers:
            code = ord(character)
            covering = (number for number, points in enumerate(self._covered) if code in points)
            self._font_numbers[character] = next(covering, None)
        return self._font_numbers[character]

    def _runs(self, text: str) -> list[tuple[int, str]]:
        """Stretches of `text` that one font draws: (number of the font, characters)."""
        runs: list[tuple[int, str]] = []
        for character in text:
            font = self._font_of(character) or 0
            if runs and runs[-1][0] == font:
                runs[-1] = (font, runs[-1][1] + character)
            else:
                runs.append((font, character))
        return runs


def _shortened(text: str, length: int, keep: str) -> str:
    return text[:length].rstrip() + "…" if keep == "start" else "…" + text[len(text) - length :].lstrip()


class Faces:
    """The typefaces of one frame size beside the text panel's own; one set per painter, as each collects notices."""

    def __init__(self, look: Theme) -> None:
        self.small = Typeface(look.px("small.text"))
        self.title = Typeface(look.px("title.text"), bold=True)
