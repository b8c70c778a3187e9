"""Measure, then place: every token's box on lines and pages, computed once per video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit, display_units
from attnviz_video.render.fragments import Fragment, fragments
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme

#: Steps from the largest to the smallest text size that are tried.
_SIZES_TRIED = 4
#: Lines of the page before that a page begins with, so that a reader keeps the thread.
_CARRIED_LINES = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """One box of text: a unit, or a part of one where it had to be cut."""

    unit: int
    text: str
    line: int
    #: Left edge from the left edge of the text area, and width, padding included.
    x: int
    width: int
    #: Of `width`, the pixels before the letters.
    inset: int
    faint: bool


@dataclass(frozen=True)
class Metrics:
    """Sizes of the text panel in pixels, for one text size."""

    face: Typeface
    padding: int
    #: Padding where a box touches the next part of the same word.
    seam: int
    space: int
    bar: int
    outline: int

    @property
    def box_height(self) -> int:
        return self.face.height

    @property
    def pitch(self) -> int:
        """From one line to the next: the box, its bar, and room for the outline of the current token."""
        return self.box_height + self.bar + 2 * self.outline

    def insets(self, part: Fragment) -> tuple[int, int]:
        """Padding before and after the letters of `part`."""
        return self.seam if part.joins_before else self.padding, self.seam if part.joins_after else self.padding

    def box_width(self, part: Fragment) -> int:
        return self.face.width(part.text) + sum(self.insets(part))


@dataclass(frozen=True, eq=False)
class TextLayout:
    """All boxes of a video's text panel. Pages are whole lines; a page begins with the last lines of the one before."""

    units: tuple[DisplayUnit, ...]
    pieces: tuple[Piece, ...]
    metrics: Metrics
    n_lines: int
    lines_per_page: int
    #: Line that parts prompt and answer; -1 without one.
    separator: int
    #: First position of each unit, for finding the current one.
    firsts: Int[np.ndarray, "units"]

    @property
    def carried(self) -> int:
        """Lines that a page shares with the one before."""
        return min(_CARRIED_LINES, max(0, self.lines_per_page // 3))

    @property
    def n_pages(self) -> int:
        return self.page_of_line(max(0, self.n_lines - 1)) + 1

    def page_of_line(self, line: int) -> int:
        """The first page that shows `line`."""
        beyond = line - self.lines_per_page + 1
        step = self.lines_per_page - self.carried
        return max(0, -(-beyond // step))

    def first_line(self, page: int) -> int:
        """The line at the top of `page`."""
        return page * (self.lines_per_page - self.carried)

    def unit_at(self, position: int) -> int:
        """Index of the unit that holds `position` (or the last one before it); -1 before the first."""
        return int(np.searchsorted(self.firsts, position, side="right")) - 1

    def unit_of(self, position: int) -> int:
        """Index of the unit that holds `position`; -1 where none does."""
        unit = self.unit_at(position)
        return unit if unit >= 0 and position < self.units[unit].stop else -1


def layout_text(trace: TraceData, width: int, height: int, theme: Theme) -> TextLayout:
    """Lay out the shown text of `trace` in `width` × `height` pixels: as large as fits on one page, never below
    the readable size; what does not fit there goes on further pages.
    """
    first_answer = trace.n_prompt
    units = display_units(trace.tokens[trace.header.start.first_shown :])
    n_prompt_units = sum(unit.first < first_answer for unit in units)
    largest, least = theme.px("text.largest"), theme.px("text.least")
    sizes = np.unique(np.round(np.linspace(least, largest, _SIZES_TRIED)).astype(np.int64))[::-1].tolist()
    layouts = (_layout(units, n_prompt_units, _metrics(size, theme), width, height) for size in sizes)
    for layout in layouts:
        if layout.n_lines <= layout.lines_per_page:
            break
    return layout


def _metrics(size: int, theme: Theme) -> Metrics:
    face = Typeface(size)
    return Metrics(
        face,
        padding=theme.px("token.padding"),
        seam=theme.px("token.seam"),
        space=face.width(" "),
        bar=theme.px("token.bar"),
        outline=theme.px("token.outline"),
    )


def _layout(
    units: tuple[DisplayUnit, ...], n_prompt_units: int, metrics: Metrics, width: int, height: int
) -> TextLayout:
    parts = fragments(units, metrics.face.visible)
    setter = _Setter(metrics, width)
    setter.place([part for part in parts if part.unit < n_prompt_units])
    separator = setter.separate() if 0 < n_prompt_units < len(units) else -1
    setter.place([part for part in parts if part.unit >= n_prompt_units])
    firsts = np.array([unit.first for unit in units], dtype=np.int64)
    lines_per_page = max(1, height // metrics.pitch)
    return TextLayout(units, tuple(setter.pieces), metrics, setter.n_lines, lines_per_page, separator, firsts)


class _Setter:
    """Places words from left to right and breaks lines between them."""

    def __init__(self, metrics: Metrics, width: int) -> None:
        self.pieces: list[Piece] = []
        self._metrics = metrics
        self._width = width
        self._line = 0
        self._x = 0

    @property
    def n_lines(self) -> int:
        return self._line + (self._x > 0)

    def place(self, parts: Sequence[Fragment]) -> None:
        """Place `parts` behind what is there already."""
        for word in _words(parts):
            gap = self._gap(word[0])
            needed = gap + sum(self._metrics.box_width(part) + 1 for part in word) - 1
            if self._x > 0 and self._x + needed > self._width:
                self._new_line()
            for part in word:
                self._place_part(part)

    def separate(self) -> int:
        """End the line and leave one free; returns the free one."""
        self._line = self.n_lines + 1
        self._x = 0
        return self._line - 1

    def _gap(self, part: Fragment) -> int:
        """Pixels before a part that does not start a line: its spaces, less the padding that shows as space anyway."""
        if self._x == 0:
            return 0
        return max(1, part.spaces * self._metrics.space - self._metrics.padding) if part.spaces else 1

    def _place_part(self, part: Fragment) -> None:
        for cut in self._cut(part):
            gap = self._gap(cut)
            width = self._metrics.box_width(cut)
            if self._x > 0 and self._x + gap + width > self._width:
                self._new_line()
                gap = 0
            inset = self._metrics.insets(cut)[0]
            self.pieces.append(Piece(cut.unit, cut.text, self._line, self._x + gap, width, inset, cut.faint))
            self._x += gap + width
        if part.newlines:
            self._line += min(part.newlines, 2)
            self._x = 0

    def _cut(self, part: Fragment) -> Iterator[Fragment]:
        """`part` in fragments that each fit on a line; a single character always does."""
        while len(part.text) > 1 and self._metrics.box_width(part) > self._width:
            head = replace(part, text=part.text[:-1])
            while len(head.text) > 1 and self._metrics.box_width(head) > self._width:
                fitting = len(head.text) * self._width // self._metrics.box_width(head)
                head = replace(head, text=head.text[: max(1, min(len(head.text) - 1, fitting))])
            yield head
            part = replace(part, text=part.text[len(head.text) :], spaces=0)
        yield part

    def _new_line(self) -> None:
        self._line += 1
        self._x = 0


def _words(parts: Sequence[Fragment]) -> Iterator[list[Fragment]]:
    """Fragments that may not be parted by a line break, together."""
    word: list[Fragment] = []
    for part in parts:
        if word and (part.breaks or word[-1].newlines):
            yield word
            word = []
        word.append(part)
    if word:
        yield word
