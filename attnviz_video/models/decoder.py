"""The text decoder of a model: its layers, their kinds, and the modules that compute their attention."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn

#: What the source of an attention class says when it takes its function from the attention interface.
_ROUTED = ("get_interface(", "ALL_ATTENTION_FUNCTIONS")


@dataclass(frozen=True)
class DecoderLayer:
    """One layer of the text decoder, counted as `--layer_idx` counts."""

    index: int
    #: "full", "window 4096", "chunk 8192", "linear", "conv" …
    kind: str


def text_config(model: nn.Module) -> Any:
    """The configuration of the text decoder (the model's own where there is no separate one)."""
    config: Any = model.config
    return config.get_text_config()


def attention_modules(model: nn.Module) -> dict[int, nn.Module]:
    """Decoder layer index to the self-attention module of that layer, in order of the layers.

    Found by walking all modules: those that know their `layer_idx` and take their function from transformers'
    attention interface. Vision blocks have no `layer_idx`. Where a layer holds two (self and cross), the
    self-attention is taken; a layer without softmax attention, or one that is not routed, is left out.
    """
    candidates = [
        (name, module) for name, module in model.named_modules() if isinstance(getattr(module, "layer_idx", None), int)
    ]
    routed = {kind for kind in {type(module) for _, module in candidates} if _is_routed(kind)}
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, module in candidates:
        if type(module) not in routed:
            continue
        index = int(module.layer_idx)
        if index not in found or (_is_cross(found[index][0]) and not _is_cross(name)):
            found[index] = (name, module)
    return {index: found[index][1] for index in sorted(found)}


def decoder_layers(model: nn.Module) -> tuple[DecoderLayer, ...]:
    """All layers of the text decoder with their kinds."""
    config = text_config(model)
    kinds = getattr(config, "layer_types", None)
    modules = attention_modules(model)
    return tuple(
        DecoderLayer(index, _kind(kinds[index] if kinds else None, modules.get(index), config))
        for index in range(config.num_hidden_layers)
    )


def layer_kinds(model: nn.Module) -> tuple[str, ...]:
    """The kind of every decoder layer: "full", "window 4096", "linear" …"""
    return tuple(layer.kind for layer in decoder_layers(model))


def _is_routed(kind: type[nn.Module]) -> bool:
    """Whether the source of an attention class mentions the attention interface; no source counts as no."""
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        return False
    return any(mark in source for mark in _ROUTED)


def _is_cross(name: str) -> bool:
    return "cross" in name or "encoder_attn" in name


def _kind(declared: str | None, module: nn.Module | None, config: Any) -> str:
    """The kind of one layer, from what the configuration declares or, failing that, from its attention module."""
    window = getattr(module, "sliding_window", None) or getattr(config, "sliding_window", None)
    if declared == "full_attention":
        return "full"
    if declared == "sliding_attention":
        return f"window {window}"
    if declared == "chunked_attention":
        return f"chunk {getattr(config, 'attention_chunk_size', '?')}"
    if declared is not None:
        return declared.removesuffix("_attention")
    if module is None:
        return "none"
    own_window = getattr(module, "sliding_window", None)
    return f"window {own_window}" if own_window else "full"
