"""How much of a free space pictures can make use of, so that a frame gives the rest to the text."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

#: Part of the greatest area of picture that is as good as it.
_NEARLY = 0.95


def useful_width(sizes: Sequence[tuple[int, int]], height: int, gap: int, caption: int, most: int) -> int:
    """The width that pictures of `sizes` (width, height) take at `height` pixels, `most` at most.

    Of all numbers of rows that show about the most picture the one counts that takes the least room; rows are of equal
    height, `gap` pixels apart, and keep `caption` pixels under each picture.
    """
    found = []
    for n_rows in range(1, len(sizes) + 1):
        each = (height - gap * (n_rows - 1)) / n_rows - caption
        if each <= 0:
            break
        rows = _in_rows(sizes, n_rows)
        width = max(sum(each * w / h for w, h in row) + gap * (len(row) - 1) for row in rows)
        shown = each**2 * sum(w / h for row in rows for w, h in row) * min(1.0, most / width) ** 2
        found.append((shown, min(most, ceil(width))))
    return _least_useful(found, most)


def useful_height(sizes: Sequence[tuple[int, int]], width: int, gap: int, caption: int, most: int) -> int:
    """The height that pictures of `sizes` (width, height) take at `width` pixels, captions included, `most` at most.

    Of all numbers of rows that show about the most picture the one counts that takes the least room; each row takes
    the whole width.
    """
    found = []
    for n_rows in range(1, len(sizes) + 1):
        heights = [
            max(1.0, width - gap * (len(row) - 1)) / sum(w / h for w, h in row) for row in _in_rows(sizes, n_rows)
        ]
        beside = caption * n_rows + gap * (n_rows - 1)
        if beside >= most:
            break
        shrunk = min(1.0, (most - beside) / sum(heights))
        shown = width * sum(heights) * shrunk**2
        found.append((shown, min(most, ceil(sum(heights)) + beside)))
    return _least_useful(found, most)


def _least_useful(found: Sequence[tuple[float, int]], most: int) -> int:
    """The least room of those (area shown, room) that show nearly the greatest area; `most` where there is none."""
    greatest = max((shown for shown, _ in found), default=0.0)
    return min((room for shown, room in found if shown >= _NEARLY * greatest), default=most)


def _in_rows(sizes: Sequence[tuple[int, int]], n_rows: int) -> list[Sequence[tuple[int, int]]]:
    """`sizes` in `n_rows` rows; the first rows take one more where it does not come out even."""
    rows, start = [], 0
    for row in range(n_rows):
        stop = start + len(sizes) // n_rows + (row < len(sizes) % n_rows)
        rows.append(sizes[start:stop])
        start = stop
    return rows
