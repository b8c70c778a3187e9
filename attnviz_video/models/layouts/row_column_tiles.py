"""Idefics 3 and SmolVLM: tiles row by row, each after its `<row_i_col_j>` tag, then the whole image.

The image is resized, aspect kept up to rounding, then squashed so that both sides are whole numbers of tiles; tiles and
the whole image have the same square grid. An image that fits into one tile is given whole. The numbers of rows and
columns are asked of the image processor, since they are not among its outputs, and the number of tokens is checked.

Source: Laurençon et al. 2024, "Building and better understanding vision-language models: insights and future
directions" (Idefics 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.models.layouts.areas import assemble
from attnviz_video.models.layouts.square_grid import square_side
from attnviz_video.models.layouts.tiled_canvas import tiles_then_thumbnail


class RowColumnTilesLayout:
    """Layout rule for tagged tiles followed by the whole image."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One area of tiles and a thumbnail per image, or the whole image alone; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the prompt holds another number of image tokens.
        """
        side = square_side(int(processor.image_seq_len))
        parts = []
        for info in images:
            _, rows, columns = processor.image_processor.get_number_of_image_patches(info.height, info.width, {})
            parts.append(tiles_then_thumbnail(info, max(1, int(rows)), max(1, int(columns)), side))
        return assemble(config, outputs, images, parts)
