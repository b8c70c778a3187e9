"""Tiny text decoders, vision towers and chat templates that several families have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attnviz_video.testing.families.checkpoint_files import vocabulary_size

HIDDEN = 64
#: Mean and spread with which CLIP and SigLIP processors normalise.
HALF = [0.5, 0.5, 0.5]


def text_config(model_type: str, tokens: Sequence[str], **more: Any) -> dict[str, Any]:
    """`text_config` of a decoder with grouped heads: 3 layers, 4 query heads, 2 key-value heads."""
    return {
        "model_type": model_type,
        "vocab_size": vocabulary_size(tokens),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": HIDDEN // 4,
        "max_position_embeddings": 8192,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        **more,
    }


def vision_config(model_type: str, image_size: int, patch_size: int, **more: Any) -> dict[str, Any]:
    """`vision_config` of a small vision transformer: 2 layers, 2 heads."""
    return {
        "model_type": model_type,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_channels": 3,
        "image_size": image_size,
        "patch_size": patch_size,
        "hidden_act": "gelu",
        **more,
    }


def chat_template(
    image: str, *, start: str = "", turn: str = "USER: ", end: str = "\n", reply: str = "ASSISTANT:"
) -> str:
    """A chat template that writes `image` for every image, in the order of the message's parts."""
    return (
        f"{start}{{%- for message in messages -%}}"
        f"{{%- if message['role'] == 'assistant' -%}}{reply} {{%- else -%}}{{{{ {turn!r} }}}}{{%- endif -%}}"
        "{%- if message['content'] is string -%}{{ message['content'] }}{%- else -%}"
        "{%- for part in message['content'] -%}"
        f"{{%- if part['type'] == 'image' -%}}{{{{ {image!r} }}}}"
        "{%- elif 'text' in part -%}{{ part['text'] }}{%- endif -%}"
        f"{{%- endfor -%}}{{%- endif -%}}{{{{ {end!r} }}}}{{%- endfor -%}}"
        f"{{%- if add_generation_prompt -%}}{{{{ {reply!r} }}}}{{%- endif -%}}"
    )
