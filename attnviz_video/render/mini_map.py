"""The map of the whole text beside its pages: where in it a frame's weight lies, and which part is in view."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8

from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import PixelBox
from attnviz_video.render.brush import fill, frame_box
from attnviz_video.render.text_layout import TextLayout
from attnviz_video.theme import Theme

#: Share of the weight on the text shown at which a stretch's bar is as long as the map is wide.
_FULL_SHARE = 0.25


class MiniMap:
    """Paints the map into `box` of a frame, top to bottom one row for each stretch of whole lines.

    A row's bar is as long as the square root of the share of the shown text's weight that lies on its stretch (the
    whole width for a quarter of it or more, in every frame alike), and has the colour of the heaviest token there,
    so that weight on a page that is not in view is seen. The strip at the left says which part is thinking, answer or
    prompt, and ends where the text has come to; the frame around some rows is the page in view.
    """

    def __init__(self, layout: TextLayout, box: PixelBox, ramp: UInt8[np.ndarray, "256 3"], look: Theme) -> None:
        height = box[3] - box[1]
        n_rows = max(1, min(layout.n_lines, height // look.px("map.least_row")))
        #: First pixel row of each stretch, and the end.
        self._edges = height * np.arange(n_rows + 1) // n_rows
        self._row_of_line = np.arange(layout.n_lines + 1) * n_rows // max(1, layout.n_lines)
        self._row_of_unit = self._row_of_line[layout.last_lines]
        #: Between two stretches stands one pixel row of ground, which is numbered behind the stretches.
        self._row_of_pixel = np.repeat(np.arange(n_rows), np.diff(self._edges))
        self._row_of_pixel[self._edges[1:] - 1] = n_rows
        self._segments = [
            (int(self._row_of_unit[first]), segment)
            for first, segment in enumerate(layout.segments)
            if first == 0 or layout.segments[first - 1] != segment
        ]
        #: Pixels before the bars, and the map without any bar; one row more than there are stretches.
        self._indent = look.px("map.segment") + look.px("map.window")
        self._rows = np.empty((n_rows + 1, box[2] - box[0], 3), dtype=np.uint8)
        self._rows[:] = look.color("panel.carried")
        self._n_rows, self._box, self._ramp, self._theme, self._layout = n_rows, box, ramp, look, layout

    def paint(
        self,
        frame: UInt8[np.ndarray, "height width 3"],
        sums: Float[np.ndarray, "units"],
        levels: Float[np.ndarray, "units"],
        page: int,
    ) -> None:
        """The map of a frame whose units up to the current one have weights `sums` and `levels`; NaN for none."""
        left, top, right, bottom = self._box
        width = self._rows.shape[1] - self._indent
        lengths, steps = self._bars(sums, levels, width)
        rows = self._rows.copy()
        is_bar = np.arange(width)[None] < lengths[:, None]
        np.copyto(rows[:-1, self._indent :], self._ramp[steps][:, None], where=is_bar[..., None])
        frame[top:bottom, left:right] = rows.take(self._row_of_pixel, axis=0)
        self._paint_segments(frame, int(self._row_of_unit[sums.size - 1]) + 1)
        self._paint_window(frame, page)

    def _bars(
        self, sums: Float[np.ndarray, "units"], levels: Float[np.ndarray, "units"], width: int
    ) -> tuple[Float[np.ndarray, "rows"], UInt8[np.ndarray, "rows"]]:
        """Length in pixels and step of the ramp of every row."""
        rows = self._row_of_unit[: sums.size]
        weights = np.where(np.isfinite(levels), sums, 0.0).astype(np.float64)
        total = np.bincount(rows, weights=weights, minlength=self._n_rows)
        heaviest = np.zeros(self._n_rows, dtype=np.float32)
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        heaviest[rows[starts]] = np.maximum.reduceat(np.nan_to_num(levels, nan=0.0), starts)
        share = total / (total.sum() or 1.0)
        return np.sqrt(np.minimum(share / _FULL_SHARE, 1.0)) * width, level_steps(heaviest)

    def _paint_segments(self, frame: UInt8[np.ndarray, "height width 3"], n_written: int) -> None:
        """The strip of segments, down to the row that is written last."""
        left, top = self._box[:2]
        for number, (first, segment) in enumerate(self._segments):
            following = self._segments[number + 1][0] if number + 1 < len(self._segments) else self._n_rows
            stop = min(n_written, following)
            name = "track" if segment == "other" else f"gutter.{segment}"
            if first < stop:
                box = (left, top + int(self._edges[first]), left + self._theme.px("map.segment"), 0)
                fill(frame, (*box[:3], top + int(self._edges[stop])), self._theme.color(name))

    def _paint_window(self, frame: UInt8[np.ndarray, "height width 3"], page: int) -> None:
        """A frame around the rows whose lines are in view."""
        first = self._layout.first_line(page)
        stop = min(self._layout.n_lines, first + self._layout.lines_per_page)
        left, top, right, bottom = self._box
        line = self._theme.px("map.window")
        upper = top + int(self._edges[self._row_of_line[first]])
        lower = top + int(self._edges[self._row_of_line[stop]])
        box = (left - line, max(top, upper - line), right + line, min(bottom, max(lower, upper + line) + line))
        frame_box(frame, box, self._theme.color("ink"), line)
