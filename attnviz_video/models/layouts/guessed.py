"""Fallback for families without a rule of their own: the grid is guessed, and the picture says so.

A perfect square is taken as a square grid; any other count as the pair of factors whose aspect is nearest that of
the image. Tiled families, and those that crop, come out wrong: that is why `TokenLayout.guessed` is set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_positions
from attnviz_video.models.layouts.whole_images import one_grid_per_image


class GuessedLayout:
    """Layout by plausibility; always marked as guessed."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One guessed grid per image over the whole image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the image tokens cannot be dealt out to the images.
        """
        positions = image_positions(config, outputs)
        counts = tokens_per_image(positions, len(images))
        grids = [likely_grid(count, image.width / image.height) for count, image in zip(counts, images, strict=True)]
        return one_grid_per_image(config, outputs, images, grids, guessed=bool(images))


def tokens_per_image(positions: Int[np.ndarray, "tokens"], n_images: int) -> list[int]:
    """How many of the placeholders belong to each image: one unbroken run each, else equal shares.

    Raises:
        ModelError: neither fits.
    """
    if n_images == 0 and positions.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(positions) > 1) + 1
    runs = [len(run) for run in np.split(positions, breaks)] if positions.size else []
    if len(runs) == n_images:
        return runs
    if n_images and positions.size and positions.size % n_images == 0:
        return [positions.size // n_images] * n_images
    raise ModelError(
        f"{positions.size} image tokens in {len(runs)} runs cannot be dealt out to {n_images} images; "
        "this model family has no layout rule yet"
    )


def likely_grid(count: int, aspect: float) -> tuple[int, int]:
    """(rows, columns) with rows · columns = `count`: a square if possible, else nearest `aspect` = width / height."""
    side = math.isqrt(count)
    if side * side == count:
        return side, side
    divisors = [rows for rows in range(1, count + 1) if count % rows == 0]
    rows = min(divisors, key=lambda rows: abs(math.log(count / (rows * rows) / aspect)))
    return rows, count // rows
