"""`Prepared`: one question as the model reads it, with the meaning of every position."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.tokens import Token


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

    @property
    def n_prompt(self) -> int:
        """Number of prompt positions, images included."""
        return self.layout.n_prompt
