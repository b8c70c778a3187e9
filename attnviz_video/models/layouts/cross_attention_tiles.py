"""Mllama: image features are keys of the cross-attention layers; the prompt has one `<|image|>` position per image.

An image is resized, its aspect kept, into the upper left corner of a canvas of rows x columns tiles, the rest of which
is padding. A tile gives a class feature and g x g patch features, row by row. All images are padded to the same number
of tiles, so that the key of a patch is

    (image * most_tiles + tile) * (g * g + 1) + 1 + row * g + column

The trace gets one position per feature of the tiles in use, behind the image's `<|image|>` token: those over the
picture are its patches, the class features and the padding of the canvas are image positions without a rectangle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_positions, prompt_ids


@dataclass(frozen=True)
class Canvas:
    """The tiles of one image, and how much of the original image one pixel of them is."""

    tile_rows: int
    tile_columns: int
    #: Size of the picture on the canvas, in pixels of the canvas; the rest is padding.
    width: int
    height: int

    @property
    def n_tiles(self) -> int:
        return self.tile_rows * self.tile_columns


class CrossAttentionTilesLayout:
    """Layout rule for tiles that cross-attention layers read."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per tile, on the positions of the trace; see `LayoutAdapter.layout`.

        Raises:
            ModelError: there are not as many `<|image|>` tokens or arrangements of tiles as images.
        """
        canvases = canvases_of(config, outputs, images)
        columns = self.key_columns(config, processor, outputs, images)
        side, patch = _tile_side(config), int(config.vision_config.patch_size)
        image_of = np.full(columns.text.size + int((columns.cross >= 0).sum()), -1, dtype=np.int64)
        patch_of = image_of.copy()
        grids: list[PatchGrid] = []
        features = np.split(np.sort(columns.cross[columns.cross >= 0]), _ends(canvases, side))
        for index, (canvas, image, own) in enumerate(zip(canvases, images, features, strict=False)):
            numbers = np.full((canvas.n_tiles, side * side + 1), -1, dtype=np.int64)
            first = 0
            for tile in range(canvas.n_tiles):
                grid = tile_grid(index, tile, canvas, image, side, patch, first)
                if grid is not None:
                    seen = numbers[tile, 1:].reshape(side, side)[: grid.rows, : grid.columns]
                    seen[:] = first + np.arange(grid.n_patches).reshape(grid.rows, grid.columns)
                    grids.append(grid)
                    first += grid.n_patches
            image_of[own] = index
            patch_of[own] = numbers.ravel()
        return TokenLayout(tuple(images), tuple(grids), image_of, patch_of)

    def key_columns(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> KeyColumns:
        """Where the model's own positions and its image features stand in the trace; see `SeparateImages`.

        Raises:
            ModelError: there are not as many `<|image|>` tokens or arrangements of tiles as images.
        """
        canvases = canvases_of(config, outputs, images)
        marks = image_positions(config, outputs)
        if marks.size != len(images):
            raise ModelError(f"the prompt mentions {marks.size} images, {len(images)} were given")
        per_tile = _tile_side(config) ** 2 + 1
        n_text = prompt_ids(outputs).size
        inserted = np.zeros(n_text, dtype=np.int64)
        for mark, canvas in zip(marks, canvases, strict=True):
            inserted[mark] = canvas.n_tiles * per_tile
        before = np.concatenate([[0], np.cumsum(inserted)[:-1]])
        text: Int[np.ndarray, "_"] = np.arange(n_text) + before
        most_tiles = int(np.asarray(outputs["cross_attention_mask"]).shape[-1]) if images else 0
        cross = np.full(len(images) * most_tiles * per_tile, -1, dtype=np.int64)
        for index, (mark, canvas) in enumerate(zip(marks, canvases, strict=True)):
            first = index * most_tiles * per_tile
            count = canvas.n_tiles * per_tile
            cross[first : first + count] = text[mark] + 1 + np.arange(count)
        return KeyColumns(text, cross)


def canvases_of(config: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]) -> list[Canvas]:
    """The canvas of every image, from `aspect_ratio_ids` and the rule by which the processor resizes.

    Raises:
        ModelError: there are not as many arrangements of tiles as images.
    """
    given = outputs.get("aspect_ratio_ids")
    ids = [] if given is None else [number for number in np.asarray(given).ravel().tolist() if number > 0]
    if len(ids) != len(images):
        raise ModelError(f"the processor returned arrangements of tiles for {len(ids)} of {len(images)} images")
    size = int(config.vision_config.image_size)
    canvases = []
    for number, image in zip(ids, images, strict=True):
        rows, columns = config.vision_config.supported_aspect_ratios[number - 1]
        width, height = fitted(image.width, image.height, columns * size, rows * size, size)
        canvases.append(Canvas(int(rows), int(columns), width, height))
    return canvases


def fitted(width: int, height: int, canvas_width: int, canvas_height: int, tile: int) -> tuple[int, int]:
    """Size to which an image is resized: as large as the canvas allows, its sides enlarged to a tile at most.

    Source: `get_image_size_fit_to_canvas` in transformers, models/mllama/image_processing_mllama.py.
    """
    most_width = min(max(width, tile), canvas_width)
    most_height = min(max(height, tile), canvas_height)
    x_scale, y_scale = most_width / width, most_height / height
    if x_scale < y_scale:
        return most_width, min(math.floor(height * x_scale) or 1, most_height)
    return min(math.floor(width * y_scale) or 1, most_width), most_height


def tile_grid(
    image_index: int, tile: int, canvas: Canvas, image: ImageInfo, side: int, patch: int, first_patch: int
) -> PatchGrid | None:
    """The patches of one tile that lie over the picture, `side` x `side` at most; None for a tile of padding.

    The last row and column may reach beyond the image.
    """
    tile_row, tile_column = divmod(tile, canvas.tile_columns)
    left, top = tile_column * side * patch, tile_row * side * patch
    rows = min(side, math.ceil((canvas.height - top) / patch))
    columns = min(side, math.ceil((canvas.width - left) / patch))
    if rows <= 0 or columns <= 0:
        return None
    x_scale, y_scale = image.width / canvas.width, image.height / canvas.height
    box = (left * x_scale, top * y_scale, (left + columns * patch) * x_scale, (top + rows * patch) * y_scale)
    return PatchGrid(image_index, rows, columns, box, first_patch, "image" if canvas.n_tiles == 1 else "tile")


def _tile_side(config: Any) -> int:
    """Patches per side of a tile."""
    return int(config.vision_config.image_size) // int(config.vision_config.patch_size)


def _ends(canvases: Sequence[Canvas], side: int) -> Int[np.ndarray, "_"]:
    """Where the features of each image end, among those of all images."""
    counts = [canvas.n_tiles * (side * side + 1) for canvas in canvases]
    return np.cumsum(np.asarray(counts, dtype=np.int64))
