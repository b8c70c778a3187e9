"""Dividing space in whole pixels: parts always sum exactly to the whole. Knows nothing of what is painted."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.core.layout import PixelBox


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


def arrange(sizes: Sequence[tuple[int, int]], box: PixelBox, gap: int, caption: int) -> list[PixelBox]:
    """Cells for pictures of `sizes` (width, height) in `box`, in reading order.

    `caption` pixels are kept under each picture. Of all numbers of rows the one is taken that shows the most
    picture; cells are of equal size within a row.
    """
    best: list[PixelBox] = []
    best_area = -1
    for rows in range(1, len(sizes) + 1):
        cells = _cells(len(sizes), rows, box, gap)
        area = 0
        for (width, height), cell in zip(sizes, cells, strict=True):
            shown = fit_inside(width, height, cell[2] - cell[0], cell[3] - cell[1] - caption)
            area += shown[0] * shown[1]
        if area > best_area:
            best, best_area = cells, area
    return best


def _cells(count: int, rows: int, box: PixelBox, gap: int) -> list[PixelBox]:
    """`count` cells in `rows` rows; the first rows take one more where it does not come out even."""
    left, top, right, bottom = box
    cells = []
    for row, (y0, y1) in enumerate(split(bottom - top, [1] * rows, gap)):
        in_row = count // rows + (row < count % rows)
        for x0, x1 in split(right - left, [1] * in_row, gap):
            cells.append((left + x0, top + y0, left + x1, top + y1))
    return cells


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
