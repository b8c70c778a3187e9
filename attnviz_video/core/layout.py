"""`TokenLayout`: which prompt position is text and which is which rectangle of which image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from attnviz_video.errors import ModelError

#: (left, top, right, bottom) in pixels of the original image (after EXIF orientation).
Box = tuple[float, float, float, float]
#: The same on whole pixels.
PixelBox = tuple[int, int, int, int]
#: How an image that a family cuts into tiles and a thumbnail is shown; see `grid_groups`.
Areas = Literal["combined", "thumbnail", "side_by_side", "separate"]


def cell_edges(start: float, stop: float, cells: int) -> Int[np.ndarray, "edges"]:
    """Edges of `cells` equal cells from `start` to `stop`, on whole pixels: `round(start + i·(stop-start)/cells)`.

    The first edge is `round(start)`, the last `round(stop)`: no strip is left over (halves round up).
    """
    positions = start + (stop - start) * np.arange(cells + 1, dtype=np.float64) / cells
    return np.floor(positions + 0.5).astype(np.int64)


@dataclass(frozen=True)
class ImageInfo:
    """One image as the user gave it, after EXIF orientation and conversion to RGB."""

    name: str
    width: int
    height: int
    #: SHA-256 of the RGB pixels, so that a trace can tell whether an image is still the same.
    sha256: str


@dataclass(frozen=True)
class PatchGrid:
    """A grid of patches over one area of one image; patches are numbered row by row from `first_patch`."""

    image: int
    rows: int
    columns: int
    #: What the grid covers, in pixels of the original image; it reaches beyond the image where the processor padded it.
    box: Box
    first_patch: int = 0
    #: "image" for a grid over the whole image, "tile" and "thumbnail" for families that cut it up.
    area: str = "image"

    @property
    def n_patches(self) -> int:
        return self.rows * self.columns

    def x_edges(self) -> Int[np.ndarray, "edges"]:
        """Vertical cell edges in original pixels, `columns + 1` of them."""
        return cell_edges(self.box[0], self.box[2], self.columns)

    def y_edges(self) -> Int[np.ndarray, "edges"]:
        """Horizontal cell edges in original pixels, `rows + 1` of them."""
        return cell_edges(self.box[1], self.box[3], self.rows)

    def patch_box(self, patch: int) -> PixelBox:
        """The rectangle of patch number `patch` (counted as in the image) in original pixels."""
        row, column = divmod(patch - self.first_patch, self.columns)
        x, y = self.x_edges(), self.y_edges()
        return int(x[column]), int(y[row]), int(x[column + 1]), int(y[row + 1])


def grid_groups(grids: tuple[PatchGrid, ...], areas: Areas = "combined") -> tuple[tuple[PatchGrid, ...], ...]:
    """The grids of one image that are painted, one group per picture.

    Two grids over the same pixels would hide each other, so tiles and thumbnail never share a picture: `combined`
    paints the tiles where they lie and a thumbnail only where nothing finer covers the image; `thumbnail` paints the
    thumbnail where there is one; `side_by_side` makes one picture of the tiles and one of the thumbnail; `separate`
    makes a picture of every grid.
    """
    thumbnails = tuple(grid for grid in grids if grid.area == "thumbnail")
    finer = tuple(grid for grid in grids if grid.area != "thumbnail")
    if areas == "separate" and grids:
        return tuple((grid,) for grid in (*finer, *thumbnails))
    if areas == "side_by_side" and grids:
        return tuple(group for group in (finer, thumbnails) if group)
    return ((thumbnails or finer) if areas == "thumbnail" else (finer or thumbnails),)


def painted_grids(grids: tuple[PatchGrid, ...], areas: Areas = "combined") -> tuple[PatchGrid, ...]:
    """Those grids of one image that a picture paints; see `grid_groups`."""
    return tuple(grid for group in grid_groups(grids, areas) for grid in group)


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """For every prompt position, what it stands for.

    Raises:
        ModelError: the parts contradict each other (a patch without a position, or the reverse).
    """

    images: tuple[ImageInfo, ...]
    #: Ordered by image, then by `first_patch`.
    grids: tuple[PatchGrid, ...]
    #: Index of the image a prompt position belongs to; -1 for text.
    image_of: Int[np.ndarray, "prompt"]
    #: Index of the patch within that image; -1 for text and for image tokens that stand for no rectangle.
    patch_of: Int[np.ndarray, "prompt"]
    #: True where no rule for the model family was known and the grid was guessed.
    guessed: bool = False

    def __post_init__(self) -> None:
        for index in range(len(self.images)):
            want = sum(grid.n_patches for grid in self.grids_of(index))
            found = np.sort(self.patch_of[(self.image_of == index) & (self.patch_of >= 0)])
            if not np.array_equal(found, np.arange(want)):
                raise ModelError(
                    f"image {index}: its grids have {want} patches, the prompt holds {found.size} patch tokens; "
                    "the processor and the layout rule of this model family do not agree"
                )

    @property
    def n_prompt(self) -> int:
        """Number of prompt positions, images included."""
        return int(self.image_of.shape[0])

    def grids_of(self, image: int) -> tuple[PatchGrid, ...]:
        """The grids over image number `image`."""
        return tuple(grid for grid in self.grids if grid.image == image)

    def patch_positions(self, image: int) -> Int[np.ndarray, "patches"]:
        """Prompt positions of the patches of `image`, in patch order."""
        positions = np.flatnonzero((self.image_of == image) & (self.patch_of >= 0))
        return positions[np.argsort(self.patch_of[positions], kind="stable")]

    def is_painted(self, image: int, areas: Areas = "combined") -> Bool[np.ndarray, "patches"]:
        """Whether a picture paints each patch of `image`; see `painted_grids`."""
        grids = self.grids_of(image)
        is_painted = np.zeros(sum(grid.n_patches for grid in grids), dtype=bool)
        for grid in painted_grids(grids, areas):
            is_painted[grid.first_patch : grid.first_patch + grid.n_patches] = True
        return is_painted

    def patch_boxes(self, image: int) -> Int[np.ndarray, "patches 4"]:
        """Rectangle (left, top, right, bottom) of every patch of `image` in original pixels, in patch order.

        What a grid covers beyond the image (padding that the model sees and the user never gave) is cut off.
        """
        grids, info = self.grids_of(image), self.images[image]
        boxes = np.zeros((sum(grid.n_patches for grid in grids), 4), dtype=np.int64)
        for grid in grids:
            x, y = np.clip(grid.x_edges(), 0, info.width), np.clip(grid.y_edges(), 0, info.height)
            left, top = np.meshgrid(x[:-1], y[:-1])
            right, bottom = np.meshgrid(x[1:], y[1:])
            own = slice(grid.first_patch, grid.first_patch + grid.n_patches)
            boxes[own] = np.stack([left, top, right, bottom], axis=-1).reshape(-1, 4)
        return boxes
