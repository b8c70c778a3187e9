"""The text of a figure: fragments set in lines, in points."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.look import pt
from attnviz_video.render.fragments import Fragment

#: Where a line may break: not between a number and its percent sign.
_SPACE = re.compile(r" (?!%)")


@dataclass(frozen=True, slots=True)
class PlacedFragment:
    """One box of text on its line; lengths in points from the left edge of the text."""

    part: Fragment
    line: int
    x: float
    width: float
    #: Of `width`, what is left free before the letters.
    inset: float

    @property
    def end(self) -> float:
        return self.x + self.width


@dataclass(frozen=True)
class TextSetter:
    """Sets fragments of one text size in lines, breaking between words as the video does."""

    fonts: FigureFonts
    size: float
    #: The only unit that gets a box, where the others are plain words; None: all get one, with a bar below.
    boxed: int | None = None

    @property
    def box_height(self) -> float:
        return self.fonts.height * self.size

    @property
    def pitch(self) -> float:
        """From one line to the next: the box, its bar, and room for the outline of the current token."""
        bar = pt("token.bar") if self.boxed is None else 0.0
        return self.box_height + bar + 2 * pt("token.outline")

    def lines(self, parts: Sequence[Fragment], width: float, first_line: int = 0) -> list[PlacedFragment]:
        """`parts` set in `width` points, from line `first_line` on; parts too long for a line are cut."""
        placed: list[PlacedFragment] = []
        line, x = first_line, 0.0
        for word in words_of(parts):
            needed = self._gap(word[0], x) + sum(map(self._width, word))
            if x > 0 and x + needed > width:
                line, x = line + 1, 0.0
            for part in (cut for whole in word for cut in self._cut(whole, width)):
                gap, own = self._gap(part, x), self._width(part)
                if x > 0 and x + gap + own > width:
                    line, x, gap = line + 1, 0.0, 0.0
                placed.append(PlacedFragment(part, line, x + gap, own, self._insets(part)[0]))
                x += gap + own
                if part.newlines:
                    line, x = line + min(part.newlines, 2), 0.0
        return placed

    def _gap(self, part: Fragment, x: float) -> float:
        """Points before a part that does not start a line: its spaces, less the padding that shows as space anyway."""
        if x == 0:
            return 0.0
        space = self.fonts.width(" ", self.size)
        if self.boxed is not None:
            return part.spaces * space
        if not part.spaces:
            return pt("token.seam") / 2
        return max(pt("token.seam"), part.spaces * space - pt("token.padding"))

    def _has_box(self, part: Fragment) -> bool:
        return self.boxed is None or part.unit == self.boxed

    def _insets(self, part: Fragment) -> tuple[float, float]:
        if not self._has_box(part):
            return 0.0, 0.0
        wide, seam = pt("token.padding"), pt("token.seam")
        if self.boxed is not None:  # its neighbours have no padding of their own
            seam = wide
        return seam if part.joins_before else wide, seam if part.joins_after else wide

    def _width(self, part: Fragment) -> float:
        return self.fonts.width(part.text, self.size) + sum(self._insets(part))

    def _cut(self, part: Fragment, width: float) -> Iterator[Fragment]:
        """`part` in pieces that each fit on a line; a single character always does."""
        while len(part.text) > 1 and self._width(part) > width:
            length = len(part.text) - 1
            while length > 1 and self._width(replace(part, text=part.text[:length])) > width:
                length -= 1
            yield replace(part, text=part.text[:length], newlines=0)
            part = replace(part, text=part.text[length:], spaces=0)
        yield part


def wrapped(words: Sequence[str], separator: str, fonts: FigureFonts, size: float, width: float) -> list[str]:
    """`words` joined by `separator` in as many lines of `width` points as they need.

    One that is wider than a line by itself, and no other, goes on in the next line at one of its spaces; a part without
    spaces that is wider than a line is cut.
    """
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{separator}{word}" if lines else ""
        if longer and fonts.width(longer, size) <= width:
            lines[-1] = longer
        elif " " in word and fonts.width(word, size) > width:
            lines += wrapped(_SPACE.split(word), " ", fonts, size, width)
        else:
            lines.append(fonts.fit(word, size, width))
    return lines


def words_of(parts: Sequence[Fragment]) -> Iterator[list[Fragment]]:
    """Fragments that no line break may part, together."""
    word: list[Fragment] = []
    for part in parts:
        if word and (part.breaks or word[-1].newlines):
            yield word
            word = []
        word.append(part)
    if word:
        yield word
