"""LLaVA-OneVision: one image as in LLaVA-NeXT, with large grids shrunk; several images as one padded square each.

Several images are not cut up: each is padded to a centred square and gives one square grid, followed by one newline
token. Patches that show nothing but padding stand for no rectangle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.models.layouts.anyres import Tile, anyres_tokens, image_sizes, tile_of
from attnviz_video.models.layouts.areas import Area, ImageTokens, assemble, grid_tokens


class OneVisionLayout:
    """Layout rule for tiles of one image, or squares of several."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """Two areas for a single image, one for each of several; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the processor saw another number of images, or the prompt holds another number of tokens.
        """
        tile = tile_of(config)
        sizes = image_sizes(outputs, len(images))
        together = outputs.get("batch_num_images")
        # The processor counts the images of every prompt; where it does not, each is taken for a single one.
        single = together is None or not (np.asarray(together) > 1).any()
        max_tiles = int(str(config.vision_aspect_ratio).rpartition("_")[2])
        parts = [
            anyres_tokens(info, size, tile, config.image_grid_pinpoints, max_tiles)
            if single
            else padded_square(info, tile)
            for info, size in zip(images, sizes, strict=True)
        ]
        return assemble(config, outputs, images, parts)


def padded_square(info: ImageInfo, tile: Tile) -> ImageTokens:
    """The tokens of an image that was padded to a centred square: its patches and one newline."""
    side = max(info.width, info.height)
    left, top = -float((side - info.width) // 2), -float((side - info.height) // 2)
    seen = side * tile.features * tile.patch / tile.side
    tokens = grid_tokens(tile.features, tile.features)
    return ImageTokens(tokens.size + 1, (Area((left, top, left + seen, top + seen), tokens),))
