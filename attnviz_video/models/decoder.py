"""The text decoder of a model: its layers, their kinds, and the modules that compute their attention."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnviz_video.errors import ModelError
from attnviz_video.models.text_encoders import is_encoder

#: What the source of an attention class says when it takes its function from the attention interface.
_ROUTED = ("get_interface(", "ALL_ATTENTION_FUNCTIONS")


#: Attention class to whether it is routed: reading the source takes longer than a forward pass of a small model.
_KNOWN_KINDS: dict[type[nn.Module], bool] = {}


@dataclass(frozen=True)
class DecoderLayer:
    """One layer of the text decoder, counted as `--layer_idx` counts."""

    index: int
    #: "full", "window 4096", "chunk 8192", "cross" (keys are image features), "linear", "conv" …
    kind: str


def text_config(model: nn.Module) -> Any:
    """The configuration of the text decoder (the model's own where there is no separate one)."""
    config: Any = model.config
    return config.get_text_config()


def text_value(config: Any, name: str) -> Any:
    """A value of a text decoder's configuration, None where it has none; the largest where layers differ (Gemma 4)."""
    try:
        return getattr(config, name, None)
    except RuntimeError:
        # transformers refuses to give one value for all layers of a decoder that has several.
        values = [getattr(layer, name, None) for layer in config.per_layer_config]
        return max((value for value in values if value is not None), default=None)


def head_counts(config: Any) -> tuple[int, int]:
    """Numbers of query heads and of key-value heads of a text decoder.

    Raises:
        ModelError: it has no attention heads at all.
    """
    n_heads = text_value(config, "num_attention_heads")
    if not n_heads:
        raise ModelError(
            f"model_type {config.model_type!r} has no attention heads, so there is nothing to record; "
            "take another model (--model_path)"
        )
    return int(n_heads), int(text_value(config, "num_key_value_heads") or n_heads)


def whole_prompt_arguments(model: nn.Module) -> dict[str, object]:
    """Arguments of `generate` with which every layer computes all queries of the prompt.

    Gemma 4 leaves all but the last one out of layers that share the keys of others, where the number of logits to
    keep is a plain number; given as a list of positions, it keeps them.
    """
    return {"logits_to_keep": torch.tensor([-1])} if text_value(text_config(model), "num_kv_shared_layers") else {}


def attention_modules(model: nn.Module) -> dict[int, nn.Module]:
    """Decoder layer index to the self-attention module of that layer, in order of the layers.

    Found by walking all modules: those that know their `layer_idx`, read the text decoder's configuration and take
    their function from transformers' attention interface. Where a layer holds two (self and cross), the
    self-attention is taken; a layer without softmax attention, or one that is not routed, is left out. Where no module
    knows its layer (DistilBERT, ESM), they are counted as they come.
    """
    numbered = [
        (name, module) for name, module in model.named_modules() if isinstance(getattr(module, "layer_idx", None), int)
    ] or _counted(model)
    candidates = [(name, module) for name, module in numbered if not _is_of_another_part(module, text_config(model))]
    routed = {kind for kind in {type(module) for _, module in candidates} if _is_routed(kind)}
    found: dict[int, tuple[str, nn.Module]] = {}
    for name, module in candidates:
        if type(module) not in routed:
            continue
        own = getattr(module, "layer_idx", None)
        index = len(found) if own is None else int(own)
        if index not in found or (_is_cross(found[index][0]) and not _is_cross(name)):
            found[index] = (name, module)
    return {index: found[index][1] for index in sorted(found)}


def _counted(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules of a model without numbered layers that are attention of their own kind, in order."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(getattr(module, "is_causal", None), bool) and _is_routed(type(module))
    ]


def decoder_layers(model: nn.Module) -> tuple[DecoderLayer, ...]:
    """All layers of the text decoder with their kinds."""
    config = text_config(model)
    modules = attention_modules(model)
    kinds = [_kind(declared, modules.get(index), config) for index, declared in enumerate(declared_kinds(config))]
    if is_encoder(str(getattr(config, "model_type", ""))):
        # Every layer of an encoder attends; one whose module is not routed returns its weights when it is asked.
        kinds = ["full" if kind == "none" else kind for kind in kinds]
    return tuple(DecoderLayer(index, kind) for index, kind in enumerate(kinds))


def declared_kinds(config: Any) -> tuple[str | None, ...]:
    """What the configuration of a text decoder says about each layer ("full_attention" …), None where it says nothing.

    Mllama lists the layers that attend to image features as `cross_attention_layers`.
    """
    kinds: list[str | None] = list(getattr(config, "layer_types", None) or [None] * config.num_hidden_layers)
    for index in getattr(config, "cross_attention_layers", None) or ():
        if index < len(kinds):
            kinds[index] = "cross_attention"
    return tuple(kinds)


def layer_kinds(model: nn.Module) -> tuple[str, ...]:
    """The kind of every decoder layer: "full", "window 4096", "linear" …"""
    return tuple(layer.kind for layer in decoder_layers(model))


def _is_of_another_part(module: nn.Module, text: Any) -> bool:
    """Whether a module belongs to a vision or audio tower: the blocks of Gemma 4's count their layers too."""
    own = getattr(getattr(module, "config", None), "model_type", None)
    wanted = getattr(text, "model_type", None)
    return own is not None and wanted is not None and own != wanted


def _is_routed(kind: type[nn.Module]) -> bool:
    """Whether the source of an attention class mentions the attention interface; no source counts as no."""
    if kind not in _KNOWN_KINDS:
        try:
            source = inspect.getsource(kind)
        except (OSError, TypeError):
            source = ""
        _KNOWN_KINDS[kind] = any(mark in source for mark in _ROUTED)
    return _KNOWN_KINDS[kind]


def _is_cross(name: str) -> bool:
    return "cross" in name or "encoder_attn" in name


def _kind(declared: str | None, module: nn.Module | None, config: Any) -> str:
    """The kind of one layer, from what the configuration declares or, failing that, from its attention module."""
    window = getattr(module, "sliding_window", None) or text_value(config, "sliding_window")
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
