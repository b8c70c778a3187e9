"""Tiny Gemma 4: images of their own aspect, pooled patches; sliding and full layers that differ in their heads.

The last layers share the keys of earlier ones.
"""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import (
    CheckpointFiles,
    token_ids,
    vocabulary_size,
    write_checkpoint,
)
from attnviz_video.testing.families.parts import chat_template, text_config

_TOKENS = (
    "<pad>", "<eos>", "<bos>", "<|image>", "<image|>", "<|image|>", "<|audio>", "<audio|>", "<|audio|>", "<turn|>",
    "<|video|>",
)  # fmt: skip
_PATCH, _POOL, _MOST_TOKENS = 8, 2, 70
#: Shorter than any prompt, so that sliding layers drop their first keys.
WINDOW = 16


def build_gemma4(folder: Path) -> Path:
    """A tiny Gemma 4 checkpoint in `folder`: at most 70 tokens per image, each 2 x 2 patches of 8 pixels."""
    ids = token_ids(_TOKENS)
    text = text_config(
        "gemma4_text",
        _TOKENS,
        num_hidden_layers=6,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
        num_kv_shared_layers=2,
        sliding_window=WINDOW,
        global_head_dim=32,
        num_global_key_value_heads=1,
        attention_k_eq_v=True,
        hidden_activation="gelu_pytorch_tanh",
        hidden_size_per_layer_input=16,
        vocab_size_per_layer_input=vocabulary_size(_TOKENS),
        use_bidirectional_attention="vision",
    )
    del text["rope_theta"]
    config = {
        "architectures": ["Gemma4ForConditionalGeneration"],
        "model_type": "gemma4",
        "image_token_id": ids["<|image|>"],
        "boi_token_id": ids["<|image>"],
        "eoi_token_id": ids["<image|>"],
        "video_token_id": ids["<|video|>"],
        "audio_token_id": ids["<|audio|>"],
        "boa_token_id": ids["<|audio>"],
        "eoa_token_index": ids["<audio|>"],
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "text_config": text,
        "vision_config": {
            "model_type": "gemma4_vision",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 16,
            "patch_size": _PATCH,
            "pooling_kernel_size": _POOL,
            "position_embedding_size": 256,
        },
        "audio_config": None,
    }
    image_processor = {
        "image_processor_type": "Gemma4ImageProcessor",
        "processor_class": "Gemma4Processor",
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": False,
        "do_convert_rgb": True,
        "patch_size": _PATCH,
        "pooling_kernel_size": _POOL,
        "max_soft_tokens": _MOST_TOKENS,
        "resample": 3,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor=image_processor,
            processor={"processor_class": "Gemma4Processor", "image_seq_length": _MOST_TOKENS},
            chat_template=chat_template(
                "<|image|>", start="{{ bos_token }}", turn="user\n", end="<turn|>\n", reply="model\n"
            ),
            tokens=_TOKENS,
            named_tokens={
                "boi_token": "<|image>",
                "eoi_token": "<image|>",
                "image_token": "<|image|>",
                "boa_token": "<|audio>",
                "eoa_token": "<audio|>",
                "audio_token": "<|audio|>",
            },
            bos_token="<bos>",
            eos_token="<turn|>",
            pad_token="<pad>",
            # Scores are not divided by the square root of the head's size here.
            peaked_norms=1.0,
        ),
    )
