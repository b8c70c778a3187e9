"""Lines between the patches of a picture, and stronger ones between its tiles: which pixels they take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

#: What a pixel of a picture belongs to; where two lines cross, the higher one wins.
CELL, PATCH_LINE, TILE_LINE = 0, 1, 2
#: Part of the picture that still shows through each of them, of 8.
SHOWS, WHOLE = (8, 5, 1), 8
#: Cells narrower than this many line widths get no grid lines: the lines would hide the picture.
_LEAST_CELL_LINES = 6


@dataclass(frozen=True)
class LineStyle:
    """Widths of the lines in pixels, and their brightness, 0 to 255."""

    patch: int
    tile: int
    tone: int


def line_kinds(edges: Int[np.ndarray, "_"], size: int, style: LineStyle | None) -> UInt8[np.ndarray, "size"]:
    """For each pixel between the first and the last of `edges` whether it is a cell's or a line's.

    A line stands between two cells. The border of a grid is a tile's line where it lies within the picture of `size`
    pixels, and takes half its width on this side of the border: the grid beyond it paints the other half.
    """
    start, stop = int(edges[0]), int(edges[-1])
    kinds = np.full(stop - start, CELL, dtype=np.uint8)
    if style is None:
        return kinds
    kinds[line_positions(edges, style.patch) - start] = PATCH_LINE
    if stop - start >= _LEAST_CELL_LINES * style.tile:
        half = style.tile // 2
        if start > 0:
            kinds[: style.tile - half] = TILE_LINE
        if stop < size:
            kinds[kinds.size - half :] = TILE_LINE
    return kinds


def line_positions(edges: Int[np.ndarray, "_"], thickness: int) -> Int[np.ndarray, "_"]:
    """Pixels that the inner grid lines of one axis take; none where cells are too small for lines.

    A cell that the border of the image cuts short (padding) does not count.
    """
    if edges.size < 3:
        return np.zeros(0, dtype=np.int64)
    widths = np.diff(edges)
    inner = edges[1:-1][(widths[:-1] > 0) & (widths[1:] > 0)]
    if inner.size == 0 or int(widths.max()) < _LEAST_CELL_LINES * thickness:
        return np.zeros(0, dtype=np.int64)
    lines = (inner[:, None] + np.arange(thickness)[None, :] - thickness // 2).ravel()
    within: Int[np.ndarray, "_"] = lines[(lines >= edges[0]) & (lines < edges[-1])]
    return within


def line_tone(pixels: UInt8[np.ndarray, "height width 3"]) -> int:
    """Brightness of the lines on a picture: light on a dark one, dark on a light one."""
    return 0 if int(np.median(pixels[::8, ::8])) > 127 else 255


def stretches(kinds: UInt8[np.ndarray, "_"], edges: Int[np.ndarray, "_"], longest: int) -> list[tuple[int, int, int]]:
    """Runs (first, stop, kind) of equal kind and cell, counted from the first edge and of at most `longest` pixels."""
    if kinds.size == 0:
        return []
    inner = edges[1:-1] - edges[0]
    cuts = np.unique(
        np.concatenate(
            [
                [0, kinds.size],
                inner,
                np.flatnonzero(np.diff(kinds)) + 1,
            ]
        )
    )
    runs = []
    for first, stop in zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True):
        for start in range(first, stop, longest):
            runs.append((start, min(start + longest, stop), int(kinds[first])))
    return runs


def cell_of_pixel(edges: Int[np.ndarray, "_"]) -> Int[np.ndarray, "_"]:
    """The cell of every pixel between the first and the last of `edges`."""
    cells: Int[np.ndarray, "_"] = np.repeat(np.arange(edges.size - 1), np.diff(edges))
    return cells
