"""Pixtral vision towers (Pixtral, Mistral 3): tokens in rows, each row followed by a break token, the last by an end.

The aspect is kept up to whole patches; `image_sizes` is each image's size after that, in pixels. Break and end tokens
have ids of their own and are text. What is padded so that several images fit into one array gives no tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.whole_images import one_grid_per_image


class BrokenRowsLayout:
    """Layout rule for rows of image tokens with break tokens between them."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per image over the whole image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: there are not as many sizes as images, or a size that is no whole number of patches.
        """
        patch = int(processor.patch_size) * int(getattr(processor, "spatial_merge_size", None) or 1)
        grids = grids_of_sizes(outputs.get("image_sizes"), patch)
        if len(grids) != len(images):
            raise ModelError(f"the processor returned the sizes of {len(grids)} of {len(images)} images")
        return one_grid_per_image(config, outputs, images, grids)


def grids_of_sizes(sizes: Any, patch: int) -> list[tuple[int, int]]:
    """(rows, columns) of tokens per image, from [images, (height, width)] in pixels and the side of a token's square.

    Raises:
        ModelError: a size that is no whole number of patches.
    """
    if sizes is None:
        return []
    grids = []
    for height, width in np.asarray(sizes).reshape(-1, 2).tolist():
        if height % patch or width % patch:
            raise ModelError(f"an image of {width} x {height} pixels is not cut evenly into patches of {patch}")
        grids.append((height // patch, width // patch))
    return grids
