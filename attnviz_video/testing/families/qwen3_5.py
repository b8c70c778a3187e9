"""Tiny Qwen3.5: layers of linear attention between layers of full attention, images of their own aspect."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, HIDDEN, chat_template, text_config

_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>",
)  # fmt: skip
_PATCH, _MERGE = 14, 2
#: Layers of the tiny decoder that have attention rows.
FULL_LAYERS = (1, 3)


def build_qwen3_5(folder: Path) -> Path:
    """A tiny Qwen3.5 checkpoint in `folder`: patches of 14 pixels merged 2 x 2; layers 1 and 3 of 4 are attention."""
    ids = token_ids(_TOKENS)
    text = text_config(
        "qwen3_5_text",
        _TOKENS,
        num_hidden_layers=4,
        layer_types=["linear_attention", "full_attention"] * 2,
        linear_key_head_dim=8,
        linear_value_head_dim=8,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_interleaved": True,
            "mrope_section": [2, 1, 1],
        },
    )
    del text["rope_theta"]
    config = {
        "architectures": ["Qwen3_5ForConditionalGeneration"],
        "model_type": "qwen3_5",
        "image_token_id": ids["<|image_pad|>"],
        "video_token_id": ids["<|video_pad|>"],
        "vision_start_token_id": ids["<|vision_start|>"],
        "vision_end_token_id": ids["<|vision_end|>"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": {
            "model_type": "qwen3_5_vision",
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "patch_size": _PATCH,
            "spatial_merge_size": _MERGE,
            "temporal_patch_size": 2,
            "num_position_embeddings": 64,
        },
    }
    image_processor = {
        "image_processor_type": "Qwen2VLImageProcessorFast",
        "processor_class": "Qwen3VLProcessor",
        "size": {"shortest_edge": 56 * 56, "longest_edge": 224 * 224},
        "patch_size": _PATCH,
        "temporal_patch_size": 2,
        "merge_size": _MERGE,
        "image_mean": HALF,
        "image_std": HALF,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            chat_template=chat_template(
                "<|vision_start|><|image_pad|><|vision_end|>",
                turn="<|im_start|>user\n",
                end="<|im_end|>\n",
                reply="<|im_start|>assistant\n",
            ),
            tokens=_TOKENS,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
        ),
    )
