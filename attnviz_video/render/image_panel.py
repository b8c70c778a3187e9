"""The image panel: every image with its patches coloured by weight, the peak outlined, its share below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.shares import RowShares
from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import ColorScale, FrameWeights, Sink
from attnviz_video.core.trace import TraceData
from attnviz_video.render.arrange import arrange
from attnviz_video.render.brush import fill, frame_box, hatch, mark_sink, write
from attnviz_video.render.heat import OPAQUE, HeatTable, image_heat
from attnviz_video.render.image_view import GridView, ImageView, view_image
from attnviz_video.render.numbers import percent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme

#: Part of the picture that still shows through a grid line, of 8.
_LINE_SHOWS, _LINE_WHOLE = 5, 8
#: Cells narrower than this many line widths get no grid lines: the lines would hide the picture.
_LEAST_CELL_LINES = 6


class ImagePanel:
    """Paints the images of a trace into `box` of a frame."""

    def __init__(
        self,
        trace: TraceData,
        sinks: Sequence[Sink],
        box: PixelBox,
        settings: RenderSettings,
        look: Theme,
        faces: Faces,
        row: str = "row",
    ) -> None:
        self._theme = look
        self._row = row
        self._settings = settings
        self._face = faces.small
        self._names = tuple(info.name for info in trace.layout.images)
        self._painted = tuple(trace.layout.is_painted(image) for image in range(len(trace.layout.images)))
        self._sinks = tuple(sink for sink in sinks if sink.image >= 0 and self._painted[sink.image][sink.patch])
        self.heat: HeatTable = image_heat(settings.colormap, settings.heat_alpha)
        self._caption = look.px("frame.row_gap") * 2 + self._face.height + look.px("share.bar")
        sizes = [(info.width, info.height) for info in trace.layout.images]
        self._rooms = arrange(sizes, box, look.px("image.gap"), self._caption)
        border = look.px("image.border")
        self.views: tuple[ImageView, ...] = tuple(
            view_image(
                file, trace.layout, image,
                (room[0] + border, room[1] + border, room[2] - border, room[3] - self._caption - border),
                look.px("image.least"),
            )
            for image, (file, room) in enumerate(zip(trace.image_files, self._rooms, strict=True))
        )  # fmt: skip

    @property
    def left(self) -> int:
        """Left edge of the leftmost image, for what has to stand in line with it."""
        return min(view.box[0] for view in self.views)

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """What never changes: the rims of the images."""
        border = self._theme.px("image.border")
        for view in self.views:
            left, top, right, bottom = view.box
            rim = (left - border, top - border, right + border, bottom + border)
            fill(frame, rim, self._theme.color("image.border"))

    def paint(
        self,
        frame: UInt8[np.ndarray, "height width 3"],
        weights: FrameWeights,
        scale: ColorScale,
        shares: RowShares,
    ) -> None:
        """All images with their weights; without a row, the images as they are."""
        thumbnails = shares.thumbnails.tolist() or [0.0] * len(self.views)
        for number, (view, patches) in enumerate(zip(self.views, weights.images, strict=True)):
            left, top, right, bottom = view.box
            picture = frame[top:bottom, left:right]
            picture[:] = view.pixels
            if weights.has_row:
                levels = level(patches, scale, "image")
                for grid in view.grids:
                    paint_heat(picture, view, grid, levels, self.heat)
                self._hatch(frame, view, levels)
            if self._settings.grid_lines:
                for grid in view.grids:
                    _paint_lines(picture, view, grid, self._theme.px("grid.line"))
            self._mark_sinks(frame, number)
            if weights.has_row:
                self._outline_peak(frame, view, np.where(self._painted[number], patches, np.nan), levels)
            self._paint_caption(frame, number, float(shares.images[number]), thumbnails[number])

    def _hatch(
        self, frame: UInt8[np.ndarray, "height width 3"], view: ImageView, levels: Float[np.ndarray, "patches"]
    ) -> None:
        """Strokes over the patches that have no value."""
        theme = self._theme
        for left, top, right, bottom in view.cells[np.isnan(levels)].tolist():
            strokes = hatch(right - left, bottom - top, theme.px("hatch.period"), theme.px("hatch.stroke"))
            frame[top:bottom, left:right][strokes] = theme.color("nan.stroke")

    def _mark_sinks(self, frame: UInt8[np.ndarray, "height width 3"], image: int) -> None:
        """A small mark in the middle of every patch that is a sink."""
        theme = self._theme
        for sink in self._sinks:
            if sink.image == image:
                left, top, right, bottom = self.views[image].cells[sink.patch].tolist()
                radius = min(theme.px("sink.radius"), max(1, min(right - left, bottom - top) // 3))
                x, y = (left + right) // 2, (top + bottom) // 2
                mark_sink(frame, x, y, radius, theme.color("sink.fill"), theme.color("sink.rim"))

    def _outline_peak(
        self,
        frame: UInt8[np.ndarray, "height width 3"],
        view: ImageView,
        patches: Float[np.ndarray, "patches"],
        levels: Float[np.ndarray, "patches"],
    ) -> None:
        """A white rim with a black one around it, which shows on any picture, at the heaviest patch."""
        peak = peak_patch(patches)
        if peak < 0 or not levels[peak] > 0:
            return
        left, top, right, bottom = view.cells[peak].tolist()
        if left >= right or top >= bottom:
            return
        ring = ring_width(right - left, bottom - top, self._theme.px("peak.ring"))
        outer = (left - ring, top - ring, right + ring, bottom + ring)
        frame_box(frame, outer, self._theme.color("peak.outer"), ring)
        frame_box(frame, (left, top, right, bottom), self._theme.color("peak.inner"), ring)

    def _paint_caption(
        self, frame: UInt8[np.ndarray, "height width 3"], image: int, share: float, thumbnail: float
    ) -> None:
        """Name, share of the row in words, and the share as a bar."""
        theme, face, view, room = self._theme, self._face, self.views[image], self._rooms[image]
        least = min(room[2] - room[0], face.width("image 1   100.0 %"))
        middle = (view.box[0] + view.box[2]) // 2
        left = min(view.box[0], max(room[0], middle - least // 2))
        right = max(view.box[2], min(room[2], left + least))
        gap = theme.px("frame.row_gap")
        y = view.box[3] + gap
        if not np.isnan(share):
            bar = (left, y, right, y + theme.px("share.bar"))
            fill(frame, bar, theme.color("track"))
            fill(frame, (left, bar[1], left + round((right - left) * min(1.0, share)), bar[3]), theme.color("ink.soft"))
        y += theme.px("share.bar") + gap // 2
        label, words = self._caption_words(image, share, thumbnail, right - left)
        write(frame, right - face.width(words), y, words, face, theme.color("ink"))
        write(frame, left, y, label, face, theme.color("ink.soft"))

    def _caption_words(self, image: int, share: float, thumbnail: float, room: int) -> tuple[str, str]:
        """Name and share of an image, as long as fits into `room` pixels; the share comes first."""
        face, name = self._face, self._face.visible(self._names[image])
        alone = len(self._names) == 1
        number = "" if alone else f"image {image + 1}"
        long = name if alone else f"{number}: {name}"
        # Patches that are not painted are counted as well, and the reader is told.
        aside = 0.0 if self._painted[image].all() else thumbnail
        for label, words in ((long, share_words(share, self._row, aside)), (long, share_words(share, "", aside))):
            if face.width(f"{label}   {words}") <= room:
                return label, words
        words = share_words(share, "", aside)
        left = room - face.width(f"  {words}")
        if not alone and face.width(number) > left:
            return face.fit(str(image + 1), left), words
        return face.fit(long if alone else number, left), words


def share_words(share: float, row: str = "", thumbnail: float = 0.0) -> str:
    """`43.2 % of the row`, or only the number where there is no room to say of what.

    With `thumbnail`, what of it lies on the thumbnail, which is not painted.
    """
    if np.isnan(share):
        return "no row"
    words = f"{percent(share)} of the {row}" if row else percent(share)
    if thumbnail > 0:
        words += (
            f", {percent(thumbnail)} on the thumbnail (not painted)" if row else f" ({percent(thumbnail)} thumbnail)"
        )
    return words


def paint_heat(
    picture: UInt8[np.ndarray, "height width 3"],
    view: ImageView,
    grid: GridView,
    levels: Float[np.ndarray, "patches"],
    heat: HeatTable,
) -> None:
    """Lay the overlay of one grid on `picture`, band of cells by band; patches without a value are left bare.

    All in 16-bit integers: pixel · (256 - alpha) + colour · alpha is at most 255 · 256.
    """
    own = levels[grid.first_patch : grid.first_patch + grid.rows * grid.columns].reshape(grid.rows, grid.columns)
    steps = level_steps(own)
    alpha = np.where(np.isnan(own), 0, heat.alpha[steps]).astype(np.uint16)
    added = heat.colors[steps].astype(np.uint16) * alpha[..., None] + OPAQUE // 2
    column = np.repeat(np.arange(grid.columns), np.diff(grid.x_edges))
    x0, x1 = int(grid.x_edges[0]), int(grid.x_edges[-1])
    for row in range(grid.rows):
        y0, y1 = int(grid.y_edges[row]), int(grid.y_edges[row + 1])
        band = view.wide[y0:y1, x0:x1] * (OPAQUE - alpha[row])[column][None, :, None]
        band += added[row][column][None]
        band >>= 8
        picture[y0:y1, x0:x1] = band


def peak_patch(weights: Float[np.ndarray, "patches"]) -> int:
    """The heaviest patch (the first of equals); -1 where no weight is above 0."""
    valid = np.where(np.isfinite(weights), weights, -np.inf)
    if valid.size == 0 or not valid.max() > 0:
        return -1
    return int(valid.argmax())


def ring_width(width: int, height: int, wanted: int) -> int:
    """Width of the rim around a patch: thinner on small cells, so that their colour stays visible."""
    return max(1, min(wanted, min(width, height) // 6))


def line_positions(edges: Int[np.ndarray, "_"], thickness: int) -> Int[np.ndarray, "_"]:
    """Pixels that the inner grid lines of one axis take; none where cells are too small for lines."""
    if edges.size < 3 or int(np.diff(edges).min()) < _LEAST_CELL_LINES * thickness:
        return np.zeros(0, dtype=np.int64)
    return (edges[1:-1, None] + np.arange(thickness)[None, :] - thickness // 2).ravel()


def _paint_lines(picture: UInt8[np.ndarray, "height width 3"], view: ImageView, grid: GridView, thickness: int) -> None:
    """Thin lines between cells, light on a dark picture and dark on a light one."""
    tone = 0 if int(np.median(view.pixels[::8, ::8])) > 127 else 255
    rows, columns = line_positions(grid.y_edges, thickness), line_positions(grid.x_edges, thickness)
    top, bottom = int(grid.y_edges[0]), int(grid.y_edges[-1])
    left, right = int(grid.x_edges[0]), int(grid.x_edges[-1])
    added = tone * (_LINE_WHOLE - _LINE_SHOWS)
    picture[rows, left:right] = (picture[rows, left:right].astype(np.uint16) * _LINE_SHOWS + added) // _LINE_WHOLE
    picture[top:bottom, columns] = (picture[top:bottom, columns].astype(np.uint16) * _LINE_SHOWS + added) // _LINE_WHOLE
