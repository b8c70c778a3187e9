"""Puts a layout together from the areas a family cuts its images into, each with its own tokens and its own grid.

A rule says, for one image, how many tokens it has and which of them are the patches of which area (the whole image, a
tile, a thumbnail). What is left over stands for no rectangle: separators at the end of a row, class tokens, padding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Int

from attnviz_video.core.layout import Box, ImageInfo, PatchGrid, TokenLayout, cell_edges
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_positions, prompt_ids

#: Area names, as `PatchGrid.area` has them.
IMAGE, TILE, THUMBNAIL = "image", "tile", "thumbnail"


@dataclass(frozen=True, eq=False)
class Area:
    """One grid of patches over one part of an image."""

    #: What the grid covers, in original pixels; beyond the image where the processor padded it.
    box: Box
    #: Which of the image's tokens each cell is.
    tokens: Int[np.ndarray, "rows columns"]
    name: str = IMAGE


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """All tokens of one image, in the order of the prompt."""

    count: int
    areas: tuple[Area, ...]


def grid_tokens(rows: int, columns: int, first: int = 0, skip: int = 0) -> Int[np.ndarray, "rows columns"]:
    """Numbers of the tokens of a grid written row by row from token `first`, `skip` other tokens after each row."""
    return first + np.arange(rows)[:, None] * (columns + skip) + np.arange(columns)[None, :]


def assemble(
    config: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo], parts: Sequence[ImageTokens]
) -> TokenLayout:
    """The layout of a prompt whose image tokens, in order, are those of `parts`, one entry per image.

    Cells that lie wholly outside their image (padding) stand for no rectangle and are left out of the grids.

    Raises:
        ModelError: the prompt holds another number of image tokens.
    """
    positions = image_positions(config, outputs)
    counts = [part.count for part in parts]
    if positions.size != sum(counts):
        raise ModelError(
            f"the prompt holds {positions.size} image tokens, by the rule of {config.model_type} its images have "
            f"{' + '.join(map(str, counts)) or '0'}; the processor and the layout rule do not agree"
        )
    n_prompt = prompt_ids(outputs).size
    image_of = np.full(n_prompt, -1, dtype=np.int64)
    patch_of = np.full(n_prompt, -1, dtype=np.int64)
    grids = []
    start = 0
    for index, (info, part) in enumerate(zip(images, parts, strict=True)):
        own = positions[start : start + part.count]
        image_of[own] = index
        n_patches = 0
        for area in (inside(area, info) for area in part.areas):
            rows, columns = area.tokens.shape
            if area.tokens.size:
                patch_of[own[area.tokens.ravel()]] = n_patches + np.arange(area.tokens.size)
                grids.append(PatchGrid(index, rows, columns, area.box, n_patches, area.name))
                n_patches += area.tokens.size
        start += part.count
    return TokenLayout(tuple(images), tuple(grids), image_of, patch_of)


def inside(area: Area, image: ImageInfo) -> Area:
    """`area` without the rows and columns that lie wholly outside the image."""
    left, top, right, bottom = area.box
    rows, columns = area.tokens.shape
    first_row, last_row = _inside(top, bottom, rows, image.height)
    first_column, last_column = _inside(left, right, columns, image.width)
    high, wide = (bottom - top) / rows, (right - left) / columns
    box = (
        left + first_column * wide,
        top + first_row * high,
        left + last_column * wide,
        top + last_row * high,
    )
    return replace(area, box=box, tokens=area.tokens[first_row:last_row, first_column:last_column])


def _inside(start: float, stop: float, cells: int, size: int) -> tuple[int, int]:
    """The cells [first, last) of one axis of which a whole pixel lies between 0 and `size`."""
    edges = cell_edges(start, stop, cells)
    first = int(np.count_nonzero(edges[1:] <= 0))
    last = int(np.count_nonzero(edges[:-1] < size))
    return first, max(first, last)
