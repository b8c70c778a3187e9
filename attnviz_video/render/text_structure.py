"""What makes the structure of a text visible beside its words: gutter, section lines, lines shown again."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from jaxtyping import UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.core.tokens import Segment
from attnviz_video.render.brush import fill, write
from attnviz_video.render.text_layout import TextLayout
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme


class TextStructure:
    """Paints around the lines at `area` of the panel at `box`: a coloured gutter beside prompt, thinking and answer,
    a thin line with a word where one begins, and a shade behind the lines that the page before ended with.
    """

    def __init__(self, layout: TextLayout, box: PixelBox, area: PixelBox, look: Theme, face: Typeface) -> None:
        self._layout, self._box, self._area, self._theme, self._face = layout, box, area, look, face
        self._segments = _segments_of_lines(layout)
        self._shade = np.empty((box[2] - box[0], 3), dtype=np.uint8)
        self._shade[:] = look.color("panel.carried")

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], page: int, current: int) -> None:
        """The structure of `page` down to the line of the unit `current`."""
        first = self._layout.first_line(page)
        stop = int(self._layout.last_lines[current]) + 1
        self._paint_carried(frame, page)
        self._paint_gutter(frame, first, stop)
        for separator in self._layout.separators:
            if first <= separator.line < stop and separator.section.unit <= current:
                self._paint_separator(frame, separator.line - first, separator.section.label, separator.section.segment)

    def _top(self, line: int) -> int:
        """Upper edge of a line of the page in frame pixels."""
        return self._area[1] + line * self._layout.metrics.pitch

    def _paint_carried(self, frame: UInt8[np.ndarray, "height width 3"], page: int) -> None:
        """The shade behind carried lines goes on in the margin, and a thin line ends it."""
        n_carried = self._layout.carried_lines(page)
        if n_carried:
            border, line = self._theme.px("panel.border"), self._theme.px("grid.line")
            left, top = self._box[0] + border, self._box[1] + border
            right = self._area[2] + self._theme.px("map.gap") // 2
            bottom = self._top(n_carried)
            # Whole rows are copied much faster than one colour is spread.
            shade = self._shade[: right - left]
            frame[top : self._area[1], left:right] = shade
            frame[self._area[1] : bottom, left : self._area[0]] = shade[: self._area[0] - left]
            frame[self._area[1] : bottom, self._area[2] : right] = shade[: right - self._area[2]]
            fill(frame, (left, bottom - line, right, bottom), self._theme.color("panel.border"))

    def _paint_gutter(self, frame: UInt8[np.ndarray, "height width 3"], first: int, stop: int) -> None:
        metrics, width = self._layout.metrics, self._theme.px("gutter.width")
        left = (self._box[0] + self._theme.px("panel.border") + self._area[0] - width) // 2
        line = first
        for segment, lines in groupby(self._segments[first:stop]):
            end = line + len(list(lines))
            if segment not in ("", "other"):
                top = self._top(line - first) + metrics.outline
                bottom = self._top(end - first) - metrics.outline
                fill(frame, (left, top, left + width, bottom), self._theme.color(f"gutter.{segment}"))
            line = end

    def _paint_separator(
        self, frame: UInt8[np.ndarray, "height width 3"], line: int, label: str, segment: Segment
    ) -> None:
        theme, face = self._theme, self._face
        top = self._top(line) + (self._layout.metrics.pitch - face.height) // 2
        color = theme.color("ink.faint" if segment == "other" else f"gutter.{segment}")
        end = write(frame, self._area[0], top, label, face, color)
        middle = top + face.height // 2
        rule = (end + theme.px("frame.row_gap"), middle, self._area[2], middle + theme.px("grid.line"))
        fill(frame, rule, theme.color("panel.border"))


def _segments_of_lines(layout: TextLayout) -> list[str]:
    """The segment of each line; "" for those that part two sections. Empty lines between two of one go with them."""
    segments: list[str] = [""] * layout.n_lines
    for piece in layout.pieces:
        segments[piece.line] = segments[piece.line] or layout.segments[piece.unit]
    separating = {separator.line for separator in layout.separators}
    for line in range(1, layout.n_lines):
        if not segments[line] and line not in separating:
            segments[line] = segments[line - 1]
    return segments
