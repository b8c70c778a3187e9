"""What all families share that lay one grid over each whole image: they differ only in where its size comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.core.layout import Box, ImageInfo, PatchGrid, TokenLayout
from attnviz_video.models.layouts.adapter import image_positions, number_patches, prompt_ids


def whole_image(image: ImageInfo) -> Box:
    """The box of a grid over the whole image."""
    return 0.0, 0.0, float(image.width), float(image.height)


def one_grid_per_image(
    config: Any,
    outputs: Mapping[str, Any],
    images: Sequence[ImageInfo],
    grids: Sequence[tuple[int, int]],
    *,
    guessed: bool = False,
) -> TokenLayout:
    """The layout of a prompt whose images have grids of (rows, columns) tokens, written row by row.

    Raises:
        ModelError: the prompt holds another number of image tokens.
    """
    counts = [rows * columns for rows, columns in grids]
    image_of, patch_of = number_patches(prompt_ids(outputs).size, image_positions(config, outputs), counts)
    placed = tuple(
        PatchGrid(index, rows, columns, whole_image(image))
        for index, ((rows, columns), image) in enumerate(zip(grids, images, strict=True))
    )
    return TokenLayout(tuple(images), placed, image_of, patch_of, guessed)
