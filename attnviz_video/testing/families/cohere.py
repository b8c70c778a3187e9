"""Tiny Aya Vision and Cohere2 Vision: tiles of 56 x 56 pixels, 4 x 4 tokens; two of three layers have a window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TURNS = ("<PAD>", "<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>")
_IMAGE = ("<image>", "<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_LINE_BREAK|>")
_COHERE = (*_TURNS, *_IMAGE)
_AYA = (*_COHERE, "<|IMG_PATCH|>", "TILE", "TILE_GLOBAL", *(f"TILE_{number}" for number in range(1, 7)))
_SIDE, _PATCH, _PER_SIDE = 56, 7, 4
_TEMPLATE = chat_template(
    "<image>",
    start="<BOS_TOKEN>",
    turn="<|START_OF_TURN_TOKEN|>USER: ",
    end="<|END_OF_TURN_TOKEN|>",
    reply="<|START_OF_TURN_TOKEN|>CHATBOT: ",
)


def build_aya_vision(folder: Path) -> Path:
    """A tiny Aya Vision checkpoint in `folder`."""
    config = {
        "architectures": ["AyaVisionForConditionalGeneration"],
        "model_type": "aya_vision",
        "image_token_index": token_ids(_AYA)["<|IMG_PATCH|>"],
        "alignment_intermediate_size": 64,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        **_shared_config(_AYA),
    }
    processor = {
        "processor_class": "AyaVisionProcessor",
        "image_token": "<image>",
        "img_size": _SIDE,
        "patch_size": _PATCH,
        "downsample_factor": 2,
    }
    image_processor = _image_processor("GotOcr2ImageProcessor", "AyaVisionProcessor")
    return write_checkpoint(folder, _files(_AYA, config, image_processor, processor))


def build_cohere2_vision(folder: Path) -> Path:
    """A tiny Cohere2 Vision checkpoint in `folder`; its image processor exists for torchvision only."""
    config = {
        "architectures": ["Cohere2VisionForConditionalGeneration"],
        "model_type": "cohere2_vision",
        "image_token_id": token_ids(_COHERE)["<image>"],
        "alignment_intermediate_size": 64,
        **_shared_config(_COHERE),
    }
    image_processor = _image_processor("Cohere2VisionImageProcessorFast", "Cohere2VisionProcessor")
    # Named so on the hub: tokens per side of a tile.
    image_processor["patch_size"] = _PER_SIDE
    return write_checkpoint(
        folder, _files(_COHERE, config, image_processor, {"processor_class": "Cohere2VisionProcessor"})
    )


def _shared_config(tokens: tuple[str, ...]) -> dict[str, Any]:
    kinds = ["sliding_attention", "sliding_attention", "full_attention"]
    return {
        "downsample_factor": 2,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "text_config": text_config(
            "cohere2", tokens, sliding_window=24, layer_types=kinds, layer_norm_eps=1e-5, tie_word_embeddings=True
        ),
        "vision_config": vision_config("siglip_vision_model", _SIDE, _PATCH, vision_use_head=False),
    }


def _image_processor(kind: str, processor: str) -> dict[str, Any]:
    return {
        "image_processor_type": kind,
        "processor_class": processor,
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": 6,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "image_mean": HALF,
        "image_std": HALF,
        "resample": 3,
    }


def _files(
    tokens: tuple[str, ...], config: dict[str, Any], image_processor: dict[str, Any], processor: dict[str, Any]
) -> CheckpointFiles:
    return CheckpointFiles(
        config=config,
        image_processor=image_processor,
        processor=processor,
        chat_template=_TEMPLATE,
        tokens=tokens,
        named_tokens={
            "image_token": "<image>",
            "boi_token": "<|START_OF_IMG|>",
            "eoi_token": "<|END_OF_IMG|>",
            "img_line_break_token": "<|IMG_LINE_BREAK|>",
        },
        bos_token="<BOS_TOKEN>",
        eos_token="<|END_OF_TURN_TOKEN|>",
        pad_token="<PAD>",
    )
