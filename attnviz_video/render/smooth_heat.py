"""The overlay of one grid, interpolated between the middles of its cells.

Linear interpolation on each axis between whole pixels: the pixel in the middle of a cell has exactly the cell's level,
and every other pixel a weighted mean of cells, all in integers. So no pixel lies above the heaviest cell, and the
maximum stays in its cell.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8, UInt32

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.grid_lines import cell_of_pixel
from attnviz_video.render.heat import OPAQUE, HeatTable
from attnviz_video.render.image_heat import BAND
from attnviz_video.render.image_view import GridView, ImageView

#: Entry of the tables for pixels that are left bare, after those of the 256 steps.
_BARE = 256
#: A level of 1 in the units of interpolation: 256 parts of each of 255 steps.
_TOP = 255 * 256
#: A weight of interpolation of 1.
_ONE = 256


class SmoothOverlay:
    """Levels between cells are interpolated; each grid by itself, since nothing is known beyond its border."""

    def __init__(self, view: ImageView, grid: GridView, heat: HeatTable) -> None:
        left, top, _, _ = view.box
        x0, x1 = int(grid.x_edges[0]), int(grid.x_edges[-1])
        y0, y1 = int(grid.y_edges[0]), int(grid.y_edges[-1])
        self._box: PixelBox = (left + x0, top + y0, left + x1, top + y1)
        self._grid = grid
        # A fourth channel, so that what a step keeps and adds is one 64-bit entry of a table.
        base = np.zeros((y1 - y0, x1 - x0, 4), dtype=np.uint8)
        base[..., :3] = view.pixels[y0:y1, x0:x1]
        self._base = base.reshape(y1 - y0, 4 * (x1 - x0))
        kept = np.full((_BARE + 1, 4), OPAQUE, dtype=np.uint16)
        added = np.zeros((_BARE + 1, 4), dtype=np.uint16)
        kept[:_BARE] = (OPAQUE - heat.alpha)[:, None]
        added[:_BARE, :3] = heat.colors.astype(np.int64) * heat.alpha[:, None] + OPAQUE // 2
        self._kept, self._added = kept.view(np.uint64).ravel(), added.view(np.uint64).ravel()
        self._rows, self._columns = knots(grid.y_edges), knots(grid.x_edges)
        self._row_of, self._column_of = cell_of_pixel(grid.y_edges), cell_of_pixel(grid.x_edges)

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], levels: Float[np.ndarray, "patches"]) -> None:
        """See `Overlay.paint`."""
        left, top, right, bottom = self._box
        if left >= right or top >= bottom:
            return
        picture = frame[top:bottom, left:right]
        grid = self._grid
        own = levels[grid.first_patch : grid.first_patch + grid.rows * grid.columns].reshape(grid.rows, grid.columns)
        steps = self.steps(own)
        width = right - left
        for first in range(0, bottom - top, BAND):
            part = steps[first : first + BAND]
            band = self._kept.take(part).view(np.uint16).reshape(len(part), 4 * width)
            np.multiply(self._base[first : first + BAND], band, out=band)
            np.add(band, self._added.take(part).view(np.uint16).reshape(band.shape), out=band)
            np.right_shift(band, 8, out=band)
            picture[first : first + BAND] = band.reshape(len(part), width, 4)[..., :3]

    def steps(self, levels: Float[np.ndarray, "rows columns"]) -> Int[np.ndarray, "height width"]:
        """Row of the colour table for every pixel of the grid; `_BARE` in cells without a value.

        A cell without a value takes no part in the means of its neighbours.
        """
        bare = np.isnan(levels)
        parts = np.floor(np.nan_to_num(levels).clip(0.0, 1.0) * _TOP + 0.5).astype(np.uint32)
        if not bare.any():
            spread = self._spread(parts)
            rounding = np.uint32(_ONE * _ONE * 128)
            return ((spread + rounding) >> np.uint32(24)).astype(np.int64)
        total, weight = self._spread(np.where(bare, np.uint32(0), parts)), self._spread((~bare).astype(np.uint32))
        steps = (total // np.maximum(weight, 1) + 128) >> 8
        return np.where(self._at_pixels(bare), _BARE, steps).astype(np.int64)

    def _spread(self, cells: UInt32[np.ndarray, "rows columns"]) -> UInt32[np.ndarray, "height width"]:
        """`cells` interpolated to pixels, times 2¹⁶: at most 255 · 256 · 2¹⁶, which is below 2³²."""
        before, after, weight = self._columns
        one = np.uint32(_ONE)
        across = cells[:, before] * (one - weight) + cells[:, after] * weight
        before, after, weight = self._rows
        down: UInt32[np.ndarray, "height width"] = across[before] * (one - weight)[:, None]
        down += across[after] * weight[:, None]
        return down

    def _at_pixels(self, cells: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "height width"]:
        found: Bool[np.ndarray, "height width"] = cells[self._row_of][:, self._column_of]
        return found


def knots(
    edges: Int[np.ndarray, "_"],
) -> tuple[Int[np.ndarray, "size"], Int[np.ndarray, "size"], UInt32[np.ndarray, "size"]]:
    """For every pixel of one axis the cells before and after it, and the weight of the second, 0 to 255 of 256.

    A cell's middle is a whole pixel. Beyond the first and the last middle a pixel has their level. Cells of no pixel
    take no part.
    """
    cells = np.flatnonzero(np.diff(edges) > 0)
    middles = (edges[:-1][cells] + edges[1:][cells] - 1) // 2
    pixels = np.arange(int(edges[0]), int(edges[-1]))
    before = np.clip(np.searchsorted(middles, pixels, side="right") - 1, 0, max(0, cells.size - 1))
    after = np.minimum(before + 1, max(0, cells.size - 1))
    if cells.size == 0:
        return pixels, pixels, pixels.astype(np.uint32)
    span = np.maximum(middles[after] - middles[before], 1)
    weight = np.clip((pixels - middles[before]) * _ONE // span, 0, _ONE - 1)
    weight = np.where(after == before, 0, weight)
    return cells[before], cells[after], weight.astype(np.uint32)
