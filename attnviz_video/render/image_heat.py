"""The overlay of one grid on one picture: every cell in the exact colour of its weight, lines between them.

What does not change from frame to frame (which cell and which line a pixel belongs to) is worked out once; a frame
then costs one multiplication, one addition and one shift per pixel, all in 16-bit integers and in whole bands of rows:
pixel · (256 - opacity) + colour · opacity is at most 255 · 256.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8, UInt16

from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import PixelBox
from attnviz_video.render.grid_lines import SHOWS, WHOLE, LineStyle, cell_of_pixel, line_kinds, stretches
from attnviz_video.render.heat import OPAQUE, HeatTable
from attnviz_video.render.image_view import GridView, ImageView

#: Rows that are blended at a time: few enough that they stay in the processor's cache.
BAND = 64
_ROUND = OPAQUE // 2


@runtime_checkable
class Overlay(Protocol):
    """What lays the weights of one grid on its picture."""

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], levels: Float[np.ndarray, "patches"]) -> None:
        """Paint the picture with the levels (0 to 1) of all patches of its image; NaN leaves a patch bare."""
        ...


class CellOverlay:
    """Exact cells: what is painted is `HeatTable.over`, rounded half up."""

    def __init__(self, view: ImageView, grid: GridView, heat: HeatTable, lines: LineStyle | None) -> None:
        left, top, right, bottom = view.box
        x0, x1 = int(grid.x_edges[0]), int(grid.x_edges[-1])
        y0, y1 = int(grid.y_edges[0]), int(grid.y_edges[-1])
        self._box: PixelBox = (left + x0, top + y0, left + x1, top + y1)
        self._base = np.ascontiguousarray(view.pixels[y0:y1, x0:x1]).reshape(y1 - y0, 3 * (x1 - x0))
        self._grid = grid
        self._alpha = heat.alpha.astype(np.uint16)
        # Colour times opacity, rounded when the blend is shifted down.
        self._added = (heat.colors.astype(np.int64) * heat.alpha[:, None] + _ROUND).astype(np.uint16)
        self._tone = 0 if lines is None else lines.tone
        row_kinds = line_kinds(grid.y_edges, bottom - top, lines)
        column_kinds = line_kinds(grid.x_edges, right - left, lines)
        rows = cell_of_pixel(grid.y_edges)
        self._bands = [
            (first, stop, int(rows[first]), kind) for first, stop, kind in stretches(row_kinds, grid.y_edges, BAND)
        ]
        column = cell_of_pixel(grid.x_edges)
        # For each kind of row: which entry of the tables below each value of a row of pixels takes.
        self._sources = {}
        for kind in sorted({kind for *_, kind in self._bands}):
            entry = np.maximum(column_kinds, kind).astype(np.int64) * grid.columns + column
            self._sources[kind] = (entry[:, None] * 3 + np.arange(3)).ravel()
        self._buffer: UInt16[np.ndarray, "band width"] = np.empty((BAND, self._base.shape[1]), dtype=np.uint16)

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], levels: Float[np.ndarray, "patches"]) -> None:
        """See `Overlay.paint`."""
        left, top, right, bottom = self._box
        if left >= right or top >= bottom:
            return
        picture = frame[top:bottom, left:right].reshape(self._base.shape, copy=False)
        kept, added = self._tables(levels)
        tables = {
            kind: (kept.take(source, axis=1), added.take(source, axis=1)) for kind, source in self._sources.items()
        }
        for first, stop, row, kind in self._bands:
            kept_row, added_row = tables[kind][0][row], tables[kind][1][row]
            band = self._buffer[: stop - first]
            np.multiply(self._base[first:stop], kept_row, out=band)
            np.add(band, added_row, out=band)
            np.right_shift(band, 8, out=band)
            picture[first:stop] = band

    def _tables(
        self, levels: Float[np.ndarray, "patches"]
    ) -> tuple[UInt16[np.ndarray, "rows entries"], UInt16[np.ndarray, "rows entries"]]:
        """Per row of cells: what of the picture is kept and what is added, for cells and for the lines on them."""
        grid = self._grid
        own = levels[grid.first_patch : grid.first_patch + grid.rows * grid.columns].reshape(grid.rows, grid.columns)
        steps = level_steps(own)
        kept = (OPAQUE - self._alpha[steps]).astype(np.uint16)
        added = self._added[steps]
        bare = np.isnan(own)
        if bare.any():
            kept[bare], added[bare] = OPAQUE, 0
        kept = np.repeat(kept, 3, axis=1)
        added = added.reshape(grid.rows, 3 * grid.columns)
        all_kept, all_added = [kept], [added]
        for shows in SHOWS[1:]:
            all_kept.append(_part(kept, shows))
            all_added.append(_part(added, shows) + np.uint16(self._tone * OPAQUE * (WHOLE - shows) // WHOLE))
        return np.concatenate(all_kept, axis=1), np.concatenate(all_added, axis=1)


def _part(values: UInt16[np.ndarray, "rows entries"], shows: int) -> UInt16[np.ndarray, "rows entries"]:
    return (values.astype(np.uint32) * shows // WHOLE).astype(np.uint16)
