"""Fonts of this machine that have a character the shipped fonts lack, found through fontconfig's `fc-list`.

`fc-match` always names a font, with or without the character; `fc-list` names those that claim it, and the font's
own table is read to prove the claim. Nothing is looked up as long as the shipped fonts suffice. A missing program,
a font that cannot be read and one that only holds pictures (colour bitmaps) are passed over.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from attnviz_video.errors import EnvironmentFault
from attnviz_video.render.cmap import covered

#: Seconds that `fc-list` may take; its first call on a machine builds a cache.
_PATIENCE = 20
#: Fonts that are tried for one character, the plainest first.
_TRIED = 8
#: Letter shapes that stand out of a text, least wanted last.
_SLANTED_OR_HEAVY = ("italic", "oblique", "bold", "black", "heavy", "thin", "light", "condensed", "mono", "serif")
#: Size at which a font is asked whether it draws the character at all.
_PROBE_PX = 32


@dataclass(frozen=True, order=True, slots=True)
class FontFile:
    """A font: a file, and which of the fonts in it."""

    path: Path
    index: int = 0


@lru_cache(maxsize=4096)
def font_for(character: str) -> FontFile | None:
    """The font of this machine that draws `character`, the same one on every call; None where none does."""
    return next((font for font in _candidates(character) if _draws(font, character)), None)


def _candidates(character: str) -> Iterator[FontFile]:
    """Fonts that claim `character`: upright and regular ones first, then in the order of their paths."""
    found: dict[FontFile, int] = {}
    for line in _listing(character).splitlines():
        path, _, rest = line.partition("\t")
        index, _, style = rest.partition("\t")
        if path and index.isdigit():
            # The upper half numbers a named instance of a variable font; the lower one is the font in its file.
            font = FontFile(Path(path), int(index) & 0xFFFF)
            found[font] = min(found.get(font, len(_SLANTED_OR_HEAVY)), _rank(f"{Path(path).stem} {style}"))
    yield from sorted(found, key=lambda font: (found[font], font))[:_TRIED]


def _rank(name: str) -> int:
    return sum(word in name.lower() for word in _SLANTED_OR_HEAVY)


def _listing(character: str) -> str:
    command = ["fc-list", "--format", "%{file}\t%{index}\t%{style[0]}\n", f":charset={ord(character):x}"]
    try:
        result = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode(errors="replace")


def _draws(font: FontFile, character: str) -> bool:
    """Whether the font's table has `character` and Pillow draws some ink for it."""
    try:
        if ord(character) not in covered(font.path, font.index):
            return False
        return ImageFont.truetype(str(font.path), _PROBE_PX, font.index).getmask(character).getbbox() is not None
    except (EnvironmentFault, OSError, ValueError):
        return False
