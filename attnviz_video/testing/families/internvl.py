"""Tiny InternVL (in transformers' own form, `-hf`): tiles of 56 x 56 pixels, 4 x 4 tokens each, up to six."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
_SIDE, _PATCH, _TOKENS_PER_TILE = 56, 7, 16


def build_internvl(folder: Path) -> Path:
    """A tiny InternVL checkpoint in `folder`."""
    vision = vision_config("internvl_vision", _SIDE, _PATCH, attention_bias=True, norm_type="layer_norm")
    config = {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "downsample_ratio": 0.5,
        "image_seq_length": _TOKENS_PER_TILE,
        "image_token_id": token_ids(_TOKENS)["<IMG_CONTEXT>"],
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("qwen2", _TOKENS),
        "vision_config": {**vision, "image_size": [_SIDE, _SIDE], "patch_size": [_PATCH, _PATCH]},
    }
    image_processor = {
        "image_processor_type": "GotOcr2ImageProcessorFast",
        "processor_class": "InternVLProcessor",
        "crop_to_patches": False,
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
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor={"processor_class": "InternVLProcessor", "image_seq_length": _TOKENS_PER_TILE},
            chat_template=chat_template(
                "<IMG_CONTEXT>\n", turn="<|im_start|>user\n", end="<|im_end|>\n", reply="<|im_start|>assistant\n"
            ),
            tokens=_TOKENS,
            named_tokens={
                "start_image_token": "<img>",
                "end_image_token": "</img>",
                "context_image_token": "<IMG_CONTEXT>",
                "video_token": "<video>",
            },
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
        ),
    )
