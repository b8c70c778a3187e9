"""The demo model's tokenizer: Qwen2's byte-level BPE with a small vocabulary, trained on the words of the task.

Every word that frames show often ("red", "circle", "top", 红色) is one token, so a picture of the trace is readable;
other text falls back to shorter pieces and bytes, so any prompt can be encoded. The training text is a list of words,
not running text: pieces never grow across word boundaries, which matters for Chinese, where Qwen's pre-tokenizer keeps
a whole clause together.
"""

from __future__ import annotations

import json
from pathlib import Path

from demo_questions import CHINESE_COLORS, CHINESE_PLACES, CHINESE_SHAPES, COL_NAMES, ROW_NAMES
from demo_scenes import COLOR_NAMES, SHAPES
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerBase, Qwen2TokenizerFast

VOCAB_SIZE = 704
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_QWEN_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_TASK_TEXT = (
    " a an at is are the there then nothing none in to of or left right above below color shape object objects many "
    "What Where Which How Is Count Describe At There image moved changed removed was did move Output thinking process "
    "and final answer tags number Based on following requirements question"
)
_TASK_WORDS = tuple(_TASK_TEXT.split())
_PIECES = ("<think", "think", " </", "</", " <", ">", "answer", "<answer", " (", "\n", ".", ",", "?", "user", "system")
_ASSISTANT_WORDS = ("assistant", "You", " helpful", " assistant")
_CHINESE_TEXT = (
    "是 的 物体 什么 哪里 哪个 颜色 形状 有几个 一共 在 移动了 变了 不见了 移到了 没有 之后 描述这张图 。 ， ？ 、"
)
_COMMON_TEXT = (
    " it for you with that this not be have from by one all can your if use out up do but they will so see time into "
    "has her two like him make number people over know water than call first who may down side been now find any new "
    "work part take get place made live after back little only round man year came show every good me give our under "
    "name very just form sentence great think say help low line before turn cause same mean differ right picture "
    "describe step look please between both second scene"
)


def task_words() -> list[str]:
    """Words that must be single tokens: with a leading space, and without one where a sentence can start with them."""
    words = [f" {word}" for word in _TASK_WORDS if not word[0].isupper() or word in ("Output", "Based")]
    words += [word for word in _TASK_WORDS if word[0].isupper() and word != "There"]
    words += [f" {word}" for word in ("At", *COLOR_NAMES, *SHAPES, *(f"{s}s" for s in SHAPES), *ROW_NAMES, *COL_NAMES)]
    words += [*_PIECES, *_ASSISTANT_WORDS, *_CHINESE_TEXT.split()]
    words += [*CHINESE_COLORS.values(), *CHINESE_SHAPES.values(), *CHINESE_PLACES]
    return list(dict.fromkeys(words))


def _blank() -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _train() -> Tokenizer:
    """Train the merges: task words count a thousand times as much as common English."""
    tokenizer = _blank()
    trainer = BpeTrainer(
        vocab_size=VOCAB_SIZE - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=1,
    )
    text = task_words() * 1000 + [f" {word}" for word in _COMMON_TEXT.split()]
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


def save_tokenizer(folder: Path) -> None:
    """Write tokenizer.json, vocab.json, merges.txt and tokenizer_config.json, readable by transformers 4.57 and 5."""
    model = json.loads(_train().to_str())["model"]
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in model["merges"]]
    tokenizer = _blank()
    tokenizer.model = BPE(vocab=model["vocab"], merges=merges)
    tokenizer.add_special_tokens(list(SPECIAL_TOKENS))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(tokenizer.token_to_id(token)): {
                "content": token,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for token in SPECIAL_TOKENS
        },
        "additional_special_tokens": list(SPECIAL_TOKENS[1:]),
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "processor_class": "Qwen2VLProcessor",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The saved tokenizer as transformers loads it."""
    return Qwen2TokenizerFast.from_pretrained(folder)
