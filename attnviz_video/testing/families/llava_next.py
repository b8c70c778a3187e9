"""Tiny LLaVA-NeXT: a CLIP tower that sees the whole image and tiles of 56 x 56 pixels, 4 x 4 patches each."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<unk>", "<s>", "</s>", "<pad>", "<image>")
_SIDE, _PATCH = 56, 14
#: Resolutions (height, width) as on the hub, for tiles of 56 instead of 336 pixels.
_PINPOINTS = [[56, 112], [112, 56], [112, 112], [168, 56], [56, 168]]


def build_llava_next(folder: Path) -> Path:
    """A tiny LLaVA-NeXT (LLaVA-1.6) checkpoint in `folder`."""
    config = {
        "architectures": ["LlavaNextForConditionalGeneration"],
        "model_type": "llava_next",
        "image_grid_pinpoints": _PINPOINTS,
        "image_token_index": token_ids(_TOKENS)["<image>"],
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "use_image_newline_parameter": True,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("mistral", _TOKENS, sliding_window=None),
        "vision_config": vision_config("clip_vision_model", _SIDE, _PATCH, projection_dim=32),
    }
    image_processor = {
        "image_processor_type": "LlavaNextImageProcessor",
        "processor_class": "LlavaNextProcessor",
        "image_grid_pinpoints": _PINPOINTS,
        "size": {"shortest_edge": _SIDE},
        "crop_size": {"height": _SIDE, "width": _SIDE},
        "do_resize": True,
        "do_center_crop": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": True,
        "do_convert_rgb": True,
        "image_mean": HALF,
        "image_std": HALF,
        "resample": 3,
    }
    processor = {
        "processor_class": "LlavaNextProcessor",
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
            chat_template=chat_template("<image>\n", turn="[INST] ", end=" [/INST]", reply=""),
            tokens=_TOKENS,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="<pad>",
        ),
    )
