"""Measure, then place: every token's box on lines and pages, computed once per video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby

import numpy as np
from jaxtyping import Int

from attnviz_video.core.shown import ShowPrompt, shown_units
from attnviz_video.core.tokens import Segment
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit
from attnviz_video.render.escape import is_mark
from attnviz_video.render.fragments import Fragment, fragments
from attnviz_video.render.right_to_left import directions, has_right_to_left, visual_places, with_joiners
from attnviz_video.render.sections import (
    Section,
    TagPart,
    sections_of,
    shown_segments,
    tag_parts,
    unit_segments,
)
from attnviz_video.render.typefaces import FontSource, Typeface
from attnviz_video.theme import Theme

#: Steps from the largest to the smallest text size that are tried.
_SIZES_TRIED = 4
#: Part of a page that is the end of the one before, so that a reader keeps the thread when the page turns.
_CARRIED_PART = 3


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
    #: The tag it is, or is a part of.
    tag: TagPart | None = None


@dataclass(frozen=True, slots=True)
class Separator:
    """A line without text, on which a section begins."""

    line: int
    section: Section


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
    """All boxes of a video's text panel. Pages are whole lines; a page begins with the last third of the one before.

    The view therefore changes only when the current token would leave it, and then what was just read moves to the
    top of the page as a block.
    """

    units: tuple[DisplayUnit, ...]
    pieces: tuple[Piece, ...]
    metrics: Metrics
    n_lines: int
    lines_per_page: int
    separators: tuple[Separator, ...]
    #: The segment each unit is shown in.
    segments: tuple[Segment, ...]
    #: First position of each unit, for finding the current one.
    firsts: Int[np.ndarray, "units"]
    #: Pixels right of the lines that the map of the whole text takes; 0 where all of it is on one page.
    map_room: int = 0

    @property
    def carried(self) -> int:
        """Lines that a page shares with the one before."""
        return self.lines_per_page // _CARRIED_PART

    @cached_property
    def piece_lines(self) -> Int[np.ndarray, "pieces"]:
        """The line of each piece."""
        return np.array([piece.line for piece in self.pieces], dtype=np.int64)

    @cached_property
    def last_lines(self) -> Int[np.ndarray, "units"]:
        """The line on which each unit ends."""
        lines = np.zeros(len(self.units), dtype=np.int64)
        lines[[piece.unit for piece in self.pieces]] = self.piece_lines
        return lines

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

    def carried_lines(self, page: int) -> int:
        """How many lines at the top of `page` were on the page before."""
        return self.carried if page > 0 else 0

    def unit_at(self, position: int) -> int:
        """Index of the unit that holds `position` (or the last one before it); -1 before the first."""
        return int(np.searchsorted(self.firsts, position, side="right")) - 1

    def unit_of(self, position: int) -> int:
        """Index of the unit that holds `position`; -1 where none does."""
        unit = self.unit_at(position)
        return unit if unit >= 0 and position < self.units[unit].stop else -1


def layout_text(
    trace: TraceData,
    width: int,
    height: int,
    theme: Theme,
    *,
    show_prompt: ShowPrompt = "phrase",
    fonts: FontSource = "bundled",
) -> TextLayout:
    """Lay out the shown text of `trace` in `width` × `height` pixels: as large as fits on one page, never below
    the readable size; what does not fit there goes on further pages, and a map of the whole text stands beside them.
    """
    units = shown_units(trace, show_prompt)
    own = unit_segments(units, trace.tokens)
    largest, least = theme.px("text.largest"), theme.px("text.least")
    sizes = np.unique(np.round(np.linspace(least, largest, _SIZES_TRIED)).astype(np.int64))[::-1].tolist()
    face = Typeface(sizes[0], fonts=fonts)
    parts = fragments(units, face.visible, tag_parts(units, own))
    text = _Text(units, shown_segments(units, own), _joined_letters(parts) if face.shapes else parts)
    for size in sizes:
        metrics = _metrics(face if size == face.size_px else face.resized(size), theme)
        layout = _layout(text, metrics, width, height, max_lines=max(1, height // metrics.pitch))
        if layout is not None:
            return layout
    room = theme.px("map.width") + theme.px("map.gap")
    paged = _layout(text, metrics, max(1, width - room), height, max_lines=None)
    assert paged is not None
    return replace(paged, map_room=room)


@dataclass(frozen=True)
class _Text:
    """What is laid out."""

    units: tuple[DisplayUnit, ...]
    segments: tuple[Segment, ...]
    parts: tuple[Fragment, ...]


def _metrics(face: Typeface, theme: Theme) -> Metrics:
    return Metrics(
        face,
        padding=theme.px("token.padding"),
        seam=theme.px("token.seam"),
        space=face.width(" "),
        bar=theme.px("token.bar"),
        outline=theme.px("token.outline"),
    )


def _layout(text: _Text, metrics: Metrics, width: int, height: int, max_lines: int | None) -> TextLayout | None:
    """The layout in one text size; None as soon as it takes more than `max_lines`."""
    starts = np.searchsorted([part.unit for part in text.parts], np.arange(len(text.units) + 1))
    sections = sections_of(text.segments)
    setter = _Setter(metrics, width)
    separators = []
    for number, section in enumerate(sections):
        if section.label:
            separators.append(Separator(setter.separate(), section))
        stop = sections[number + 1].unit if number + 1 < len(sections) else len(text.units)
        setter.place(text.parts[starts[section.unit] : starts[stop]], max_lines)
        if max_lines is not None and setter.n_lines > max_lines:
            return None
    pieces = _in_visual_order(setter.pieces, metrics.face) if metrics.face.shapes else setter.pieces
    return TextLayout(
        text.units,
        tuple(pieces),
        metrics,
        setter.n_lines,
        lines_per_page=max(1, height // metrics.pitch),
        separators=tuple(separators),
        segments=text.segments,
        firsts=np.array([unit.first for unit in text.units], dtype=np.int64),
    )


def _joined_letters(parts: Sequence[Fragment]) -> tuple[Fragment, ...]:
    """`parts` whose letters keep the forms they have in a word that several boxes spell."""
    joined = list(parts)
    for number, part in enumerate(parts):
        if has_right_to_left(part.text):
            before = parts[number - 1].text[-1:] if part.joins_before else ""
            after = parts[number + 1].text[:1] if part.joins_after else ""
            joined[number] = replace(part, text=with_joiners(part.text, before, after))
    return tuple(joined)


def _in_visual_order(pieces: Sequence[Piece], face: Typeface) -> list[Piece]:
    """`pieces`, in reading order still, with those that are read from right to left standing in that order."""
    placed: list[Piece] = []
    for _, run in groupby(pieces, key=lambda piece: piece.line):
        line = list(run)
        leftward = directions([piece.text for piece in line])
        if any(leftward):
            lefts = visual_places([(piece.x, piece.width) for piece in line], leftward)
            for number, (piece, left) in enumerate(zip(line, lefts, strict=True)):
                if leftward[number]:
                    line[number] = replace(piece, x=left, inset=piece.width - face.width(piece.text) - piece.inset)
        placed.extend(line)
    return placed


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

    def place(self, parts: Sequence[Fragment], max_lines: int | None) -> None:
        """Place `parts` behind what is there already; gives up once they take more than `max_lines`."""
        for word in _words(parts):
            if max_lines is not None and self.n_lines > max_lines:
                return
            gap = self._gap(word[0])
            needed = gap + sum(self._metrics.box_width(part) + 1 for part in word) - 1
            if self._x > 0 and self._x + needed > self._width:
                self._new_line()
            for part in word:
                self._place_part(part)

    def separate(self) -> int:
        """End the line and leave one free; returns the free one.

        An empty line that paragraphs have left is used.
        """
        empty = self.pieces and self._x == 0 and self._line > self.pieces[-1].line + 1
        self._line = self._line if empty else self.n_lines + 1
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
            self.pieces.append(Piece(cut.unit, cut.text, self._line, self._x + gap, width, inset, cut.faint, cut.tag))
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
            head = replace(head, text=part.text[: _before_marks(part.text, len(head.text))])
            yield head
            part = replace(part, text=part.text[len(head.text) :], spaces=0)
        yield part

    def _new_line(self) -> None:
        self._line += 1
        self._x = 0


def _before_marks(text: str, cut: int) -> int:
    """`cut`, moved before the letter whose marks it would part from it, where there is one."""
    letter = cut
    while letter > 0 and is_mark(text[letter]):
        letter -= 1
    return letter or cut


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
