"""Tiny text decoders without a processor: Qwen2 with a chat template, Llama and GPT-2 as base models without one."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing.families.checkpoint_files import (
    CheckpointFiles,
    token_ids,
    vocabulary_size,
    write_checkpoint,
)
from attnviz_video.testing.families.parts import text_config

_QWEN_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_LLAMA_TOKENS = ("<unk>", "<s>", "</s>")
#: Takes plain strings, as templates of text models do.
_CHAT = (
    "{%- for message in messages -%}<|im_start|>{{ message['role'] }}\n{{ message['content'] + '<|im_end|>\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}<|im_start|>assistant\n{% endif -%}"
)


def build_qwen2(folder: Path) -> Path:
    """A tiny Qwen2 checkpoint in `folder`."""
    ids = token_ids(_QWEN_TOKENS)
    config = text_config("qwen2", _QWEN_TOKENS) | {
        "architectures": ["Qwen2ForCausalLM"],
        "eos_token_id": ids["<|im_end|>"],
        "bos_token_id": None,
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor={},
            chat_template=_CHAT,
            tokens=_QWEN_TOKENS,
            eos_token="<|im_end|>",
            pad_token="<|endoftext|>",
        ),
    )


def build_llama(folder: Path) -> Path:
    """A tiny Llama base checkpoint in `folder`, which has no chat template."""
    ids = token_ids(_LLAMA_TOKENS)
    config = text_config("llama", _LLAMA_TOKENS) | {
        "architectures": ["LlamaForCausalLM"],
        "eos_token_id": ids["</s>"],
        "bos_token_id": ids["<s>"],
    }
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor={},
            chat_template="",
            tokens=_LLAMA_TOKENS,
            bos_token="<s>",
            eos_token="</s>",
            pad_token="</s>",
        ),
    )


def build_gpt2(folder: Path) -> Path:
    """A tiny GPT-2 in `folder`: one projection for queries, keys and values, learned positions, one special token."""
    tokens = ("<|endoftext|>",)
    (end,) = token_ids(tokens).values()
    config = {
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": vocabulary_size(tokens),
        "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 512, "bos_token_id": end, "eos_token_id": end,
        "attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "torch_dtype": "float32",
    }  # fmt: skip
    return write_checkpoint(
        folder,
        CheckpointFiles(
            config=config,
            image_processor={},
            chat_template="",
            tokens=tokens,
            bos_token="<|endoftext|>",
            eos_token="<|endoftext|>",
            pad_token="<|endoftext|>",
        ),
    )
