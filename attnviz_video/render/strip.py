"""The strip over time: image share and entropy of every frame of the video, with a cursor at the current one.

Curves, axes and segments are painted once, into the background; a frame adds the cursor and two numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.timeline import Stretch, Timeline
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.render.brush import fill, frame_box, write
from attnviz_video.render.curve import Columns, columns_of, paint_areas, paint_line, rounded_up
from attnviz_video.render.letters import Letters
from attnviz_video.render.numbers import percent
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import N_SERIES, Rgb, Theme, contrast

#: The curves may not be narrower than this part of the strip: then the numbers of the images are left out.
_LEAST_PLOT = 0.4
#: Segments for which there is a lane, each with a colour of its own.
_MARKED = frozenset({"think", "answer"})


@dataclass(frozen=True, eq=False)
class _Row:
    """One curve: its place, its name, what its upper edge stands for, and its number on each frame."""

    top: int
    bottom: int
    name: str
    tick: str
    numbers: tuple[str, ...]


def has_lane(stretches: Sequence[Stretch]) -> bool:
    """Whether the answer has thinking or an answer between tags: then its segments get a lane of their own."""
    return any(stretch.segment in _MARKED for stretch in stretches)


def strip_height(look: Theme, face: Typeface, *, rows: int, lane: bool) -> int:
    """Height in pixels of a strip of `rows` curves, its time axis, and a lane of segments."""
    axis = look.px("progress.height")
    curves = rows * row_height(look, face, rows) + max(0, rows - 1) * look.px("strip.gap")
    return curves + axis + (look.px("strip.seam") + face.height if lane else 0)


def row_height(look: Theme, face: Typeface, rows: int) -> int:
    """Height of each of `rows` curves: its name stands beside it, on one line."""
    return max(look.px("strip.only_row" if rows == 1 else "strip.row"), face.height)


def n_rows(look: Theme, n_images: int) -> int:
    """Curves of a strip: image share where there are images, entropy where the theme has room or nothing else is."""
    return (n_images > 0) + ("entropy" in look.details or n_images == 0)


class Strip:
    """Paints the curves of a video into `box` of a frame."""

    def __init__(
        self, curves: Timeline, stretches: Sequence[Stretch], box: PixelBox, look: Theme, face: Typeface
    ) -> None:
        self._box = box
        self._theme = look
        self._face = face
        self._curves = curves
        self._stretches = stretches
        self._lane = has_lane(stretches)
        self._n_frames: int = curves.image_share.shape[0]
        self._n_images: int = curves.image_share.shape[1]
        self._letters = Letters(face, look.color("frame.background"))
        total = curves.image_share.sum(axis=1)
        self._share_top = min(1.0, rounded_up(float(np.nanmax(total, initial=0.0)), least=0.01))
        self._entropy_top = rounded_up(float(np.nanmax(curves.entropy, initial=0.0)), least=0.1)
        self._rows = self._planned_rows(total)
        gutter = look.px("strip.gutter")
        names = [face.width(row.name) + face.width(f"  {row.tick}") for row in self._rows]
        with_chips = [names[0] + gutter + self._chips_width(), *names[1:]]
        after = max(face.width(number) for row in self._rows for number in row.numbers)
        width = box[2] - box[0]
        self._has_chips = self._n_images > 1 and width - max(with_chips) - after - 3 * gutter >= width * _LEAST_PLOT
        self._left = box[0] + max(with_chips if self._has_chips else names) + gutter + look.px("strip.tick")
        self._right = max(self._left + 1, box[2] - after - gutter)
        self._axis_top = self._rows[-1].bottom

    def _planned_rows(self, total: np.ndarray) -> tuple[_Row, ...]:
        """The curves from top to bottom."""
        look = self._theme
        height = row_height(look, self._face, n_rows(look, self._n_images))
        rows: list[_Row] = []
        top = self._box[1]
        if self._n_images:
            name = "image share" if self._n_images == 1 else "images"
            numbers = tuple("" if np.isnan(value) else percent(float(value)) for value in total)
            rows.append(_Row(top, top + height, name, percent_tick(self._share_top), numbers))
            top += height + look.px("strip.gap")
        if "entropy" in look.details or not self._n_images:
            name = "head entropy" if self._curves.entropy_of_heads else "entropy"
            numbers = tuple("" if np.isnan(value) else f"{value:.2f} nats" for value in self._curves.entropy)
            rows.append(_Row(top, top + height, name, f"{self._entropy_top:g} nats", numbers))
        return tuple(rows)

    def cell(self, number: int) -> tuple[int, int]:
        """The columns of frame `number`: left and right edge in frame pixels, at least one pixel apart."""
        width = self._right - self._left
        # Rounded up both: the same columns as `columns_of` gives this frame.
        right = -(-(number + 1) * width // self._n_frames)
        left = min(-(-number * width // self._n_frames), right - 1)
        return self._left + left, self._left + right

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Curves, axes, names and segments."""
        theme = self._theme
        columns = columns_of(self._n_frames, self._right - self._left)
        for row in self._rows:
            box = (self._left, row.top, self._right, row.bottom)
            fill(frame, box, theme.color("panel.background"))
            frame_box(frame, box, theme.color("panel.border"), theme.px("grid.line"))
            self._paint_names(frame, row)
            if self._n_images and row is self._rows[0]:
                colors = [series_color(theme, image) for image in range(self._n_images)]
                paint_areas(
                    frame, box, self._curves.image_share, columns, self._share_top, colors, theme.px("strip.seam")
                )
            else:
                self._paint_entropy(frame, box, columns)
        axis = (self._left, self._axis_top, self._right, self._axis_top + theme.px("progress.height"))
        fill(frame, axis, theme.color("track"))
        if self._lane:
            self._paint_lane(frame)

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], number: int) -> None:
        """The cursor at frame `number`, how far the video is, and the numbers of this frame."""
        theme = self._theme
        left, right = self.cell(number)
        axis_bottom = self._axis_top + theme.px("progress.height")
        fill(frame, (self._left, self._axis_top, right, axis_bottom), theme.color("accent"))
        width, halo = theme.px("strip.cursor"), theme.px("strip.halo")
        x = min(max((left + right - width) // 2, self._left), self._right - width)
        for row in self._rows:
            fill(frame, (x - halo, row.top, x + width + halo, row.bottom), theme.color("panel.background"))
            fill(frame, (x, row.top, x + width, row.bottom), theme.color("token.current"))
            words = row.numbers[number]
            y = (row.top + row.bottom - self._face.height) // 2
            self._letters.write(frame, self._box[2] - self._letters.width(words), y, words, theme.color("ink"))

    def _paint_names(self, frame: UInt8[np.ndarray, "height width 3"], row: _Row) -> None:
        """The name of a curve and the number of its upper edge, with a tick at that edge."""
        theme, face = self._theme, self._face
        y = (row.top + row.bottom - face.height) // 2
        x = write(frame, self._box[0], y, row.name, face, theme.color("ink"))
        if self._has_chips and row is self._rows[0]:
            self._paint_chips(frame, x + theme.px("strip.gutter"), y)
        tick = theme.px("strip.tick")
        end = self._left - tick - theme.px("strip.gutter") // 2
        write(frame, end - face.width(row.tick), y, row.tick, face, theme.color("ink.soft"))
        line = theme.px("grid.line")
        fill(frame, (self._left - tick, row.top, self._left, row.top + line), theme.color("ink.soft"))

    def _paint_entropy(self, frame: UInt8[np.ndarray, "height width 3"], box: PixelBox, columns: Columns) -> None:
        color, line = self._theme.color("series.entropy"), self._theme.px("strip.line")
        paint_line(frame, box, self._curves.entropy, columns, self._entropy_top, color, line)

    def _paint_lane(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """A block per segment under the axis, with its name where it fits, and a line where it begins."""
        theme, face = self._theme, self._face
        seam = theme.px("strip.seam")
        top = self._axis_top + theme.px("progress.height") + seam
        for stretch in self._stretches:
            left, right = self.cell(stretch.start)[0], self.cell(stretch.stop - 1)[1]
            left += seam if stretch.start else 0
            if right <= left:
                continue
            color = theme.color(f"segment.{stretch.segment if stretch.segment in _MARKED else 'other'}")
            fill(frame, (left, top, right, top + face.height), color)
            name = SEGMENT_NAMES[stretch.segment]
            if face.width(name) + 2 * seam <= right - left:
                write(frame, (left + right - face.width(name)) // 2, top, name, face, theme.color("ink"))
            if stretch.start:
                for row in self._rows:
                    fill(frame, (left - seam, row.top, left, row.bottom), theme.color("ink.faint"))

    def _chip(self) -> int:
        """Width of the mark of an image."""
        widest = max((self._face.width(str(image + 1)) for image in range(self._n_images)), default=0)
        return widest + self._theme.px("strip.gutter")

    def _chips_width(self) -> int:
        return self._n_images * (self._chip() + self._theme.px("strip.seam"))

    def _paint_chips(self, frame: UInt8[np.ndarray, "height width 3"], x: int, y: int) -> None:
        """The number of each image on the colour of its area, the lowest area first."""
        theme, face, width = self._theme, self._face, self._chip()
        for image in range(self._n_images):
            color, name = series_color(theme, image), str(image + 1)
            fill(frame, (x, y, x + width, y + face.height), color)
            write(frame, x + (width - face.width(name)) // 2, y, name, face, chip_ink(theme, color))
            x += width + theme.px("strip.seam")


def series_color(look: Theme, image: int) -> Rgb:
    """The colour of an image's area."""
    return look.color(f"series.{image % N_SERIES + 1}")


def chip_ink(look: Theme, ground: Rgb) -> Rgb:
    """Dark or light letters, whichever are read better on `ground`."""
    inks = (look.color("token.dark_letters"), look.color("token.light_letters"))
    return max(inks, key=lambda ink: contrast(ink, ground))


def percent_tick(share: float) -> str:
    """The number at the upper edge of the shares: `40 %`, `2.5 %`."""
    return f"{100 * share:g} %"
