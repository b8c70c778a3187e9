"""Dividing space in whole pixels: parts always sum exactly to the whole. Knows nothing of what is painted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Literal

from attnviz_video.core.layout import PixelBox

#: Up to this many pictures every way of breaking them into lines is tried; beyond, only lines of about equal length.
_ALL_BREAKS = 8
#: How much more of every picture another way has to show than one that comes before it: 41 for every 40, and columns
#: 5 for every 4, since rows are read more easily.
_MORE = {"rows": (41, 40), "columns": (5, 4)}


def split(total: int, weights: Sequence[int], gap: int = 0) -> list[tuple[int, int]]:
    """Cut `total` pixels into parts (start, stop) in proportion to `weights`, with `gap` pixels between them.

    Parts and gaps sum to `total`; no two parts of equal weight differ by more than one pixel. Gaps are made
    smaller where there is too little room.
    """
    gaps = len(weights) - 1
    gap = min(gap, total // (2 * gaps)) if gaps else 0
    room, whole = total - gap * gaps, sum(weights)
    edges = [0]
    for number in range(len(weights)):
        edges.append((room * sum(weights[: number + 1]) + whole // 2) // whole)
    return [(edges[number] + gap * number, edges[number + 1] + gap * number) for number in range(len(weights))]


@dataclass(frozen=True)
class Spacing:
    """What stands around every picture, in pixels."""

    gap: int = 0
    #: Kept under each picture.
    caption: int = 0
    #: Width of a caption; a narrower picture still gets a cell of this width, where the room allows.
    caption_width: int = 1
    #: Rim around each picture.
    border: int = 0


def arrange(
    sizes: Sequence[tuple[int, int]], box: PixelBox, spacing: Spacing, leasts: Sequence[tuple[int, int]] = ()
) -> list[PixelBox]:
    """Cells for pictures of `sizes` (width, height) in `box`: in order, inside, apart, each as large as its content.

    The pictures are broken into rows of equal height (read row by row) or into columns of equal width (read column
    by column). Of all ways the one is taken that shows the most picture: the largest product of the shown areas, so
    that no picture pays for another with its whole size (Nash, "The Bargaining Problem", Econometrica 1950). Of two
    that show about as much, rows win over columns, fewer lines over more, even lines over uneven ones; captions with
    room for their words win over any without. Each cell is a picture with its rim, its caption below.
    `leasts` are the shortest sides (width, height) of the pictures where the room allows.
    """
    left, top, right, bottom = box
    room = (right - left, bottom - top)
    spacing = _shrunk(spacing, len(sizes), room)
    leasts = leasts or [(1, 1)] * len(sizes)
    sizes = [_not_thinner(size, least, room) for size, least in zip(sizes, leasts, strict=True)]
    best, has_words = -1, False
    cells: list[PixelBox] = []
    directions: tuple[Literal["rows", "columns"], ...] = ("rows", "columns")
    for direction in directions:
        solver = _Lines(sizes, room, spacing, direction)
        more, than = _MORE[direction]
        for lines in breaks(len(sizes)):
            words, product = solver.has_room_for_words(lines), solver.product(lines)
            is_better = product * than ** len(sizes) > best * more ** len(sizes)
            if (words and not has_words) or (words == has_words and is_better):
                best, has_words, cells = product, words, solver.cells(lines)
    return [(left + x0, top + y0, left + x1, top + y1) for x0, y0, x1, y1 in cells]


def breaks(count: int) -> Iterator[list[range]]:
    """Ways of breaking `count` pictures into lines: fewest lines first, then the more even lines.

    All of them for few pictures; for many, for every number of lines the one with lines of about equal length.
    """
    for n_lines in range(1, count + 1):
        even = tuple(count // n_lines + (line < count % n_lines) for line in range(n_lines))
        uneven = sorted(_compositions(count, n_lines), key=_unevenness) if count <= _ALL_BREAKS else [even]
        for lengths in uneven:
            stops = list(accumulate(lengths, initial=0))
            yield [range(start, stop) for start, stop in pairwise(stops)]


def _unevenness(lengths: tuple[int, ...]) -> int:
    return max(lengths) - min(lengths)


def _compositions(count: int, lines: int) -> Iterator[tuple[int, ...]]:
    """All ways of writing `count` as a sum of `lines` numbers above 0; longer lines first."""
    if lines == 1:
        yield (count,)
        return
    for first in range(count - lines + 1, 0, -1):
        for rest in _compositions(count - first, lines - 1):
            yield (first, *rest)


def _shrunk(spacing: Spacing, count: int, room: tuple[int, int]) -> Spacing:
    """`spacing` as it fits into a small room: gaps and captions never take more than the room has."""
    width, height = room
    gap = min(spacing.gap, width // (4 * count), height // (4 * count)) if count else 0
    return replace(
        spacing,
        gap=gap,
        caption=min(spacing.caption, height // 2),
        caption_width=min(spacing.caption_width, width),
    )


def _not_thinner(size: tuple[int, int], least: tuple[int, int], room: tuple[int, int]) -> tuple[int, int]:
    """`size`, made less thin where it would fall below `least` although it is as long as the whole room."""
    width, height = size
    return max(width, -(-height * least[0] // max(1, room[1]))), max(height, -(-width * least[1] // max(1, room[0])))


class _Lines:
    """Pictures in rows (or columns): how large they become for each way of breaking them into lines."""

    def __init__(
        self,
        sizes: Sequence[tuple[int, int]],
        room: tuple[int, int],
        spacing: Spacing,
        direction: Literal["rows", "columns"],
    ) -> None:
        self._is_rows = direction == "rows"
        #: Sides of each picture across the lines and along them.
        self._sides = [(height, width) if self._is_rows else (width, height) for width, height in sizes]
        self._along, self._across = room if self._is_rows else room[::-1]
        self._gap = spacing.gap
        self._caption_width = spacing.caption_width
        rim = 2 * spacing.border
        #: What a cell has beside its picture, across and along, and its least length.
        self._rest = (rim + spacing.caption, rim) if self._is_rows else (rim, rim + spacing.caption)
        self._least = max(self._rest[1] + 1, spacing.caption_width if self._is_rows else 1)
        self._limits: dict[range, int] = {}

    def extents(self, lines: Sequence[range]) -> list[int]:
        """Height of each row (width of each column).

        All lines ask for pictures of the same extent; what a line cannot use, because its pictures fill its length
        already, goes to the others.
        """
        rest = self._rest[0]
        room = max(len(lines), self._across - self._gap * (len(lines) - 1) - rest * len(lines))
        extents = [0] * len(lines)
        waiting = list(range(len(lines)))
        while waiting:
            parts = split(room, [1] * len(waiting))
            shares = {line: stop - start for line, (start, stop) in zip(waiting, parts, strict=True)}
            full = [line for line in waiting if self._limit(lines[line]) - rest < shares[line]]
            for line in full or waiting:
                shown = min(shares[line], max(1, self._limit(lines[line]) - rest))
                extents[line] = shown + rest
                room -= shown
            waiting = [line for line in waiting if line not in full] if full else []
        return extents

    def has_room_for_words(self, lines: Sequence[range]) -> bool:
        """Whether every cell is as wide as a caption."""
        if self._is_rows:
            return all(self._least * len(line) + self._gap * (len(line) - 1) <= self._along for line in lines)
        return min(self.extents(lines)) >= self._caption_width

    def product(self, lines: Sequence[range]) -> int:
        """The product of the areas of all pictures."""
        return math.prod(
            math.prod(fit_inside(*self._sides[number], extent - self._rest[0], length - self._rest[1]))
            for line, extent in zip(lines, self.extents(lines), strict=True)
            for number, length in zip(line, self._lengths(line, extent), strict=True)
        )

    def cells(self, lines: Sequence[range]) -> list[PixelBox]:
        """The cells, in the order of the pictures, centred in the room."""
        extents = self.extents(lines)
        start = (self._across - sum(extents) - self._gap * (len(lines) - 1)) // 2
        cells: list[PixelBox] = []
        for line, extent in zip(lines, extents, strict=True):
            lengths = self._lengths(line, extent)
            place = (self._along - sum(lengths) - self._gap * (len(line) - 1)) // 2
            for length in lengths:
                along, across = (place, place + length), (start, start + extent)
                (x0, x1), (y0, y1) = (along, across) if self._is_rows else (across, along)
                cells.append((x0, y0, x1, y1))
                place += length + self._gap
            start += extent + self._gap
        return cells

    def _limit(self, line: range) -> int:
        """The extent at which the pictures of a line fill its length; more would be wasted."""
        if line not in self._limits:
            room = self._along - self._gap * (len(line) - 1)
            low, high = 1, self._across
            while low < high:
                middle = (low + high) // 2
                is_over = sum(self._wanted(number, middle) for number in line) > room
                low, high = (low, middle) if is_over else (middle + 1, high)
            # One pixel less, where that leaves nothing of the length unused.
            if low > 1 and sum(self._wanted(number, low - 1) for number in line) == room:
                low -= 1
            self._limits[line] = low
        return self._limits[line]

    def _wanted(self, number: int, extent: int) -> int:
        """Length along its line that a picture takes at an extent of its line; grows with the extent."""
        across, along = self._sides[number]
        shown = max(1, extent - self._rest[0])
        return max(self._least, self._rest[1] + (2 * along * shown + across) // (2 * across))

    def _lengths(self, line: range, extent: int) -> list[int]:
        """Lengths of a line's cells; where they do not quite fit, what is above the least length is shared out."""
        room = self._along - self._gap * (len(line) - 1)
        wanted = [self._wanted(number, extent) for number in line]
        if sum(wanted) <= room:
            return wanted
        spare = room - self._least * len(line)
        if spare < 0:
            return [stop - start for start, stop in split(room, [1] * len(line))]
        parts = split(spare, [length - self._least for length in wanted])
        return [self._least + stop - start for start, stop in parts]


def picture_size(size: tuple[int, int], cell: PixelBox, spacing: Spacing) -> tuple[int, int]:
    """Width and height that a picture of `size` takes in its cell: without rim and caption, aspect kept."""
    rim = 2 * spacing.border
    return fit_inside(*size, cell[2] - cell[0] - rim, cell[3] - cell[1] - rim - spacing.caption)


def fit_inside(
    width: int, height: int, room_width: int, room_height: int, least: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """Largest size of the aspect of `width` × `height` in the room.

    No side is below `least` (width, height) while there is room: a sliver of an image has to stay visible.
    """
    if room_width <= 0 or room_height <= 0:
        return 0, 0
    if width * room_height >= height * room_width:
        fitted = room_width, (height * room_width + width // 2) // width
    else:
        fitted = (width * room_height + height // 2) // height, room_height
    return min(room_width, max(fitted[0], least[0])), min(room_height, max(fitted[1], least[1]))
