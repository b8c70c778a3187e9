"""Tiny Gemma 3: a SigLIP tower pooled to a square of tokens, sliding layers between full ones, image blocks that see
all of themselves."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import CheckpointFiles, token_ids, write_checkpoint
from attnviz_video.testing.families.parts import HALF, chat_template, text_config, vision_config

_TOKENS = ("<pad>", "<eos>", "<bos>", "<start_of_image>", "<end_of_image>", "<image_soft_token>", "<end_of_turn>")
_SIDE, _PATCH, _TOKENS_PER_IMAGE = 112, 14, 16
#: Shorter than any prompt, so that sliding layers drop their first keys.
WINDOW = 16


def build_gemma3(folder: Path) -> Path:
    """A tiny Gemma 3 checkpoint in `folder`: images of 112 x 112 pixels, 8 x 8 patches pooled to 4 x 4 tokens."""
    ids = token_ids(_TOKENS)
    text = text_config(
        "gemma3_text",
        _TOKENS,
        num_hidden_layers=4,
        layer_types=["sliding_attention", "full_attention"] * 2,
        sliding_window=WINDOW,
        query_pre_attn_scalar=16,
        hidden_activation="gelu_pytorch_tanh",
        rope_local_base_freq=10000.0,
    )
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "image_token_index": ids["<image_soft_token>"],
        "boi_token_index": ids["<start_of_image>"],
        "eoi_token_index": ids["<end_of_image>"],
        "mm_tokens_per_image": _TOKENS_PER_IMAGE,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": vision_config("siglip_vision_model", _SIDE, _PATCH, vision_use_head=False),
    }
    image_processor = {
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "do_resize": True,
        "size": {"height": _SIDE, "width": _SIDE},
        "do_rescale": True,
        "do_normalize": True,
        "image_mean": HALF,
        "image_std": HALF,
        "do_convert_rgb": None,
        "do_pan_and_scan": None,
        "image_seq_length": _TOKENS_PER_IMAGE,
        "pan_and_scan_max_num_crops": None,
        "pan_and_scan_min_crop_size": None,
        "pan_and_scan_min_ratio_to_activate": None,
        "resample": 2,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor={"processor_class": "Gemma3Processor", "image_seq_length": _TOKENS_PER_IMAGE},
            chat_template=chat_template(
                "<start_of_image>", start="{{ bos_token }}", turn="user\n", end="<end_of_turn>\n", reply="model\n"
            ),
            tokens=_TOKENS,
            named_tokens={
                "boi_token": "<start_of_image>",
                "eoi_token": "<end_of_image>",
                "image_token": "<image_soft_token>",
            },
            bos_token="<bos>",
            eos_token="<end_of_turn>",
            pad_token="<pad>",
        ),
    )
