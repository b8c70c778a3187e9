"""The seam between model families and the rest of the program: from processor outputs to a `TokenLayout`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.errors import ModelError


@runtime_checkable
class LayoutAdapter(Protocol):
    """The layout rule of one model family."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """What every prompt position stands for.

        `config` is the model's configuration, `outputs` what `processor` returned for one prompt (batch size 1),
        `images` the original images in the order they were given.

        Raises:
            ModelError: the outputs do not fit the rule.
        """
        ...


@runtime_checkable
class SeparateImages(LayoutAdapter, Protocol):
    """The layout rule of a family whose image features are no part of the prompt: its layout is of trace positions."""

    def key_columns(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> KeyColumns:
        """Where the model's own prompt tokens and its image features stand among the trace positions.

        Arguments as for `layout`.

        Raises:
            ModelError: the outputs do not fit the rule.
        """
        ...


def image_info(name: str, image: Any) -> ImageInfo:
    """Size and fingerprint (SHA-256 of the RGB pixels, row by row) of an upright Pillow image."""
    rgb = image.convert("RGB")
    return ImageInfo(name, rgb.width, rgb.height, hashlib.sha256(rgb.tobytes()).hexdigest())


def prompt_ids(outputs: Mapping[str, Any]) -> Int[np.ndarray, "prompt"]:
    """The prompt's token ids, from processor outputs of batch size 1."""
    return np.asarray(outputs["input_ids"][0], dtype=np.int64)


def image_token_id(config: Any) -> int | None:
    """Id of the placeholder that stands for one image feature; None where the family has none."""
    for name in ("image_token_id", "image_token_index"):
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
    return None


def image_positions(config: Any, outputs: Mapping[str, Any]) -> Int[np.ndarray, "tokens"]:
    """Prompt positions of all image placeholders, in order.

    Raises:
        ModelError: the configuration names no image placeholder.
    """
    token = image_token_id(config)
    if token is None:
        raise ModelError(
            f"model_type {config.model_type!r} names no image_token_id, so its image positions cannot be found"
        )
    return np.flatnonzero(prompt_ids(outputs) == token)


def number_patches(
    n_prompt: int, positions: Int[np.ndarray, "tokens"], counts: Sequence[int]
) -> tuple[Int[np.ndarray, "prompt"], Int[np.ndarray, "prompt"]]:
    """Deal image placeholders out to images: the first `counts[0]` belong to image 0, the next to image 1, and so on.

    Returns the image index and the patch index of every position, -1 for text.

    Raises:
        ModelError: there are not as many placeholders as the grids have patches.
    """
    if positions.size != sum(counts):
        wanted = " + ".join(map(str, counts)) or "0"
        raise ModelError(
            f"the prompt holds {positions.size} image tokens, the images' grids have {wanted} patches; "
            "the processor and the layout rule of this model family do not agree"
        )
    image_of = np.full(n_prompt, -1, dtype=np.int64)
    patch_of = np.full(n_prompt, -1, dtype=np.int64)
    start = 0
    for image, count in enumerate(counts):
        image_of[positions[start : start + count]] = image
        patch_of[positions[start : start + count]] = np.arange(count)
        start += count
    return image_of, patch_of
