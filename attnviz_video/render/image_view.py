"""One picture as it stands on the frame: resized once, its unseen parts shaded, its patch cells in frame pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from attnviz_video.core.layout import PatchGrid, PixelBox, TokenLayout, cell_edges
from attnviz_video.errors import ImageError
from attnviz_video.render.arrange import fit_inside
from attnviz_video.render.brush import hatch
from attnviz_video.render.pictures import Picture, pictures_of
from attnviz_video.theme import Theme

#: Cells per axis get at least this many pixels where the room allows, so that a sliver of an image shows its patches.
_LEAST_CELL = 4
#: Parts of 8 by which what the model did not see is replaced by the colour of the shade.
_SHADE, _WHOLE = 5, 8


@dataclass(frozen=True, eq=False)
class GridView:
    """One grid of patches on a picture; edges in pixels of the picture as painted, which they tile exactly."""

    rows: int
    columns: int
    first_patch: int
    x_edges: Int[np.ndarray, "_"]
    y_edges: Int[np.ndarray, "_"]


@dataclass(frozen=True, eq=False)
class ImageView:
    """One picture: where it is painted, its pixels, and where its patches are."""

    picture: Picture
    #: On the frame.
    box: PixelBox
    #: The picture as painted, without any overlay; what the model did not see is shaded.
    pixels: UInt8[np.ndarray, "height width 3"]
    grids: tuple[GridView, ...]
    #: Box of each patch of the image in frame pixels; empty for patches that are not painted here.
    cells: Int[np.ndarray, "patches 4"]
    #: Whether a part of the picture is shaded.
    has_unseen: bool = False


def read_image(file: Path) -> Image.Image:
    """The image of a trace, RGB.

    Raises:
        ImageError: the file is gone or cannot be read.
    """
    try:
        with Image.open(file) as picture:
            return picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"cannot read the image {file} of this trace: {error}; record the trace again, or restore the file"
        ) from error


def view_image(
    file: Path, layout: TokenLayout, image: int, room: PixelBox, least: int, look: Theme | None = None
) -> ImageView:
    """Image number `image` of `layout`, whole, read from `file`; without `look` what is not seen is not shaded.

    Raises:
        ImageError: the file is gone or cannot be read.
    """
    picture = pictures_of(layout, "combined")[image]
    return view_picture(read_image(file), picture, layout, room, least_size(picture, least), look)


def view_picture(
    source: Image.Image,
    picture: Picture,
    layout: TokenLayout,
    room: PixelBox,
    least: tuple[int, int],
    look: Theme | None,
) -> ImageView:
    """`picture`, cut from `source`, as large as fits into `room`, centred; no side shorter than `least` if possible.

    The edges of cells are rounded once, on the pixels as painted (`round(i·W/w)` with W the painted width): rounding
    on the original's pixels first would make the cells of a small, enlarged image uneven, or empty.
    """
    info = layout.images[picture.image]
    width, height = fit_inside(*picture.size, room[2] - room[0], room[3] - room[1], least)
    left = room[0] + (room[2] - room[0] - width) // 2
    top = room[1] + (room[3] - room[1] - height) // 2
    # The file may hold another size than the one the layout counts in.
    x_scale, y_scale = source.width / info.width, source.height / info.height
    cut = (
        picture.crop[0] * x_scale, picture.crop[1] * y_scale, picture.crop[2] * x_scale, picture.crop[3] * y_scale,
    )  # fmt: skip
    pixels = np.array(source.resize((width, height), Image.Resampling.LANCZOS, box=cut), dtype=np.uint8)
    grids = layout.grids_of(picture.image)
    is_seen = seen_pixels([view_grid(grid, picture.crop, width, height) for grid in grids], width, height)
    if look is not None and not is_seen.all():
        shade(pixels, ~is_seen, look)
    views = tuple(view_grid(grid, picture.crop, width, height) for grid in picture.grids)
    cells = _cells(views, sum(grid.n_patches for grid in grids), left, top)
    box = (left, top, left + width, top + height)
    return ImageView(picture, box, pixels, views, cells, has_unseen=not is_seen.all())


def least_size(picture: Picture, least: int) -> tuple[int, int]:
    """Shortest sides (width, height) at which the patches of a picture can still be told apart, `least` at least."""
    width, height = picture.size
    return (
        max([least, *(_LEAST_CELL * cells_across(grid.columns, grid.box[::2], width) for grid in picture.grids)]),
        max([least, *(_LEAST_CELL * cells_across(grid.rows, grid.box[1::2], height) for grid in picture.grids)]),
    )


def cells_across(cells: int, span: tuple[float, ...], size: int) -> int:
    """How many cells as wide as those of a grid over `span` an axis of `size` pixels would take."""
    return math.ceil(cells * size / (span[1] - span[0]))


def view_grid(grid: PatchGrid, crop: PixelBox, shown_width: int, shown_height: int) -> GridView:
    """`grid` over the part `crop` of its image, painted with `shown_width` × `shown_height`.

    What a grid covers beyond that part (padding) is cut off.
    """
    left, top, right, bottom = crop
    x_scale, y_scale = shown_width / (right - left), shown_height / (bottom - top)
    x = cell_edges((grid.box[0] - left) * x_scale, (grid.box[2] - left) * x_scale, grid.columns)
    y = cell_edges((grid.box[1] - top) * y_scale, (grid.box[3] - top) * y_scale, grid.rows)
    return GridView(grid.rows, grid.columns, grid.first_patch, np.clip(x, 0, shown_width), np.clip(y, 0, shown_height))


def seen_pixels(grids: Sequence[GridView], width: int, height: int) -> Bool[np.ndarray, "height width"]:
    """True where one of `grids` covers a picture of `width` × `height`; everywhere where there is no grid at all."""
    is_seen = np.full((height, width), not grids)
    for grid in grids:
        is_seen[grid.y_edges[0] : grid.y_edges[-1], grid.x_edges[0] : grid.x_edges[-1]] = True
    return is_seen


def shade(pixels: UInt8[np.ndarray, "height width 3"], mask: Bool[np.ndarray, "height width"], look: Theme) -> None:
    """Grey out the part of a picture where `mask` is true, with strokes over it, so that no colour of it is left."""
    grey = pixels[mask].astype(np.uint16).mean(axis=1, dtype=np.float64)[:, None]
    ground = np.array(look.color("unseen.ground"), dtype=np.float64)
    pixels[mask] = np.floor((grey * (_WHOLE - _SHADE) + ground * _SHADE) / _WHOLE + 0.5).astype(np.uint8)
    height, width = mask.shape
    strokes = hatch(width, height, look.px("unseen.period"), look.px("unseen.stroke"))
    pixels[mask & strokes] = look.color("unseen.stroke")


def _cells(views: tuple[GridView, ...], n_patches: int, left: int, top: int) -> Int[np.ndarray, "patches 4"]:
    """Box of each patch in frame pixels, in patch order."""
    cells = np.zeros((n_patches, 4), dtype=np.int64)
    for view in views:
        x0, y0 = np.meshgrid(view.x_edges[:-1], view.y_edges[:-1])
        x1, y1 = np.meshgrid(view.x_edges[1:], view.y_edges[1:])
        boxes = np.stack([left + x0, top + y0, left + x1, top + y1], axis=-1).reshape(-1, 4)
        cells[view.first_patch : view.first_patch + view.rows * view.columns] = boxes
    return cells
