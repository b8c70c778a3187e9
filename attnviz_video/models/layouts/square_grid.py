"""PaliGemma: every image is squashed to one square, whatever its aspect, and gives g x g tokens, row by row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.whole_images import one_grid_per_image


class SquareGridLayout:
    """Layout rule for one square grid per image."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One square grid per image over the whole image; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the number of tokens per image is no square, or is not the one the prompt holds.
        """
        side = square_side(int(processor.image_seq_length))
        return one_grid_per_image(config, outputs, images, [(side, side)] * len(images))


def square_side(n_tokens: int) -> int:
    """Side of a square grid of `n_tokens`.

    Raises:
        ModelError: it is no square.
    """
    side = math.isqrt(n_tokens)
    if side * side != n_tokens:
        raise ModelError(f"an image has {n_tokens} tokens, which is no square grid as this model family has it")
    return side
