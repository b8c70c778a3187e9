"""The shipped fonts as one: each character is drawn by the first font that has it.

What they lack is taken from this machine's fonts, if these may be used. Characters that no font has are written out
as `⟨U+XXXX⟩` and noted, one notice per script, so that a missing glyph is never a silent empty box. Pillow's basic
layout is used on purpose: it gives the same pixels on every machine, which the optional shaping library does not.
That one is asked only for what cannot be read without it: letters that join or run from right to left, and what
comes from this machine's fonts.
"""

from __future__ import annotations

import unicodedata
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont, features

from attnviz_video.render.cmap import covered
from attnviz_video.render.escape import code_point, is_mark, script_of, visible
from attnviz_video.render.right_to_left import directions, is_right_to_left
from attnviz_video.render.system_fonts import FontFile, font_for
from attnviz_video.theme import Theme

_FOLDER = Path(__file__).parent / "fonts"
#: Drawn texts that are kept: most words of a frame are on the next one too.
_TEXTS_KEPT = 256
_REGULAR = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
_BOLD = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "DroidSansFallback.ttf")


#: Distinct characters that this machine is asked for; the rest of a text in an unknown script is written by number.
_LOOKUPS = 64
#: A font of this machine may be made smaller down to this share, so that its letters fit the line.
_LEAST_SHARE = 0.7

#: `bundled`: the shipped fonts only; `system`: what they lack comes from this machine, its shaping library included.
FontSource = Literal["bundled", "system"]


class _Run(NamedTuple):
    """Characters that one font draws in one go."""

    font: int
    text: str
    #: By the shaping library, and if so whether from right to left.
    shaped: bool = False
    right_to_left: bool = False


