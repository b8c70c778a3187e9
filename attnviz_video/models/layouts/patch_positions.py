"""Gemma 4: the aspect is kept (nearly); patches are averaged in blocks of k x k to R x C tokens, row by row.

`image_position_ids` gives column and row of every vision patch, -1 where an image has fewer than the most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.whole_images import one_grid_per_image


class PatchPositionsLayout:
    """Layout rule for `image_position_ids`."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per image over the whole image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: there are not as many position tables as images, or patches do not pool evenly.
        """
        grids = pooled_grids(outputs, int(processor.image_processor.pooling_kernel_size))
        if len(grids) != len(images):
            raise ModelError(f"the processor returned the patch positions of {len(grids)} of {len(images)} images")
        return one_grid_per_image(config, outputs, images, grids)


def pooled_grids(outputs: Mapping[str, Any], kernel: int) -> list[tuple[int, int]]:
    """(rows, columns) of tokens per image, from `image_position_ids` [images, patches, (column, row)].

    Raises:
        ModelError: patches that do not pool evenly in blocks of `kernel` x `kernel`.
    """
    given = outputs.get("image_position_ids")
    if given is None:
        return []
    table = np.asarray(given)
    grids = []
    for columns, rows in (table.reshape(-1, *table.shape[-2:]).max(axis=1) + 1).tolist():
        if rows % kernel or columns % kernel:
            raise ModelError(f"an image of {rows} x {columns} vision patches cannot be pooled in blocks of {kernel}")
        grids.append((rows // kernel, columns // kernel))
    return grids
