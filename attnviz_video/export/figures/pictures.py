"""The pictures of a figure: each a raster under its patch overlay, with lines and marks as vectors; the overlay is that
of a frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.shares import RowShares
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import Sink
from attnviz_video.export.figures.boxes import draw_boxes, shown_boxes
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import PointBox, Sheet
from attnviz_video.render.arrange import Spacing, arrange, fit_inside
from attnviz_video.render.grid_lines import line_tone
from attnviz_video.render.heat import HeatTable, image_heat
from attnviz_video.render.image_heat import CellOverlay
from attnviz_video.render.image_panel import outlined_patch
from attnviz_video.render.image_view import ImageView, read_image, view_picture
from attnviz_video.render.numbers import percent
from attnviz_video.render.pictures import Picture, pictures_of
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.smooth_heat import SmoothOverlay
from attnviz_video.render.text_caption import row_name
from attnviz_video.theme import Theme


@dataclass(frozen=True)
class PictureRoom:
    """Where one image stands, in points from the corner of its group; width and height without the caption."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class PictureSettings:
    """How images are painted; the same for all of a figure."""

    render: RenderSettings
    look: Theme
    #: Whether captions name the images.
    names: bool = True

    @property
    def heat(self) -> HeatTable:
        return image_heat(self.render.colormap, self.render.heat_alpha, self.render.alpha)


def caption_height(sheet: Sheet) -> float:
    """Points under an image for the bar of its share and one line of words."""
    return 1.5 * pt("line_gap") + pt("share.bar") + pt("small.text") * sheet.fonts.height


def caption_baseline(sheet: Sheet, bottom: float) -> float:
    """Baseline of the words under an image that ends at `bottom`."""
    return bottom + 1.5 * pt("line_gap") + pt("share.bar") + sheet.fonts.ascent * pt("small.text")


def picture_rooms(
    sheet: Sheet, sizes: Sequence[tuple[int, int]], width: float, tallest: float, *, captions: bool = True
) -> tuple[list[PictureRoom], float]:
    """Rooms for images of `sizes` (pixels) in `width` × `tallest` points, arranged as on a frame, from the upper left
    corner on; and the height they take with their captions.
    """
    dots = round(width / sheet.dot), round(tallest / sheet.dot)
    own_caption = caption_height(sheet) if captions else 0.0
    caption = math.ceil(own_caption / sheet.dot)
    spacing = Spacing(
        gap=round(pt("image.gap") / sheet.dot),
        caption=caption,
        caption_width=math.ceil(sheet.fonts.width("1  100.0 %", pt("small.text")) / sheet.dot) if captions else 0,
    )
    least = round(pt("image.least") / sheet.dot)
    cells = arrange(sizes, (0, 0, *dots), spacing, [(least, least)] * len(sizes))
    rooms = []
    for (image_width, image_height), (left, top, right, bottom) in zip(sizes, _from_the_corner(cells), strict=True):
        own = fit_inside(image_width, image_height, right - left, bottom - top - caption, (least, least))
        rooms.append(PictureRoom(left * sheet.dot, top * sheet.dot, own[0] * sheet.dot, own[1] * sheet.dot))
    return rooms, max(room.top + room.height for room in rooms) + own_caption


def _from_the_corner(cells: Sequence[PixelBox]) -> list[PixelBox]:
    """`cells` moved so that their columns begin at the top, or their rows at the left, in line with the words around
    them; a frame centres both.
    """
    first_left, first_top = min(cell[0] for cell in cells), min(cell[1] for cell in cells)
    columns = _groups([(cell[0], cell[2]) for cell in cells])
    rows = _groups([(cell[1], cell[3]) for cell in cells])
    moved = []
    for place, (left, top, right, bottom) in enumerate(cells):
        x, y = first_left, first_top
        if len(set(columns)) > 1:
            y = min(cell[1] for cell, group in zip(cells, columns, strict=True) if group == columns[place])
        else:
            x = min(cell[0] for cell, group in zip(cells, rows, strict=True) if group == rows[place])
        moved.append((left - x, top - y, right - x, bottom - y))
    return moved


def _groups(spans: Sequence[tuple[int, int]]) -> list[int]:
    """For each span (start, stop) the number of the group of overlapping spans that it belongs to."""
    groups, number, reached = [0] * len(spans), -1, -1
    for place in sorted(range(len(spans)), key=lambda place: spans[place]):
        if spans[place][0] >= reached:
            number += 1
        reached = max(reached, spans[place][1])
        groups[place] = number
    return groups


