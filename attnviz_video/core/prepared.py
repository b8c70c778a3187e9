"""`Prepared`: one question as the model reads it, with the meaning of every position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.tokens import Token


@dataclass(frozen=True, eq=False)
class KeyColumns:
    """Which trace positions the keys of a layer are, in a model that keeps its image features out of the prompt.

    Such a model (Mllama) reads the images through cross-attention layers, whose keys are image features and nothing
    else. A trace has one axis of positions for all layers: the prompt with one position per image feature put in
    where its image is mentioned. Rows are 0 where a layer has no key: self-attention layers at the image features,
    cross-attention layers at the text.
    """

    #: Trace position of every prompt token that the model reads, ascending.
    text: Int[np.ndarray, "model_prompt"]
    #: Trace position of every key of a cross-attention layer; -1 for padding that no query sees.
    #: Empty where the prompt has no image: those layers do not run then.
    cross: Int[np.ndarray, "cross_keys"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Model inputs, the layout of the prompt and its tokens."""

    #: Everything the processor returned (`input_ids`, `attention_mask`, `pixel_values` …): tensors on
    #: the CPU, batch size 1. Kept as a mapping of anything, since core does not know torch.
    inputs: Mapping[str, Any]
    layout: TokenLayout
    #: One token per prompt position, image placeholders included.
    tokens: tuple[Token, ...]
    #: What the chat template wrote, one placeholder per image.
    rendered_prompt: str
    #: None where every key of every layer is a prompt position, as in most families.
    columns: KeyColumns | None = None

    @property
    def n_prompt(self) -> int:
        """Number of prompt positions of the trace, images included."""
        return self.layout.n_prompt

    @property
    def n_model_prompt(self) -> int:
        """Number of prompt tokens the model reads: less than `n_prompt` where images are no part of the prompt."""
        return self.n_prompt if self.columns is None else int(self.columns.text.size)
