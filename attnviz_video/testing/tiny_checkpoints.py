"""Tiny random checkpoints on disk: real files of real model families, built in a second, loaded like any other.

The weights are random, so the answers are nonsense; shapes, geometry, token text and attention are not. Query and
key weights are scaled up, since attention of a freshly initialised model is almost uniform and would hide mistakes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.testing.tiny_tokenizer import CHAT_TEMPLATE, special_ids, write_tokenizer


@dataclass(frozen=True)
class TinyShape:
    """What may differ between tiny checkpoints of one family."""

    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 64
    seed: int = 0
    #: Image area limits of the processor, in pixels.
    min_pixels: int = 56 * 56
    max_pixels: int = 224 * 224
    #: Longest prompt and answer together.
    context: int = 4096
    #: Factors on the query and key projections, and on their norms where there are some.
    peaked: float = 6.0
    peaked_norms: float = 6.0


def build_qwen2_vl(folder: Path, shape: TinyShape | None = None) -> Path:
    """A tiny Qwen2-VL checkpoint in `folder` (patches of 14, merged 2 x 2)."""
    shape = shape or TinyShape()
    vision = {
        "model_type": "qwen2_vl", "depth": 2, "embed_dim": 32, "hidden_size": shape.hidden, "num_heads": 2,
        "mlp_ratio": 2, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
        "hidden_act": "quick_gelu",
    }  # fmt: skip
    config = _flat_config("qwen2_vl", "Qwen2VLForConditionalGeneration", vision, shape)
    return _write(folder, config, _image_processor("Qwen2VLImageProcessor", "Qwen2VLProcessor", 14, shape), shape)


def build_qwen2_5_vl(folder: Path, shape: TinyShape | None = None) -> Path:
    """A tiny Qwen2.5-VL checkpoint in `folder` (patches of 14, merged 2 x 2, window attention in the vision tower)."""
    shape = shape or TinyShape()
    vision = {
        "model_type": "qwen2_5_vl", "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
        "out_hidden_size": shape.hidden, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "window_size": 112, "fullatt_block_indexes": [1], "tokens_per_second": 2,
        "hidden_act": "silu",
    }  # fmt: skip
    config = _flat_config("qwen2_5_vl", "Qwen2_5_VLForConditionalGeneration", vision, shape)
    return _write(folder, config, _image_processor("Qwen2VLImageProcessor", "Qwen2_5_VLProcessor", 14, shape), shape)


def build_qwen3_vl(folder: Path, shape: TinyShape | None = None) -> Path:
    """A tiny Qwen3-VL checkpoint in `folder` (patches of 16, merged 2 x 2, one deepstack layer)."""
    shape = shape or TinyShape()
    vision = {
        "model_type": "qwen3_vl", "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2,
        "out_hidden_size": shape.hidden, "in_channels": 3, "patch_size": 16, "spatial_merge_size": 2,
        "temporal_patch_size": 2, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
        "hidden_act": "gelu_pytorch_tanh",
    }  # fmt: skip
    half = shape.hidden // shape.heads // 2
    text = _text_config(shape) | {
        "model_type": "qwen3_vl_text",
        "head_dim": shape.hidden // shape.heads,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "rope_type": "default", "mrope_interleaved": True, "mrope_section": _sections(half),
        },
    }  # fmt: skip
    config = _image_ids() | {
        "architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl",
        "text_config": text, "vision_config": vision, "tie_word_embeddings": False, "dtype": "float32",
    }  # fmt: skip
    return _write(folder, config, _image_processor("Qwen2VLImageProcessorFast", "Qwen3VLProcessor", 16, shape), shape)


def _text_config(shape: TinyShape) -> dict[str, Any]:
    ids = special_ids()
    return {
        "vocab_size": max(ids.values()) + 1,
        "hidden_size": shape.hidden,
        "intermediate_size": 2 * shape.hidden,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "hidden_act": "silu",
        "max_position_embeddings": shape.context,
        "rms_norm_eps": 1e-6,
        "attention_dropout": 0.0,
        "use_cache": True,
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }


def _flat_config(model_type: str, architecture: str, vision: dict[str, Any], shape: TinyShape) -> dict[str, Any]:
    """A configuration as Qwen2-VL and Qwen2.5-VL have it on the hub: the text decoder's keys on the top level."""
    half = shape.hidden // shape.heads // 2
    return {
        **_text_config(shape),
        **_image_ids(),
        "architectures": [architecture],
        "model_type": model_type,
        "use_sliding_window": False,
        "sliding_window": None,
        "max_window_layers": 80,
        "rope_theta": 10000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": _sections(half)},
        "vision_config": vision,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def _sections(half: int) -> list[int]:
    """Rotary frequencies for time, height and width, together half a head's size."""
    side = half * 3 // 8
    return [half - 2 * side, side, side]


def _image_ids() -> dict[str, int]:
    ids = special_ids()
    return {
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
    }


def _image_processor(kind: str, processor: str, patch: int, shape: TinyShape) -> dict[str, Any]:
    return {
        "image_processor_type": kind,
        "processor_class": processor,
        "size": {"shortest_edge": shape.min_pixels, "longest_edge": shape.max_pixels},
        "min_pixels": shape.min_pixels,
        "max_pixels": shape.max_pixels,
        "patch_size": patch,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }


def _write(folder: Path, config: dict[str, Any], image_processor: dict[str, Any], shape: TinyShape) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, image_processor["processor_class"])
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", image_processor)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    ids = special_ids()
    generation = {"do_sample": False, "eos_token_id": [ids["<|im_end|>"]], "pad_token_id": ids["<|endoftext|>"]}
    with quiet_transformers():
        loaded = transformers.AutoConfig.from_pretrained(folder)
        with torch.random.fork_rng():
            torch.manual_seed(shape.seed)
            model = transformers.AutoModelForImageTextToText.from_config(loaded, dtype=torch.float32)
            _make_peaked(model, shape)
        model.save_pretrained(folder)
    _write_json(folder / "config.json", config)
    _write_json(folder / "generation_config.json", generation)
    return folder


@torch.no_grad()
def _make_peaked(model: torch.nn.Module, shape: TinyShape) -> None:
    """Scale query and key projections of the text decoder, and give biases and norms some spread."""
    for name, weight in model.named_parameters():
        if "visual" in name:
            continue
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weight.mul_(shape.peaked)
        elif name.endswith(("q_norm.weight", "k_norm.weight")):
            weight.mul_(shape.peaked_norms)
        elif name.endswith(("q_proj.bias", "k_proj.bias")):
            weight.normal_(0.0, 0.5)


def _write_json(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
