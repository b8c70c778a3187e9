"""Tiny Pixtral and Mistral 3: a vision tower for images of any aspect, tokens in rows with a break after each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[IMG]", "[IMG_BREAK]", "[IMG_END]")
_LONGEST, _PATCH = 168, 14


def build_pixtral(folder: Path) -> Path:
    """A tiny Pixtral checkpoint in `folder`, which is LLaVA with Pixtral's tower: sides of 168 pixels at most."""
    config = _config("LlavaForConditionalGeneration", "llava") | {
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }
    return _write(folder, config, merge=1)


def build_mistral3(folder: Path) -> Path:
    """A tiny Mistral 3 checkpoint in `folder`: as Pixtral, 2 x 2 patches merged to one token."""
    config = _config("Mistral3ForConditionalGeneration", "mistral3") | {
        "vision_feature_layer": -1,
        "spatial_merge_size": 2,
    }
    return _write(folder, config, merge=2)


def _config(architecture: str, model_type: str) -> dict[str, Any]:
    vision = vision_config("pixtral", _LONGEST, _PATCH, head_dim=16, rope_theta=10000.0)
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "image_token_index": token_ids(_TOKENS)["[IMG]"],
        "projector_hidden_act": "gelu",
        "multimodal_projector_bias": model_type == "llava",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("mistral", _TOKENS, sliding_window=None),
        "vision_config": vision,
    }


def _write(folder: Path, config: dict[str, Any], merge: int) -> Path:
    image_processor = {
        "image_processor_type": "PixtralImageProcessor",
        "processor_class": "PixtralProcessor",
        "do_resize": True,
        "size": {"longest_edge": _LONGEST},
        "patch_size": {"height": _PATCH, "width": _PATCH},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "do_convert_rgb": True,
        "resample": 3,
    }
    processor = {
        "processor_class": "PixtralProcessor",
        "patch_size": _PATCH,
        "spatial_merge_size": merge,
        "image_token": "[IMG]",
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor=processor,
            chat_template=chat_template("[IMG]", start="{{ bos_token }}", turn="[INST]", end="[/INST]", reply=""),
            tokens=_TOKENS,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
        ),
    )
