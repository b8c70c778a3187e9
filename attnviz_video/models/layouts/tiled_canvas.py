"""InternVL, Aya Vision, Cohere2 Vision: tiles row by row, then a thumbnail of the whole image.

The image is squashed to the arrangement of square tiles whose aspect is nearest its own; every tile has the same square
grid. An image of one tile has no thumbnail. Tags between the tiles have ids of their own and are text.

The arrangement follows from the size of the image by a function of the family's image processor, which is asked for it;
it is not among the processor's outputs, but the number of tokens is checked against the prompt.

Source: Chen et al. 2024, "How Far Are We to GPT-4V? Closing the Gap to Commercial Multimodal Models with Open-Source
Suites" (InternVL 1.5, dynamic high resolution).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_positions
from attnviz_video.models.layouts.areas import IMAGE, THUMBNAIL, TILE, Area, ImageTokens, assemble, grid_tokens
from attnviz_video.models.layouts.square_grid import square_side
from attnviz_video.models.layouts.whole_images import whole_image


class TiledCanvasLayout:
    """Layout rule for tiles followed by a thumbnail."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One area of tiles and a thumbnail per image, or the whole image alone; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the number of image tokens fits neither the tiles nor images that were not cut up.
        """
        side = square_side(tokens_per_tile(processor))
        canvases = [tiles_of(processor.image_processor, info) for info in images]
        # Whether images are cut up is a setting of each call, which the outputs do not repeat.
        if image_positions(config, outputs).size == len(images) * side * side:
            canvases = [(1, 1)] * len(images)
        parts = [
            tiles_then_thumbnail(info, rows, columns, side)
            for info, (rows, columns) in zip(images, canvases, strict=True)
        ]
        return assemble(config, outputs, images, parts)


def tokens_per_tile(processor: Any) -> int:
    """Tokens of one tile, as each family's processor says it.

    Raises:
        ModelError: this one does not say.
    """
    if hasattr(processor, "image_seq_length"):
        return int(processor.image_seq_length)
    if hasattr(processor, "img_size"):
        return int(processor.img_size // processor.patch_size) ** 2
    if hasattr(processor, "patch_size"):
        # Cohere2 Vision calls the number of tokens per side its patch size.
        return int(processor.patch_size) ** 2
    raise ModelError(f"{type(processor).__name__} does not say how many tokens a tile has")


def tiles_of(image_processor: Any, info: ImageInfo) -> tuple[int, int]:
    """(rows, columns) of tiles that an image is cut into.

    Raises:
        ModelError: the image processor is not one that cuts images up so.
    """
    size = image_processor.size
    for kind in type(image_processor).__mro__:
        arrange = getattr(sys.modules.get(kind.__module__), "get_optimal_tiled_canvas", None)
        if arrange is not None:
            columns, rows = arrange(
                (info.height, info.width),
                (int(size["height"]), int(size["width"])),
                int(image_processor.min_patches),
                int(image_processor.max_patches),
            )
            return int(rows), int(columns)
    raise ModelError(f"{type(image_processor).__name__} has no rule for arranging tiles")


def tiles_then_thumbnail(info: ImageInfo, rows: int, columns: int, side: int) -> ImageTokens:
    """The tokens of an image cut into `rows` x `columns` tiles of `side` x `side` tokens each."""
    per_tile = side * side
    if rows * columns == 1:
        return ImageTokens(per_tile, (Area(whole_image(info), grid_tokens(side, side), IMAGE),))
    areas = []
    for row in range(rows):
        for column in range(columns):
            box = (
                info.width * column / columns,
                info.height * row / rows,
                info.width * (column + 1) / columns,
                info.height * (row + 1) / rows,
            )
            areas.append(Area(box, grid_tokens(side, side, (row * columns + column) * per_tile), TILE))
    last = rows * columns * per_tile
    areas.append(Area(whole_image(info), grid_tokens(side, side, last), THUMBNAIL))
    return ImageTokens(last + per_tile, tuple(areas))
