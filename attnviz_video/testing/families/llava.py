"""Tiny LLaVA-1.5: a CLIP tower behind a centre crop; and ViP-LLaVA, built alike, as a family that has no rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
_SIDE, _PATCH = 84, 14


def build_llava(folder: Path) -> Path:
    """A tiny LLaVA-1.5 checkpoint in `folder`: 84 x 84 pixels after the crop, 6 x 6 patches."""
    own = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
    }
    return _build(folder, own)


def build_vipllava(folder: Path) -> Path:
    """A tiny ViP-LLaVA checkpoint in `folder`."""
    own = {
        "architectures": ["VipLlavaForConditionalGeneration"],
        "model_type": "vipllava",
        "vision_feature_layer": [-2, -1],
    }
    return _build(folder, own)


def _build(folder: Path, own: dict[str, Any]) -> Path:
    config = {
        **own,
        "image_token_index": token_ids(_TOKENS)["<image>"],
        "projector_hidden_act": "gelu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("llama", _TOKENS),
        "vision_config": vision_config("clip_vision_model", _SIDE, _PATCH, projection_dim=32),
    }
    image_processor = {
        "image_processor_type": "CLIPImageProcessor",
        "processor_class": "LlavaProcessor",
        "do_resize": True,
        "size": {"shortest_edge": _SIDE},
        "do_center_crop": True,
        "crop_size": {"height": _SIDE, "width": _SIDE},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "do_convert_rgb": True,
        "resample": 3,
    }
    processor = {
        "processor_class": "LlavaProcessor",
        "image_token": "<image>",
        "patch_size": _PATCH,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor=processor,
            chat_template=chat_template("<image>\n"),
            tokens=_TOKENS,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
        ),
    )
