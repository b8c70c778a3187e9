"""The image panel: every image with its patches coloured by weight, the peak outlined, its share below."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.shares import RowShares
from attnviz_video.core.layout import Areas, PixelBox
from attnviz_video.core.scores import ColorScale, FrameWeights, Sink
from attnviz_video.core.trace import TraceData
from attnviz_video.render.arrange import Spacing, arrange
from attnviz_video.render.brush import fill, frame_box, hatch, mark_sink
from attnviz_video.render.grid_lines import LineStyle, line_tone
from attnviz_video.render.heat import HeatTable, image_heat
from attnviz_video.render.image_boxes import Stamp, answer_boxes, stamps, truth_boxes
from attnviz_video.render.image_caption import Labels, Share, caption_height, caption_width, image_captions
from attnviz_video.render.image_heat import CellOverlay, Overlay
from attnviz_video.render.image_view import ImageView, least_size, read_image, view_picture
from attnviz_video.render.letters import Letters
from attnviz_video.render.pictures import Picture, pictures_of
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.smooth_heat import SmoothOverlay
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme

#: Level below which a peak is not outlined: a tenth of the scale is hardly coloured, and a strong rim around it would
#: claim that the model looks there.
LEAST_PEAK = 0.1


class ImagePanel:
    """Paints the images of a trace into `box` of a frame.

    Raises:
        ImageError: an image of the trace cannot be read.
    """

    def __init__(
        self,
        trace: TraceData,
        sinks: Sequence[Sink],
        box: PixelBox,
        settings: RenderSettings,
        look: Theme,
        faces: Faces,
        row: str = "row",
        areas: Areas = "combined",
    ) -> None:
        self._theme = look
        #: Whether the overlay is interpolated between the patches.
        self.smooth = settings.smooth
        self.heat: HeatTable = image_heat(settings.colormap, settings.heat_alpha, settings.alpha)
        pictures = pictures_of(trace.layout, areas)
        cells, self.views = _lay_out(trace, pictures, box, look, faces.small)
        self._overlays = [_overlays(view, self.heat, settings, look) for view in self.views]
        self._painted = [_is_painted(view) for view in self.views]
        self._sinks = [
            [sink.patch for sink in sinks if sink.image == view.picture.image and painted[sink.patch]]
            for view, painted in zip(self.views, self._painted, strict=True)
        ]
        letters = Letters(faces.small, look.color("frame.background"))
        labels = [_labels(view, trace, areas) for view in self.views]
        self._captions = image_captions(labels, [view.box for view in self.views], cells, row, look, letters)
        shown = [
            *(truth_boxes(trace) if settings.boxes in ("truth", "both") else ()),
            *(answer_boxes(trace) if settings.boxes in ("answer", "both") else ()),
        ]
        self._boxes: tuple[Stamp, ...] = stamps(shown, self.views, look, faces.small)

    @property
    def left(self) -> int:
        """Left edge of the leftmost image, for what has to stand in line with it."""
        return min(view.box[0] for view in self.views)

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """What frames without a row show: the pictures as they are, with their rims and grid lines."""
        border = self._theme.px("image.border")
        for view, overlays in zip(self.views, self._overlays, strict=True):
            left, top, right, bottom = view.box
            rim = (left - border, top - border, right + border, bottom + border)
            fill(frame, rim, self._theme.color("image.border"))
            frame[top:bottom, left:right] = view.pixels
            for overlay in overlays:
                overlay.paint(frame, np.full(len(view.cells), np.nan, dtype=np.float32))

    def paint(
        self,
        frame: UInt8[np.ndarray, "height width 3"],
        weights: FrameWeights,
        scale: ColorScale,
        shares: RowShares,
    ) -> None:
        """All pictures with their weights, on a frame that has the background; without a row they stay as they are."""
        for number, view in enumerate(self.views):
            if weights.has_row:
                patches = weights.images[view.picture.image]
                levels = level(patches, scale, "image")
                for overlay in self._overlays[number]:
                    overlay.paint(frame, levels)
                self._hatch(frame, view, levels)
            self._mark_sinks(frame, number)
            if weights.has_row:
                self._outline_peak(frame, view, np.where(self._painted[number], patches, np.nan), levels)
            self._captions[number].paint(frame, self._share(number, shares))
        for stamp in self._boxes:
            if stamp.first_step <= weights.step:
                stamp.paint(frame)

    def _share(self, number: int, shares: RowShares) -> Share:
        """The share of a whole image, or of the one area of it that a picture shows."""
        picture, image = self.views[number].picture, self.views[number].picture.image
        if picture.area and shares.patches:
            return Share(float(shares.patches[image][self._painted[number]].sum()))
        return Share(float(shares.images[image]), float(shares.unpainted[image]) if shares.unpainted.size else 0.0)

    def _hatch(
        self, frame: UInt8[np.ndarray, "height width 3"], view: ImageView, levels: Float[np.ndarray, "patches"]
    ) -> None:
        """Strokes over the patches that have no value."""
        theme = self._theme
        for left, top, right, bottom in view.cells[np.isnan(levels)].tolist():
            strokes = hatch(right - left, bottom - top, theme.px("hatch.period"), theme.px("hatch.stroke"))
            frame[top:bottom, left:right][strokes] = theme.color("nan.stroke")

    def _mark_sinks(self, frame: UInt8[np.ndarray, "height width 3"], number: int) -> None:
        """A small mark in the middle of every patch that is a sink."""
        theme = self._theme
        for patch in self._sinks[number]:
            left, top, right, bottom = self.views[number].cells[patch].tolist()
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
        """A white rim with a black one around it, which shows on any picture, at the heaviest patch.

        None where its level is below `LEAST_PEAK`.
        """
        peak = outlined_patch(patches, levels)
        if peak < 0:
            return
        left, top, right, bottom = view.cells[peak].tolist()
        if left >= right or top >= bottom:
            return
        ring = ring_width(right - left, bottom - top, self._theme.px("peak.ring"))
        outer = (left - ring, top - ring, right + ring, bottom + ring)
        frame_box(frame, outer, self._theme.color("peak.outer"), ring)
        frame_box(frame, (left, top, right, bottom), self._theme.color("peak.inner"), ring)


def peak_patch(weights: Float[np.ndarray, "patches"]) -> int:
    """The heaviest patch (the first of equals); -1 where no weight is above 0."""
    valid = np.where(np.isfinite(weights), weights, -np.inf)
    if valid.size == 0 or not valid.max() > 0:
        return -1
    return int(valid.argmax())


def outlined_patch(weights: Float[np.ndarray, "patches"], levels: Float[np.ndarray, "patches"]) -> int:
    """The patch that is outlined, on frames and figures: the heaviest; -1 where its level is below `LEAST_PEAK`."""
    peak = peak_patch(weights)
    return peak if peak >= 0 and levels[peak] >= LEAST_PEAK else -1


def ring_width(width: int, height: int, wanted: int) -> int:
    """Width of the rim around a patch: thinner on small cells, so that their colour stays visible."""
    return max(1, min(wanted, min(width, height) // 6))


def _lay_out(
    trace: TraceData, pictures: Sequence[Picture], box: PixelBox, look: Theme, face: Typeface
) -> tuple[list[PixelBox], tuple[ImageView, ...]]:
    """The cell of every picture, caption included, and the picture in it."""
    leasts = [least_size(picture, look.px("image.least")) for picture in pictures]
    border = look.px("image.border")
    spacing = Spacing(look.px("image.gap"), caption_height(face, look), caption_width(face), border)
    cells = arrange([picture.size for picture in pictures], box, spacing, leasts)
    views, source = [], None
    for number, (picture, (left, top, right, bottom)) in enumerate(zip(pictures, cells, strict=True)):
        if source is None or picture.image != pictures[number - 1].image:
            source = read_image(trace.image_files[picture.image])
        below = min(spacing.caption, (box[3] - box[1]) // 2)
        room = (left + border, top + border, right - border, bottom - below - border)
        views.append(view_picture(source, picture, trace.layout, room, leasts[number], look))
    return cells, tuple(views)


def _overlays(view: ImageView, heat: HeatTable, settings: RenderSettings, look: Theme) -> list[Overlay]:
    """What paints the grids of one picture."""
    if settings.smooth:
        return [SmoothOverlay(view, grid, heat) for grid in view.grids]
    lines = LineStyle(look.px("grid.line"), look.px("tile.line"), line_tone(view.pixels))
    return [CellOverlay(view, grid, heat, lines if settings.grid_lines else None) for grid in view.grids]


def _is_painted(view: ImageView) -> np.ndarray:
    """Which patches of its image a picture paints."""
    painted = np.zeros(len(view.cells), dtype=bool)
    for grid in view.grids:
        painted[grid.first_patch : grid.first_patch + grid.rows * grid.columns] = True
    return painted


def _labels(view: ImageView, trace: TraceData, areas: Areas) -> Labels:
    """The names of a picture: number where there are several images, area where the image has several pictures."""
    image, area = view.picture.image, view.picture.area
    name, alone = trace.layout.images[image].name, len(trace.layout.images) == 1
    number = "" if alone else f"image {image + 1}"
    short = ", ".join(filter(None, (number, area)))
    long = f"{short}: {name}" if short else name
    names = [long, *([short, ", ".join(filter(None, ("" if alone else str(image + 1), area)))] if short else [])]
    # A picture of one area tells the share of that area alone.
    is_whole = bool(area) or bool(trace.layout.is_painted(image, areas).all())
    return Labels(tuple(dict.fromkeys(names)), view.has_unseen, "" if is_whole else _other_areas(view.picture))


def _other_areas(picture: Picture) -> str:
    """What the areas are called that are left out where `picture` is shown."""
    return "tiles" if any(grid.area == "thumbnail" for grid in picture.grids) else "thumbnail"