def draw_pictures(
    sheet: Sheet,
    scores: Scores,
    number: int,
    rooms: Sequence[PictureRoom],
    corner: tuple[float, float],
    settings: PictureSettings,
    name: str,
) -> None:
    """All pictures with the weights of frame `number`, as the video paints them; without a row, as they are.

    `name` begins the ids of the pictures in an SVG.

    Raises:
        ImageError: an image of the trace cannot be read.
    """
    trace = scores.trace
    weights, shares = scores.frame(number), scores.shares(number)
    pictures = shown_pictures(scores)
    boxes = shown_boxes(scores, settings.render.boxes)
    sources = [read_image(file) for file in trace.image_files]
    drawn: list[PointBox] = []
    for place, (picture, room) in enumerate(zip(pictures, rooms, strict=True)):
        dots = max(1, round(room.width / sheet.dot)), max(1, round(room.height / sheet.dot))
        view = view_picture(sources[picture.image], picture, trace.layout, (0, 0, *dots), dots, settings.look)
        left, top = sheet.snapped(corner[0] + room.left), sheet.snapped(corner[1] + room.top)
        levels = level(weights.images[picture.image], scores.scale(number), "image")
        pixels = heated(view, levels, settings) if weights.has_row else view.pixels
        sheet.picture(left, top, pixels, f"{name}-picture{place + 1}")
        right, bottom = left + view.pixels.shape[1] * sheet.dot, top + view.pixels.shape[0] * sheet.dot
        box = (left, top, right, bottom)
        if settings.render.grid_lines and not settings.render.smooth:
            draw_grid(sheet, view, box)
        sheet.box(box, None, rim=settings.look.color("image.border"), rim_width=pt("image.border"))
        if weights.has_row:
            weight = weights.images[picture.image]
            draw_marks(sheet, scores.sinks, weight, view, (left, top), levels, settings.look)
        draw_boxes(sheet, boxes, weights.step, view, (left, top), settings.look)
        drawn.append(box)
    form = _caption_form(sheet, scores, pictures, [right - left for left, _, right, _ in drawn], settings)
    for picture, box in zip(pictures, drawn, strict=True):
        _draw_caption(sheet, scores, picture, box, shares, settings, form)


def shown_pictures(scores: Scores) -> tuple[Picture, ...]:
    """The pictures of the image panel."""
    return pictures_of(scores.trace.layout, scores.settings.areas)


