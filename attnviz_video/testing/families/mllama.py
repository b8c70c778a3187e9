"""Tiny Mllama (Llama 3.2 Vision): tiles that only the cross-attention layers read."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config

_TOKENS = ("<|begin_of_text|>", "<|eot_id|>", "<|finetune_right_pad_id|>", "<|python_tag|>", "<|image|>")
_SIDE, _PATCH, _TILES = 56, 14, 4
#: Layers of the tiny decoder that read images.
CROSS_LAYERS = (1, 3)


def build_mllama(folder: Path) -> Path:
    """A tiny Mllama checkpoint in `folder`: up to 4 tiles of 56 x 56 pixels, 4 x 4 patches each; cross layers 1, 3."""
    ids = token_ids(_TOKENS)
    text = text_config("mllama_text_model", _TOKENS, num_hidden_layers=5, cross_attention_layers=list(CROSS_LAYERS))
    text |= {
        # The embedding has more rows than the head: the image token is read and never written.
        "vocab_size": ids["<|image|>"],
        "rope_scaling": {"rope_type": "default"},
        "pad_token_id": ids["<|finetune_right_pad_id|>"],
        "bos_token_id": ids["<|begin_of_text|>"],
        "eos_token_id": ids["<|eot_id|>"],
    }
    del text["head_dim"]
    config = {
        "architectures": ["MllamaForConditionalGeneration"],
        "model_type": "mllama",
        "image_token_index": ids["<|image|>"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": {
            "model_type": "mllama_vision_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "num_channels": 3,
            "image_size": _SIDE,
            "patch_size": _PATCH,
            "max_num_tiles": _TILES,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
        },
    }
    image_processor = {
        "image_processor_type": "MllamaImageProcessor",
        "processor_class": "MllamaProcessor",
        "do_resize": True,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_pad": True,
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "do_convert_rgb": True,
        "max_image_tiles": _TILES,
        "resample": 2,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor={"processor_class": "MllamaProcessor"},
            chat_template=chat_template("<|image|>", start="{{ bos_token }}", turn="user\n\n", end="<|eot_id|>"),
            tokens=_TOKENS,
            bos_token="<|begin_of_text|>",
            eos_token="<|eot_id|>",
            pad_token="<|finetune_right_pad_id|>",
        ),
    )
