"""One image as it stands on the frame: resized once, with its patch cells in frame pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8, UInt16
from PIL import Image

from attnviz_video.core.layout import PatchGrid, PixelBox, TokenLayout, cell_edges, painted_grids
from attnviz_video.errors import ImageError
from attnviz_video.render.arrange import fit_inside

#: Cells per axis get at least this many pixels where the room allows, so that a sliver of an image shows its patches.
_LEAST_CELL = 4


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
    """One image: where it is painted, its pixels, and where its patches are."""

    #: On the frame.
    box: PixelBox
    #: The picture as painted, without any overlay.
    pixels: UInt8[np.ndarray, "height width 3"]
    #: The same, ready for integer blending.
    wide: UInt16[np.ndarray, "height width 3"]
    grids: tuple[GridView, ...]
    #: Box of each patch in frame pixels; empty for patches that are not painted.
    cells: Int[np.ndarray, "patches 4"]


def view_image(file: Path, layout: TokenLayout, image: int, room: PixelBox, least: int) -> ImageView:
    """Image number `image` of `layout`, read from `file`, as large as fits into the upper part of `room`, centred.

    Raises:
        ImageError: the file is gone or cannot be read.
    """
    info = layout.images[image]
    grids = painted_grids(layout.grids_of(image))
    least_width = max([least, *(_LEAST_CELL * cells_across(grid.columns, grid.box[::2], info.width) for grid in grids)])
    least_height = max([least, *(_LEAST_CELL * cells_across(grid.rows, grid.box[1::2], info.height) for grid in grids)])
    width, height = fit_inside(
        info.width, info.height, room[2] - room[0], room[3] - room[1], (least_width, least_height)
    )
    left = room[0] + (room[2] - room[0] - width) // 2
    top = room[1] + (room[3] - room[1] - height) // 2
    pixels = _read(file, width, height)
    views = tuple(view_grid(grid, info.width, info.height, width, height) for grid in grids)
    n_patches = sum(grid.n_patches for grid in layout.grids_of(image))
    boxes = _cells(views, n_patches, left, top)
    return ImageView((left, top, left + width, top + height), pixels, pixels.astype(np.uint16), views, boxes)


def cells_across(cells: int, span: tuple[float, ...], size: int) -> int:
    """How many cells as wide as those of a grid over `span` the whole axis of `size` pixels would take."""
    return math.ceil(cells * size / (span[1] - span[0]))


def view_grid(grid: PatchGrid, width: int, height: int, shown_width: int, shown_height: int) -> GridView:
    """`grid` over an image of `width` × `height` pixels that is painted with `shown_width` × `shown_height`.

    Edges are rounded once, on the pixels as painted (`round(i·W/w)` with W the painted width): rounding on the
    original's pixels first would make the cells of a small, enlarged image uneven, or empty. What a grid covers
    beyond the image (padding) is cut off.
    """
    x_scale, y_scale = shown_width / width, shown_height / height
    x = cell_edges(grid.box[0] * x_scale, grid.box[2] * x_scale, grid.columns)
    y = cell_edges(grid.box[1] * y_scale, grid.box[3] * y_scale, grid.rows)
    return GridView(grid.rows, grid.columns, grid.first_patch, np.clip(x, 0, shown_width), np.clip(y, 0, shown_height))


def _cells(views: tuple[GridView, ...], n_patches: int, left: int, top: int) -> Int[np.ndarray, "patches 4"]:
    """Box of each patch in frame pixels, in patch order."""
    cells = np.zeros((n_patches, 4), dtype=np.int64)
    for view in views:
        x0, y0 = np.meshgrid(view.x_edges[:-1], view.y_edges[:-1])
        x1, y1 = np.meshgrid(view.x_edges[1:], view.y_edges[1:])
        boxes = np.stack([left + x0, top + y0, left + x1, top + y1], axis=-1).reshape(-1, 4)
        cells[view.first_patch : view.first_patch + view.rows * view.columns] = boxes
    return cells


def _read(file: Path, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    try:
        with Image.open(file) as picture:
            shown = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(
            f"cannot read the image {file} of this trace: {error}; record the trace again, or restore the file"
        ) from error
    return np.asarray(shown, dtype=np.uint8)
