"""Tiny Idefics 3 and SmolVLM: tiles of 56 x 56 pixels, 4 x 4 tokens each, at most three by three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TAGS = tuple(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7))
_TOKENS = (
    "<pad>", "<|begin_of_text|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>", *_TAGS,
)  # fmt: skip
_SIDE, _PATCH, _TOKENS_PER_TILE = 56, 7, 16


def build_idefics3(folder: Path) -> Path:
    """A tiny Idefics 3 checkpoint in `folder`."""
    return _build(folder, "idefics3", "Idefics3", {})


def build_smolvlm(folder: Path) -> Path:
    """A tiny SmolVLM (SmolVLM 2) checkpoint in `folder`."""
    names = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "global_image_token": "<global-img>",
        "end_of_utterance_token": "<end_of_utterance>",
    }
    return _build(folder, "smolvlm", "SmolVLM", names)


def _build(folder: Path, model_type: str, name: str, named_tokens: dict[str, str]) -> Path:
    config = {
        "architectures": [f"{name}ForConditionalGeneration"],
        "model_type": model_type,
        "image_token_id": token_ids(_TOKENS)["<image>"],
        "scale_factor": 2,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text_config("llama", _TOKENS),
        "vision_config": vision_config(f"{model_type}_vision", _SIDE, _PATCH),
    }
    image_processor: dict[str, Any] = {
        "image_processor_type": f"{name}ImageProcessor",
        "processor_class": f"{name}Processor",
        "do_image_splitting": True,
        "size": {"longest_edge": 3 * _SIDE},
        "max_image_size": {"longest_edge": _SIDE},
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_pad": True,
        "do_convert_rgb": True,
        "image_mean": HALF,
        "image_std": HALF,
        "resample": 1,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor={"processor_class": f"{name}Processor", "image_seq_len": _TOKENS_PER_TILE},
            chat_template=chat_template(
                "<image>", start="<|begin_of_text|>", turn="User:", end="<end_of_utterance>\n", reply="Assistant:"
            ),
            tokens=_TOKENS,
            named_tokens=named_tokens,
            bos_token="<|begin_of_text|>",
            eos_token="<end_of_utterance>",
            pad_token="<pad>",
        ),
    )
