"""A question with pictures for a tiny model of any family, and what enters its language model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.prompt import prepare
from attnviz_video.testing.families.table import TinyFamily

#: (width, height) of the pictures: none square, the two of different size and aspect, so that swaps cannot hide.
WIDE, TALL = (330, 130), (150, 260)


class _ReachedError(Exception):
    """Raised at the language model's input, since nothing after it is needed."""


def sizes_of(family: TinyFamily) -> list[tuple[int, int]]:
    """Sizes of as many pictures as the family takes, at most two."""
    return [WIDE, TALL][: family.max_images]


def pictures(sizes: Sequence[tuple[int, int]]) -> list[Image.Image]:
    """Grey noise."""
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(110, 145, (height, width, 3), dtype=np.uint8).astype(np.uint8))
        for width, height in sizes
    ]


def ask(loaded: Any, images: Sequence[Image.Image], question: str = "What colour is it?") -> Prepared:
    """The question about `images`, ready for the model."""
    sample = Sample(0, "probe", question, tuple(Path(f"{index}.png") for index in range(len(images))))
    return prepare(loaded, sample, images, "{problem}")


def language_model_input(loaded: Any, prepared: Prepared) -> np.ndarray:
    """What enters the first decoder layer, [positions, hidden]: text embeddings and image features in their places.

    Where image features are keys of other layers, they are put at their positions of the trace.
    """
    caught: list[torch.Tensor] = []

    def catch(module: Any, arguments: Any, named: Any) -> None:
        text = named["hidden_states"] if "hidden_states" in named else arguments[0]
        caught.append(text if prepared.columns is None else on_trace(text[0], named["cross_attention_states"]))
        raise _ReachedError

    def on_trace(text: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        columns = prepared.columns
        assert columns is not None
        whole = torch.zeros(1, prepared.n_prompt, text.shape[-1])
        whole[0, columns.text] = text
        whole[0, columns.cross[columns.cross >= 0]] = features.reshape(-1, text.shape[-1])[columns.cross >= 0]
        return whole

    hook = first_decoder_layer(loaded.model).register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.no_grad(), pytest.raises(_ReachedError):
            loaded.model(**prepared.inputs)
    finally:
        hook.remove()
    return caught[0][0].float().numpy()


@lru_cache(maxsize=1)
def first_decoder_layer(model: torch.nn.Module) -> torch.nn.Module:
    """The first layer of the list of layers that holds the attention modules, whatever its own kind."""
    wanted = next(iter(attention_modules(model).values()))
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    holding = [layers for layers in lists if any(part is wanted for part in layers.modules())]
    return holding[0][0]
