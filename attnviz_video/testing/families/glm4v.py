"""Tiny GLM-4V: images of their own aspect, positions in time, height and width."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, HIDDEN, chat_template, text_config

_TOKENS = (
    "<|endoftext|>", "<|user|>", "<|assistant|>", "<|begin_of_image|>", "<|end_of_image|>", "<|image|>",
    "<|begin_of_video|>", "<|end_of_video|>", "<|video|>", "[gMASK]",
)  # fmt: skip
_PATCH, _MERGE = 14, 2


def build_glm4v(folder: Path) -> Path:
    """A tiny GLM-4V checkpoint in `folder`: patches of 14 pixels merged 2 x 2."""
    ids = token_ids(_TOKENS)
    text = text_config(
        "glm4v_text",
        _TOKENS,
        partial_rotary_factor=0.5,
        rope_scaling={"rope_type": "default", "mrope_section": [2, 1, 1]},
    )
    config = {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "image_token_id": ids["<|image|>"],
        "video_token_id": ids["<|video|>"],
        "image_start_token_id": ids["<|begin_of_image|>"],
        "image_end_token_id": ids["<|end_of_image|>"],
        "video_start_token_id": ids["<|begin_of_video|>"],
        "video_end_token_id": ids["<|end_of_video|>"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": {
            "model_type": "glm4v_vision",
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": HIDDEN,
            "image_size": 112,
            "patch_size": _PATCH,
            "spatial_merge_size": _MERGE,
            "temporal_patch_size": 2,
        },
    }
    image_processor = {
        "image_processor_type": "Glm4vImageProcessor",
        "processor_class": "Glm4vProcessor",
        "size": {"shortest_edge": 56 * 56, "longest_edge": 224 * 224 * 2},
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
                "<|begin_of_image|><|image|><|end_of_image|>",
                start="[gMASK]",
                turn="<|user|>\n",
                end="",
                reply="<|assistant|>\n",
            ),
            tokens=_TOKENS,
            eos_token="<|user|>",
            pad_token="<|endoftext|>",
        ),
    )