def heated(
    view: ImageView, levels: Float[np.ndarray, "patches"], settings: PictureSettings
) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of `view` under its overlay, as a frame has them; lines are drawn later, as lines."""
    left, top, right, bottom = view.box
    canvas = np.zeros((bottom, right, 3), dtype=np.uint8)
    canvas[top:bottom, left:right] = view.pixels
    for grid in view.grids:
        smooth = settings.render.smooth
        overlay = SmoothOverlay(view, grid, settings.heat) if smooth else CellOverlay(view, grid, settings.heat, None)
        overlay.paint(canvas, levels)
    return np.ascontiguousarray(canvas[top:bottom, left:right])


def _cells_of(view: ImageView) -> Int[np.ndarray, "patches 4"]:
    """Box of each patch in pixels of the picture; empty for patches that are not painted on it."""
    cells: Int[np.ndarray, "patches 4"] = np.zeros_like(view.cells)
    for grid in view.grids:
        own = slice(grid.first_patch, grid.first_patch + grid.rows * grid.columns)
        cells[own] = view.cells[own] - np.tile(np.array(view.box[:2]), 2)
    return cells


def draw_grid(sheet: Sheet, view: ImageView, box: PointBox) -> None:
    """Thin lines between patches, light on a dark picture and dark on a light one; none where cells are too small."""
    tone = line_tone(view.pixels)
    color = (tone, tone, tone)
    left, top = box[:2]
    for grid in view.grids:
        x, y = left + grid.x_edges * sheet.dot, top + grid.y_edges * sheet.dot
        if x.size > 2 and float(np.diff(x).max()) >= pt("grid.least_cell"):
            for at in x[1:-1].tolist():
                sheet.line((at, float(y[0])), (at, float(y[-1])), color, pt("grid.line"))
        if y.size > 2 and float(np.diff(y).max()) >= pt("grid.least_cell"):
            for at in y[1:-1].tolist():
                sheet.line((float(x[0]), at), (float(x[-1]), at), color, pt("grid.line"))


def draw_marks(
    sheet: Sheet,
    sinks: Sequence[Sink],
    weights: Float[np.ndarray, "patches"],
    view: ImageView,
    corner: tuple[float, float],
    levels: Float[np.ndarray, "patches"],
    look: Theme,
) -> None:
    """Hatching where there is no value, discs on sinks, an outline around the heaviest patch of the picture."""
    image = view.picture.image
    pixel_cells = _cells_of(view)
    is_here = (pixel_cells[:, 2] > pixel_cells[:, 0]) & (pixel_cells[:, 3] > pixel_cells[:, 1])
    cells = pixel_cells * sheet.dot + np.tile(np.array(corner), 2)

    def box_of(patch: int) -> PointBox:
        left, top, right, bottom = cells[patch].tolist()
        return left, top, right, bottom

    for patch in np.flatnonzero(np.isnan(levels) & is_here).tolist():
        sheet.box(box_of(patch), None, rim=look.color("nan.stroke"), rim_width=0.0, hatch="////")
    for sink in sinks:
        if sink.image == image and is_here[sink.patch]:
            left, top, right, bottom = box_of(sink.patch)
            radius = min(pt("sink.radius"), min(right - left, bottom - top) / 3)
            middle = ((left + right) / 2, (top + bottom) / 2)
            sheet.disc(middle, radius, look.color("sink.fill"), look.color("sink.rim"), pt("sink.rim"))
    peak = outlined_patch(np.where(is_here, weights, np.nan), levels)
    if peak >= 0:
        left, top, right, bottom = box_of(peak)
        ring = min(pt("peak.ring"), min(right - left, bottom - top) / 6)
        outer = (left - ring / 2, top - ring / 2, right + ring / 2, bottom + ring / 2)
        inner = (left + ring / 2, top + ring / 2, right - ring / 2, bottom - ring / 2)
        sheet.box(outer, None, rim=look.color("peak.outer"), rim_width=ring)
        sheet.box(inner, None, rim=look.color("peak.inner"), rim_width=ring)


@dataclass(frozen=True)
class _CaptionForm:
    """Which words the captions of a figure use, the same for all of its pictures and panels."""

    #: Which of the labels; None: no label.
    label: int | None
    says_row: bool = False
    says_aside: bool = False
    #: Whether the words have no room and stand in the middle of the picture.
    is_centered: bool = False

    def label_of(self, labels: Sequence[str]) -> str:
        return labels[min(self.label, len(labels) - 1)] if labels and self.label is not None else ""

    def words(self, share: float, unpainted: float | None, row: str) -> str:
        """The share; what is not painted (None: all is) is told even where it is nothing, as another panel has some."""
        if np.isnan(share):
            return "no row"
        aside = f" ({percent(unpainted)} not painted)" if self.says_aside and unpainted is not None else ""
        return percent(share) + (f" of the {row}" if self.says_row else "") + aside


def _caption_form(
    sheet: Sheet, scores: Scores, pictures: Sequence[Picture], rooms: Sequence[float], settings: PictureSettings
) -> _CaptionForm:
    """The form that says most and fits, with any share, under every picture (`rooms` in points)."""
    row = row_name(scores)
    labels = [_labels(sheet, scores, picture, settings) for picture in pictures]
    wides = [1.0 if _leaves_out(scores, picture) else None for picture in pictures]
    n_labels = max(map(len, labels))
    for label in [*range(n_labels), None]:  # the name in full, then less and less
        for says_row, says_aside in ((True, True), (True, False), (False, False)):
            form = _CaptionForm(label, says_row, says_aside)
            texts = [
                "   ".join(filter(None, (form.label_of(own), form.words(1.0, wide, row))))
                for own, wide in zip(labels, wides, strict=True)
            ]
            widths = [sheet.fonts.width(text, pt("small.text")) for text in texts]
            if all(width <= room for width, room in zip(widths, rooms, strict=True)):
                return form
    return _CaptionForm(None, is_centered=True)


def _leaves_out(scores: Scores, picture: Picture) -> bool:
    """Whether a picture of a whole image leaves patches out."""
    return not picture.area and not scores.trace.layout.is_painted(picture.image, scores.settings.areas).all()


def _draw_caption(
    sheet: Sheet,
    scores: Scores,
    picture: Picture,
    box: PointBox,
    shares: RowShares,
    settings: PictureSettings,
    form: _CaptionForm,
) -> None:
    """The share of the row as a bar and in words, and the picture's name where there is room."""
    look, size = settings.look, pt("small.text")
    left, _, right, bottom = box
    share, unpainted = _share_of(picture, shares)
    top = bottom + pt("line_gap")
    if not np.isnan(share):
        sheet.box((left, top, right, top + pt("share.bar")), look.color("track"))
        end = left + (right - left) * min(1.0, share)
        sheet.box((left, top, end, top + pt("share.bar")), look.color("ink.soft"))
    baseline = caption_baseline(sheet, bottom)
    words = form.words(share, unpainted if _leaves_out(scores, picture) else None, row_name(scores))
    sheet.words(left, baseline, form.label_of(_labels(sheet, scores, picture, settings)), size, look.color("ink.soft"))
    if form.is_centered:
        sheet.words((left + right) / 2, baseline, words, size, look.color("ink"), anchor="center")
    else:
        sheet.words(right, baseline, words, size, look.color("ink"), anchor="right")


def _share_of(picture: Picture, shares: RowShares) -> tuple[float, float]:
    """The share of the row on a picture, and the part of it that lies on patches which are painted nowhere."""
    whole = float(shares.images[picture.image])
    if not picture.area or np.isnan(whole):
        return whole, float(shares.unpainted[picture.image]) if shares.unpainted.size else 0.0
    patches = shares.patches[picture.image]
    own = [patches[grid.first_patch : grid.first_patch + grid.n_patches].sum() for grid in picture.grids]
    return float(sum(own)), 0.0


def _labels(sheet: Sheet, scores: Scores, picture: Picture, settings: PictureSettings) -> list[str]:
    """What a picture may be called, the longest first; none where a name would say nothing."""
    images = scores.trace.layout.images
    name = sheet.fonts.visible(images[picture.image].name)
    area = f", {picture.area}" if picture.area else ""
    if len(images) == 1:
        return [*([name + area] if settings.names else []), *([picture.area] if picture.area else [])]
    number = f"image {picture.image + 1}"
    long = [f"{number}: {name}{area}"] if settings.names else []
    return [*long, number + area, f"{picture.image + 1}{area}"]
