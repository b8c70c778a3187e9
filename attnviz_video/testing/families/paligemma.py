"""Tiny PaliGemma: a base model without a chat template, whose image and question attend to all of themselves."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, HIDDEN, text_config, vision_config

_TOKENS = ("<pad>", "<eos>", "<bos>", "<image>")
_SIDE, _PATCH = 84, 14
#: The processor adds location and segmentation tokens of its own.
_ADDED = 1024 + 128


def build_paligemma(folder: Path) -> Path:
    """A tiny PaliGemma checkpoint in `folder`: images of 84 x 84 pixels, 6 x 6 patches."""
    ids = token_ids(_TOKENS)
    text = text_config("gemma", _TOKENS, hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh")
    text["vocab_size"] += _ADDED
    n_patches = (_SIDE // _PATCH) ** 2
    config = {
        "architectures": ["PaliGemmaForConditionalGeneration"],
        "model_type": "paligemma",
        "image_token_index": ids["<image>"],
        "bos_token_id": ids["<bos>"],
        "eos_token_id": ids["<eos>"],
        "pad_token_id": ids["<pad>"],
        "hidden_size": HIDDEN,
        "projection_dim": HIDDEN,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": vision_config("siglip_vision_model", _SIDE, _PATCH, vision_use_head=False),
    }
    image_processor = {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "PaliGemmaProcessor",
        "do_resize": True,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "image_seq_length": n_patches,
        "do_convert_rgb": None,
        "resample": 3,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            chat_template="",
            tokens=_TOKENS,
            named_tokens={"image_token": "<image>"},
            bos_token="<bos>",
            eos_token="<eos>",
            pad_token="<pad>",
        ),
    )
