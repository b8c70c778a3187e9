"""Families whose processor returns `image_grid_thw` (Qwen2-VL, Qwen2.5-VL, Qwen3-VL): one grid per image.

The whole image is resized, without cropping or padding, to H x W vision patches; the model merges blocks of m x m
patches into one token, so an image has (H/m) x (W/m) tokens, row by row. The grid comes from the processor's
outputs only, never from the size of the image (docs/traps.md, T3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.whole_images import one_grid_per_image


class ImageGridLayout:
    """Layout rule for `image_grid_thw`."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per image over the whole image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: a video grid, or token counts that do not fit the grids.
        """
        grids = merged_grids(outputs, int(processor.image_processor.merge_size))
        if len(grids) != len(images):
            raise ModelError(f"the processor returned {len(grids)} image grids for {len(images)} images")
        return one_grid_per_image(config, outputs, images, grids)


def merged_grids(outputs: Mapping[str, Any], merge: int) -> list[tuple[int, int]]:
    """(rows, columns) of tokens per image, from `image_grid_thw` (frames, vision patch rows, vision patch columns).

    Raises:
        ModelError: an image of several frames (a video), or patches that do not merge evenly.
    """
    grid_thw = outputs.get("image_grid_thw")
    grids = []
    for frames, height, width in np.asarray(grid_thw).tolist() if grid_thw is not None else ():
        if frames != 1:
            raise ModelError(f"an image grid has {frames} frames: video inputs are not supported, give single images")
        if height % merge or width % merge:
            raise ModelError(
                f"an image grid of {height} x {width} vision patches cannot be merged in blocks of {merge} x {merge}"
            )
        grids.append((height // merge, width // merge))
    return grids
