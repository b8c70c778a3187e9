"""Writes a tiny checkpoint of any family: weights, configuration, tokenizer, processor files, chat template.

A builder names what is particular to its family; the tokenizer is the one of `tiny_tokenizer` with the family's own
special tokens. Everything is then loaded from the files like any other checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer

from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.testing.tiny_tokenizer import tiny_tokenizer

#: Factors on query and key projections, and on their norms: attention of a fresh model is almost uniform and would hide
#: mistakes; weights that are all 0 or 1 would make float32 rounding look like one. Where there are norms, they decide.
PEAKED, PEAKED_NORMS = 12.0, 2.0
#: Factor on what the vision tower's attention adds, so that a patch of the picture moves its own feature most.
LOCAL = 0.1
#: Spread of gates and projections that start at zero, which would keep the image out of the answer.
_OPENED = 0.2
#: Parts of the names of a vision tower's parameters.
_VISION = ("vision", "visual", "image_encoder")
#: Where the attention of a vision tower joins what the patches hold.
_MIXING = ("out_proj.weight", "o_proj.weight", "projection_layer.weight")


@dataclass(frozen=True)
class CheckpointFiles:
    """What a tiny checkpoint consists of besides its weights."""

    #: config.json as it stands on the hub.
    config: dict[str, Any]
    #: preprocessor_config.json; empty for a text decoder, which has none.
    image_processor: dict[str, Any]
    #: chat_template.jinja; empty for base models, which have none.
    chat_template: str
    #: Special tokens, in the order of their ids; see `token_ids`.
    tokens: Sequence[str]
    eos_token: str
    pad_token: str
    bos_token: str | None = None
    #: Names under which the processor asks the tokenizer for tokens, such as `image_token`.
    named_tokens: Mapping[str, str] = field(default_factory=dict)
    #: processor_config.json; empty for none.
    processor: Mapping[str, Any] = field(default_factory=dict)
    #: Further keys of tokenizer_config.json.
    tokenizer: Mapping[str, Any] = field(default_factory=dict)
    #: Weight of the norms of queries and keys.
    peaked_norms: float = PEAKED_NORMS
    seed: int = 0


def token_ids(tokens: Sequence[str]) -> dict[str, int]:
    """Id of every special token of a tokenizer that has `tokens`."""
    vocabulary = _tokenizer(tuple(tokens)).get_vocab()
    return {token: vocabulary[token] for token in tokens}


def vocabulary_size(tokens: Sequence[str]) -> int:
    """Number of tokens of a tokenizer that has `tokens`."""
    size: int = _tokenizer(tuple(tokens)).get_vocab_size()
    return size


@lru_cache(maxsize=64)
def _tokenizer(tokens: tuple[str, ...]) -> Tokenizer:
    made = Tokenizer.from_str(tiny_tokenizer().to_str())
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    return made


def write_checkpoint(folder: Path, files: CheckpointFiles) -> Path:
    """Write the checkpoint to `folder` and return the folder; the same files give the same weights in every run."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_tokenizer(folder, files)
    write_json(folder / "config.json", files.config)
    if files.image_processor:
        write_json(folder / "preprocessor_config.json", files.image_processor)
    if files.processor:
        write_json(folder / "processor_config.json", files.processor)
    if files.chat_template:
        (folder / "chat_template.jinja").write_text(files.chat_template, encoding="utf-8")
    with quiet_transformers():
        config = transformers.AutoConfig.from_pretrained(folder)
        with torch.random.fork_rng():
            torch.manual_seed(files.seed)
            auto = (
                transformers.AutoModelForImageTextToText if files.image_processor else transformers.AutoModelForCausalLM
            )
            model = auto.from_config(config, dtype=torch.float32)
            prepare_weights(model, files.peaked_norms)
        model.save_pretrained(folder)
    write_json(folder / "config.json", files.config)
    ids = token_ids(files.tokens)
    generation = {"do_sample": False, "eos_token_id": ids[files.eos_token], "pad_token_id": ids[files.pad_token]}
    write_json(folder / "generation_config.json", generation)
    return folder


@torch.no_grad()
def prepare_weights(model: torch.nn.Module, peaked_norms: float = PEAKED_NORMS) -> None:
    """Peaked attention in the text decoder, little mixing in the vision tower, no gate that is shut.

    Norms that add 1 to their weight start at zero as well; a spread around zero suits them too.
    """
    for name, weight in model.named_parameters():
        in_vision = any(part in name for part in _VISION)
        if not in_vision and name.endswith(("q_proj.weight", "k_proj.weight")):
            weight.mul_(PEAKED)
        elif not in_vision and name.endswith(("q_norm.weight", "k_norm.weight")):
            # Norms that add 1 to their weight start at 0.
            weight.fill_(peaked_norms if bool(weight.any()) else peaked_norms - 1)
        elif name.endswith("c_attn.weight"):
            # GPT-2 makes queries, keys and values in one projection, whose weights are turned.
            weight[:, : 2 * weight.shape[1] // 3].mul_(PEAKED)
        elif in_vision and ".encoder" in name and name.endswith(_MIXING):
            weight.mul_(LOCAL)
        elif not name.endswith("bias") and not bool(weight.any()):
            weight.normal_(0.0, _OPENED)


def _write_tokenizer(folder: Path, files: CheckpointFiles) -> None:
    made = _tokenizer(tuple(files.tokens))
    made.save(str(folder / "tokenizer.json"))
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": files.bos_token,
        "eos_token": files.eos_token,
        "pad_token": files.pad_token,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 4096,
        "model_input_names": ["input_ids", "attention_mask"],
        "extra_special_tokens": dict(files.named_tokens),
        **files.tokenizer,
    }
    write_json(folder / "tokenizer_config.json", settings)


def write_json(file: Path, value: Mapping[str, Any]) -> None:
    """Write `value` to `file`, readably."""
    file.write_text(json.dumps(dict(value), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
