"""Depth growth: more decoder layers without changing what the model computes.

A copy of a layer whose two output matrices are zero adds nothing to the residual stream, so the grown model gives the
same logits as the small one. Copies stand before their source; they keep its query and key matrices, so they begin by
attending as the source does, and fine-tuning puts them to use.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import Qwen2VLForConditionalGeneration

from demo_training.architecture import new_model

GROWTH = (0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5)


def grow(model: Qwen2VLForConditionalGeneration, sources: Sequence[int] = GROWTH) -> Qwen2VLForConditionalGeneration:
    """A deeper model: layer ``i`` comes from ``sources[i]``; only the last layer of each source keeps its outputs."""
    layers = model.config.text_config.num_hidden_layers
    if sorted(set(sources)) != list(range(layers)) or list(sources) != sorted(sources):
        raise ValueError(f"sources must name every one of the {layers} layers, in order: {list(sources)}")
    grown = new_model(len(sources))
    state = {k: v for k, v in model.state_dict().items() if ".language_model.layers." not in k}
    grown.load_state_dict(state, strict=False)
    with torch.no_grad():
        for index, source in enumerate(sources):
            target = grown.model.language_model.layers[index]
            target.load_state_dict(model.model.language_model.layers[source].state_dict())
            if index + 1 < len(sources) and sources[index + 1] == source:
                target.self_attn.o_proj.weight.zero_()
                target.mlp.down_proj.weight.zero_()
    return grown
