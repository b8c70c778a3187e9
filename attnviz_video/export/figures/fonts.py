"""The shipped fonts for figures: which font draws which character, and how wide text is, in points.

Files are named outright, never looked up by family: the fonts of the machine, and matplotlib's list of them, have no
say, so that a figure is the same everywhere.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video import render
from attnviz_video.render.escape import code_point, script_of, visible

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

_REGULAR = ("DejaVuSans.ttf", "DroidSansFallback.ttf")
_BOLD = ("DejaVuSans-Bold.ttf", *_REGULAR)


@dataclass(frozen=True)
class FontFile:
    """One font: its file, what it covers, how wide its letters are."""

    path: Path

    @cached_property
    def _font(self) -> TTFont:
        from fontTools.ttLib import TTFont

        return TTFont(self.path, lazy=True, recalcTimestamp=False)

    @cached_property
    def _glyphs(self) -> Mapping[int, str]:
        glyphs: Mapping[int, str] = self._font.getBestCmap()
        return glyphs

    @cached_property
    def family(self) -> str:
        """The family's name as the file gives it."""
        return str(self._font["name"].getBestFamilyName())

    @cached_property
    def bold(self) -> bool:
        return bool(self._font["OS/2"].fsSelection & 1 << 5)

    @cached_property
    def ascent(self) -> float:
        """Height above the baseline for text of one point."""
        return float(self._font["hhea"].ascent / self._font["head"].unitsPerEm)

    @cached_property
    def descent(self) -> float:
        """Depth below the baseline for text of one point."""
        return float(-self._font["hhea"].descent / self._font["head"].unitsPerEm)

    def has(self, character: str) -> bool:
        """Whether the font draws `character`."""
        return ord(character) in self._glyphs

    def width(self, text: str) -> float:
        """Sum of the advances of `text` set in one point; kerning, which only tightens it, aside."""
        advances = self._font["hmtx"]
        units = sum(advances[self._glyphs.get(ord(character), ".notdef")][0] for character in text)
        return float(units / self._font["head"].unitsPerEm)

    def style_sheet(self, characters: Iterable[str]) -> str:
        """A CSS rule that carries the glyphs of `characters`, so that an SVG looks the same without the font."""
        return _style_sheet(self, "".join(sorted(set(characters))))

    def subset(self, characters: str) -> bytes:
        """A font file with the glyphs of `characters` only."""
        from fontTools import subset
        from fontTools.ttLib import TTFont

        options = subset.Options()
        options.recalc_timestamp = False
        options.notdef_outline = True
        options.drop_tables += ["FFTM"]  # dates of the font editor
        options.layout_features = ["kern", "mark", "mkmk", "ccmp"]
        font = TTFont(self.path, recalcTimestamp=False)
        cutter = subset.Subsetter(options)
        cutter.populate(text=characters)
        cutter.subset(font)
        data = io.BytesIO()
        font.save(data)
        return data.getvalue()


@lru_cache(maxsize=32)
def _style_sheet(font: FontFile, characters: str) -> str:
    coded = base64.b64encode(font.subset(characters)).decode("ascii")
    weight = "bold" if font.bold else "normal"
    return (
        f"@font-face {{ font-family: '{font.family}'; font-weight: {weight}; "
        f"src: url(data:font/ttf;base64,{coded}) format('truetype'); }}"
    )


@cache
def _font_file(name: str) -> FontFile:
    return FontFile(Path(render.__path__[0]) / "fonts" / name)


class FigureFonts:
    """Text of any size: each character is drawn by the first font that has it.

    `first` are the files of a regular and a bold TrueType font that stand before the shipped ones.
    """

    def __init__(self, first: tuple[str, str] | None = None) -> None:
        self._regular = (*first[:1], *_REGULAR) if first else _REGULAR
        self._bold = (*first[::-1], *_BOLD) if first else _BOLD
        #: First character of each script that no font has.
        self.missing: dict[str, str] = {}

    @property
    def ascent(self) -> float:
        """Height above the baseline for text of one point."""
        return _font_file(self._regular[0]).ascent

    @property
    def height(self) -> float:
        """Height of a line for text of one point, without leading."""
        return self.ascent + _font_file(self._regular[0]).descent

    def visible(self, text: str) -> str:
        """`text` as it will be drawn: what no font has is written out as `⟨U+XXXX⟩` and noted in `missing`."""
        return visible(text, self._drawable)

    def runs(self, text: str, *, bold: bool = False) -> list[tuple[FontFile, str]]:
        """Stretches of `text` that one font draws, in order; `text` must have passed through `visible`."""
        runs: list[tuple[FontFile, str]] = []
        for character in text:
            font = _font_of(character, self._bold if bold else self._regular) or _font_file(self._regular[0])
            if runs and runs[-1][0] is font:
                runs[-1] = (font, runs[-1][1] + character)
            else:
                runs.append((font, character))
        return runs

    def width(self, text: str, size: float, *, bold: bool = False) -> float:
        """Width of `text` in points."""
        return size * sum(font.width(run) for font, run in self.runs(text, bold=bold))

    def fit(self, text: str, size: float, room: float, *, bold: bool = False) -> str:
        """`text`, its end cut off with "…" where it is wider than `room` points."""
        if self.width(text, size, bold=bold) <= room:
            return text
        length = len(text)
        while length and self.width(text[:length].rstrip() + "…", size, bold=bold) > room:
            length -= 1
        return text[:length].rstrip() + "…" if length else ""

    def notices(self) -> tuple[str, ...]:
        """One sentence per script with characters that no shipped font has."""
        return tuple(
            f"no shipped font has the character {code_point(character)} ({script}); such characters are shown by number"
            for script, character in self.missing.items()
        )

    def _drawable(self, character: str) -> bool:
        if _font_of(character, self._regular) is not None:
            return True
        self.missing.setdefault(script_of(character), character)
        return False


@cache
def _font_of(character: str, names: tuple[str, ...]) -> FontFile | None:
    return next((font for font in map(_font_file, names) if font.has(character)), None)
