"""LLaVA-NeXT: the whole image as one square, then its tiles as one large grid with a newline token after every row.

The image is scaled, aspect kept, to the resolution of `image_grid_pinpoints` that fits best and padded on both sides to
fill it; the tiles' features are joined to one grid and the padding is cut off again, in whole rows or columns of
features: up to half a row of padding may stay, and up to half a row of the image may be lost.

Source: Liu et al. 2024, "LLaVA-NeXT: Improved reasoning, OCR, and world knowledge"; LLaVA-OneVision adds the shrinking
(Li et al. 2024, "LLaVA-OneVision: Easy Visual Task Transfer", `anyres_max_9`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.layouts.areas import THUMBNAIL, TILE, Area, ImageTokens, assemble, grid_tokens


@dataclass(frozen=True)
class Tile:
    """The square that the vision tower is given."""

    #: Side in pixels.
    side: int
    #: Side of a patch in pixels.
    patch: int

    @property
    def features(self) -> int:
        """Patches per side; what is left at the right and the bottom is not seen."""
        return self.side // self.patch


@dataclass(frozen=True)
class Axis:
    """One axis of the joined tiles."""

    #: Number of tiles.
    tiles: int
    #: Pixels of the canvas before the image begins, and per pixel of the original.
    offset: int
    scale: float
    #: Features left after the padding was cut off: [first, last) of `tiles` · `Tile.features`.
    first: int
    last: int

    @property
    def features(self) -> int:
        return self.last - self.first


@dataclass(frozen=True)
class Span:
    """Features that follow each other without a gap in the image."""

    #: [first, last), counted from the axis' first.
    first: int
    last: int
    #: Where they lie in the original, in pixels.
    start: float
    stop: float


class AnyResLayout:
    """Layout rule for a thumbnail followed by a grid of joined tiles."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """Two areas per image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the processor saw another number of images, or the prompt holds another number of tokens.
        """
        sizes = image_sizes(outputs, len(images))
        parts = [
            anyres_tokens(info, size, tile_of(config), config.image_grid_pinpoints)
            for info, size in zip(images, sizes, strict=True)
        ]
        return assemble(config, outputs, images, parts)


def tile_of(config: Any) -> Tile:
    """The square that the vision tower of `config` is given."""
    return Tile(int(config.vision_config.image_size), int(config.vision_config.patch_size))


def image_sizes(outputs: Mapping[str, Any], n_images: int) -> list[tuple[int, int]]:
    """(height, width) of every image as the processor saw it.

    Raises:
        ModelError: it saw another number of images.
    """
    found = outputs.get("image_sizes")
    sizes = [] if found is None else [(int(height), int(width)) for height, width in np.asarray(found).tolist()]
    if len(sizes) != n_images:
        raise ModelError(f"the processor returned the sizes of {len(sizes)} of {n_images} images")
    return sizes


def anyres_tokens(
    info: ImageInfo, size: tuple[int, int], tile: Tile, pinpoints: Sequence[Sequence[int]], max_tiles: int | None = None
) -> ImageTokens:
    """The tokens of one image of `size` (height, width): a square of the whole image, then the rows of the tiles.

    With `max_tiles`, a grid of more than 1.21 times that many tiles' features is shrunk to about as many.
    """
    vertical, horizontal = axes(size, tile, pinpoints)
    rows, columns = vertical.features, horizontal.features
    row_spans, column_spans = spans(vertical, tile), spans(horizontal, tile)
    if max_tiles is not None:
        ratio = math.sqrt(rows * columns / (max_tiles * tile.features**2))
        if ratio > 1.1:
            rows, columns = int(rows // ratio), int(columns // ratio)
            row_spans, column_spans = [joined(row_spans, rows)], [joined(column_spans, columns)]
    base = tile.features**2
    # A square whose side is no whole number of patches has a strip that is not seen.
    seen = tile.features * tile.patch / tile.side
    whole = (0.0, 0.0, info.width * seen, info.height * seen)
    areas = [Area(whole, grid_tokens(tile.features, tile.features), THUMBNAIL)]
    numbers = grid_tokens(rows, columns, base, skip=1)
    areas += [
        Area((across.start, down.start, across.stop, down.stop),
             numbers[down.first : down.last, across.first : across.last], TILE)
        for down in row_spans
        for across in column_spans
    ]  # fmt: skip
    return ImageTokens(base + rows * (columns + 1), tuple(areas))


def axes(size: tuple[int, int], tile: Tile, pinpoints: Sequence[Sequence[int]]) -> tuple[Axis, Axis]:
    """How an image of `size` (height, width) lies on its tiles, down and across."""
    height, width = size
    canvas = transformers.image_processing_utils.select_best_resolution(size, [list(point) for point in pinpoints])
    high, wide = canvas[0] // tile.side, canvas[1] // tile.side
    down, across = canvas[0] / height, canvas[1] / width
    if across < down:
        shown = min(math.ceil(height * across), canvas[0]), canvas[1]
    else:
        shown = canvas[0], min(math.ceil(width * down), canvas[1])
    rows, columns = high * tile.features, wide * tile.features
    row_padding = column_padding = 0
    if width / height > columns / rows:
        row_padding = (rows - int(round(height * (columns / width), 7))) // 2
    else:
        column_padding = (columns - int(round(width * (rows / height), 7))) // 2
    return (
        Axis(high, (canvas[0] - shown[0]) // 2, shown[0] / height, row_padding, rows - row_padding),
        Axis(wide, (canvas[1] - shown[1]) // 2, shown[1] / width, column_padding, columns - column_padding),
    )


def spans(axis: Axis, tile: Tile) -> list[Span]:
    """The features of an axis in spans without gaps: one, or one per tile where tiles have a strip that is not seen."""
    whole = tile.features * tile.patch == tile.side
    found = []
    for number in range(1 if whole else axis.tiles):
        limit = axis.last if whole else (number + 1) * tile.features
        first, last = max(axis.first, number * tile.features), min(axis.last, limit)
        if first < last:
            pixels = [number * tile.side + (edge - number * tile.features) * tile.patch for edge in (first, last)]
            start, stop = ((pixel - axis.offset) / axis.scale for pixel in pixels)
            found.append(Span(first - axis.first, last - axis.first, start, stop))
    return found


def joined(parts: Sequence[Span], features: int) -> Span:
    """`parts` as one span of `features`; strips that are not seen are spread over them."""
    return Span(0, features, parts[0].start, parts[-1].stop)
