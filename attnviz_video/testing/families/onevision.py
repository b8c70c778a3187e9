"""Tiny LLaVA-OneVision: a SigLIP tower whose side, 60 pixels, is no whole number of its patches of 14.

As with the original's 384 pixels, a strip at the right and the bottom of every tile is not seen. Of a single image, two
tiles' features are kept (`anyres_max_2`), so that wide images are shrunk and less wide ones are not.
"""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>", "<video>")
_SIDE, _PATCH = 60, 14
_PINPOINTS = [[60, 60], [60, 120], [60, 180], [120, 60], [120, 120], [180, 60]]


def build_onevision(folder: Path) -> Path:
    """A tiny LLaVA-OneVision checkpoint in `folder`."""
    ids = token_ids(_TOKENS)
    config = {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "model_type": "llava_onevision",
        "image_grid_pinpoints": _PINPOINTS,
        "image_token_index": ids["<image>"],
        "video_token_index": ids["<video>"],
        "projector_hidden_act": "gelu",
        "vision_aspect_ratio": "anyres_max_2",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("qwen2", _TOKENS),
        "vision_config": vision_config("siglip_vision_model", _SIDE, _PATCH, vision_use_head=False),
    }
    image_processor = {
        "image_processor_type": "LlavaOnevisionImageProcessor",
        "processor_class": "LlavaOnevisionProcessor",
        "image_grid_pinpoints": _PINPOINTS,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": True,
        "do_convert_rgb": True,
        "image_mean": HALF,
        "image_std": HALF,
        "resample": 3,
    }
    processor = {
        "processor_class": "LlavaOnevisionProcessor",
        "image_token": "<image>",
        "video_token": "<video>",
        "num_image_tokens": (_SIDE // _PATCH) ** 2,
        "vision_aspect_ratio": "anyres_max_2",
        "vision_feature_select_strategy": "full",
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor=processor,
            chat_template=chat_template(
                "<image>\n", turn="<|im_start|>user ", end="<|im_end|>", reply="<|im_start|>assistant\n"
            ),
            tokens=_TOKENS,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
        ),
    )