class Typeface:
    """Text of one size and weight: measure it, then rasterise it."""

    def __init__(self, size_px: int, *, bold: bool = False, fonts: FontSource = "bundled") -> None:
        files = [_FOLDER / name for name in (_BOLD if bold else _REGULAR)]
        self.size_px = size_px
        self._bold = bold
        self._source: FontSource = fonts
        #: Whether letters join and run from right to left where their script does.
        self.shapes = fonts == "system" and bool(features.check("raqm"))
        self._fonts = [ImageFont.truetype(str(file), size_px, layout_engine=ImageFont.Layout.BASIC) for file in files]
        self._shaping = [_shaping(file, 0, size_px) for file in files] if self.shapes else list(self._fonts)
        self._covered = [covered(file) for file in files]
        self._n_shipped = len(files)
        self._system: dict[FontFile, int] = {}
        self._n_lookups = 0
        #: Pixels above and below the baseline; the first font's, as the others fit into them.
        self.ascent, self.descent = self._fonts[0].getmetrics()
        #: First character of each script that no font has.
        self.missing: dict[str, str] = {}
        #: First character of each script that should run from right to left, and does not.
        self.unshaped: dict[str, str] = {}
        self._shown: dict[str, str] = {}
        self._widths: dict[str, int] = {}
        self._font_numbers: dict[str, int | None] = {}
        self._drawn: OrderedDict[str, UInt8[np.ndarray, "height width"]] = OrderedDict()

    def resized(self, size_px: int) -> Typeface:
        """The same face in another size; what has passed through `visible` of one is known, and noted, to both."""
        other = Typeface(size_px, bold=self._bold, fonts=self._source)
        other.missing, other.unshaped, other._shown = self.missing, self.unshaped, self._shown
        return other

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
            self._widths[text] = int(np.ceil(sum(map(self._length, self._runs(text)))))
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
        for run in self._runs(text):
            draw.text((x, self.ascent), run.text, fill=255, anchor="ls", **self._how(run))
            x += self._length(run)
        return np.asarray(canvas, dtype=np.uint8)

    def _length(self, run: _Run) -> float:
        how = self._how(run)
        font: ImageFont.FreeTypeFont = how.pop("font")
        return font.getlength(run.text, **how)

    def _how(self, run: _Run) -> dict[str, Any]:
        """The font of `run` and, for the shaping library, its direction."""
        if not run.shaped:
            return {"font": self._fonts[run.font]}
        return {"font": self._shaping[run.font], "direction": "rtl" if run.right_to_left else "ltr"}

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
        """One sentence per script with characters that no font has, or that is written against its direction."""
        looked = "no shipped font" if self._source == "bundled" else "no shipped font and none of this machine"
        missing = (
            f"{looked} has the character {code_point(character)} ({script}); such characters are shown by number"
            for script, character in self.missing.items()
        )
        cure = (
            "; --fonts system writes it as it is read, where Pillow comes with a shaping library (raqm)"
            if self._source == "bundled"
            else ", since Pillow comes without a shaping library (raqm) here"
        )
        unshaped = (f"{script} is written letter by letter from left to right{cure}" for script in self.unshaped)
        return (*missing, *unshaped)

    def _drawable(self, character: str) -> bool:
        if self._font_of(character) is None:
            self.missing.setdefault(script_of(character), character)
            return False
        if not self.shapes and is_right_to_left(character):
            self.unshaped.setdefault(script_of(character), character)
        return True

    def _font_of(self, character: str) -> int | None:
        if character not in self._font_numbers:
            code = ord(character)
            covering = (number for number, points in enumerate(self._covered) if code in points)
            found = next(covering, None)
            self._font_numbers[character] = self._from_system(character) if found is None else found
        return self._font_numbers[character]

    def _from_system(self, character: str) -> int | None:
        """Number of a font of this machine that has `character`; it joins the shipped ones, for later characters."""
        # Marks, controls and what is not assigned are no reason to search: they are written by number anyway.
        if self._source == "bundled" or self._n_lookups >= _LOOKUPS or unicodedata.category(character)[0] == "C":
            return None
        self._n_lookups += 1
        file = font_for(character)
        if file is None:
            return None
        if file not in self._system:
            size = _fitting_size(file, self.size_px, self.ascent, self.descent)
            self._system[file] = len(self._fonts)
            basic = ImageFont.truetype(str(file.path), size, file.index, layout_engine=ImageFont.Layout.BASIC)
            self._fonts.append(basic)
            self._shaping.append(_shaping(file.path, file.index, size) if self.shapes else basic)
            self._covered.append(covered(file.path, file.index))
        return self._system[file]

    def _runs(self, text: str) -> list[_Run]:
        """Stretches of `text` that one font draws in one direction."""
        if text.isascii():
            return [_Run(0, text)] if text else []
        leftward = directions(text) if self.shapes else [False] * len(text)
        runs: list[_Run] = []
        for number, character in enumerate(text):
            font = self._font_of(character) or 0
            if runs and is_mark(character) and ord(character) in self._covered[runs[-1].font]:
                font = runs[-1].font
            rightmost = leftward[number]
            shaped = self.shapes and (rightmost or font >= self._n_shipped)
            if runs and runs[-1][:1] + runs[-1][2:] == (font, shaped, rightmost):
                runs[-1] = runs[-1]._replace(text=runs[-1].text + character)
            else:
                runs.append(_Run(font, character, shaped, rightmost))
        return runs


def _shaping(file: Path, index: int, size_px: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(file), size_px, index, layout_engine=ImageFont.Layout.RAQM)


def _fitting_size(file: FontFile, size_px: int, ascent: int, descent: int) -> int:
    """The size at which a font's own line is no higher than the shipped one's, as far as it stays readable."""
    own = ImageFont.truetype(str(file.path), size_px, file.index).getmetrics()
    share = min(1.0, ascent / max(1, own[0]), descent / max(1, own[1]))
    return max(1, int(size_px * max(_LEAST_SHARE, share)))


def _shortened(text: str, length: int, keep: str) -> str:
    return text[:length].rstrip() + "…" if keep == "start" else "…" + text[len(text) - length :].lstrip()


class Faces:
    """The typefaces of one frame size beside the text panel's own; one set per painter, as each collects notices."""

    def __init__(self, look: Theme, fonts: FontSource = "bundled") -> None:
        self.small = Typeface(look.px("small.text"), fonts=fonts)
        self.title = Typeface(look.px("title.text"), bold=True, fonts=fonts)
        self.caption = Typeface(look.px("caption.text"), fonts=fonts)
