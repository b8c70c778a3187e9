"""Tiny encoders that fill masked words: BERT, RoBERTa, DistilBERT, ModernBERT, ALBERT and a Japanese BERT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.testing.families.checkpoint_files import PEAKED, write_json
from attnviz_video.testing.tiny_tokenizer import tiny_tokenizer

HIDDEN, LAYERS, HEADS = 64, 3, 4
_BERT_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_WORDS = (
    "the", "cat", "sat", "on", "mat", "dog", "chased", "and", "it", "was", "tired", "slept", "a", "red", "circle", "is",
    "left", "of", "blue", "square", "she", "he", "runs", "fast", "dogs", "like", "to", "chase", "cats", "they", "are",
)  # fmt: skip
_ENDINGS = ("##s", "##ing", "##ed", "##n", "##g")
_JAPANESE = ("今日", "東", "天", "は", "が", "い", "です", "猫", "を", "見", "走", "と", "に", "の")
_JAPANESE_ENDINGS = ("##る", "##た", "##京", "##気", "##い", "##日", "##です", "##が")
#: Names of the projections that make queries and keys.
_PEAKED_NAMES = (
    ".query.weight", ".key.weight", "q_lin.weight", "k_lin.weight", "query_proj.weight", "key_proj.weight",
)  # fmt: skip


def build_bert(folder: Path, *, head: bool = True, context: int = 128) -> Path:
    """A tiny BERT in `folder`; without `head` it is a plain encoder, as sentence models are stored."""
    tokens = word_pieces(_WORDS, _ENDINGS)
    config = _config("bert", tokens, "BertForMaskedLM" if head else "BertModel", context) | {"type_vocab_size": 2}
    return write_encoder(folder, config, _bert_tokenizer(tokens, lowercase=True), _bert_names())


def build_japanese_bert(folder: Path) -> Path:
    """A tiny BERT of Japanese word pieces."""
    tokens = word_pieces(_JAPANESE, _JAPANESE_ENDINGS)
    config = _config("bert", tokens, "BertForMaskedLM", 128) | {"type_vocab_size": 2}
    made = _bert_tokenizer(tokens, lowercase=False)
    # In place of a dictionary of words: runs of one script.
    runs = Regex(r"\p{Han}+|\p{Hiragana}+|\p{Katakana}+|[^\p{Han}\p{Hiragana}\p{Katakana}]+")
    made.pre_tokenizer = pre_tokenizers.Split(runs, "isolated")
    return write_encoder(folder, config, made, _bert_names())


def build_distilbert(folder: Path) -> Path:
    """A tiny DistilBERT, whose layers do not know their number."""
    tokens = word_pieces(_WORDS, _ENDINGS)
    config = {
        "model_type": "distilbert", "architectures": ["DistilBertForMaskedLM"], "vocab_size": len(tokens),
        "dim": HIDDEN, "hidden_dim": 2 * HIDDEN, "n_layers": LAYERS, "n_heads": HEADS, "max_position_embeddings": 128,
        "pad_token_id": 0, "dropout": 0.0, "attention_dropout": 0.0,
    }  # fmt: skip
    return write_encoder(folder, config, _bert_tokenizer(tokens, lowercase=True), _bert_names(types=False))


def build_albert(folder: Path) -> Path:
    """A tiny ALBERT: one layer's weights run several times, so that its attention is not told apart by its module."""
    tokens = word_pieces(_WORDS, _ENDINGS)
    config = _config("albert", tokens, "AlbertForMaskedLM", 128) | {"embedding_size": 32, "type_vocab_size": 2}
    return write_encoder(folder, config, _bert_tokenizer(tokens, lowercase=True), _bert_names())


def build_modernbert(folder: Path) -> Path:
    """A tiny ModernBERT: the first layer sees everything, the others a window."""
    tokens = word_pieces(_WORDS, _ENDINGS)
    config = _config("modernbert", tokens, "ModernBertForMaskedLM", 128) | {
        "global_attn_every_n_layers": 3, "local_attention": 8, "cls_token_id": 2, "sep_token_id": 3,
        "bos_token_id": 2, "eos_token_id": 3,
    }  # fmt: skip
    return write_encoder(folder, config, _bert_tokenizer(tokens, lowercase=True), _bert_names(types=False))


def build_roberta(folder: Path) -> Path:
    """A tiny RoBERTa: byte-level pieces, no sentence kinds, two separators between sentences."""
    made = Tokenizer.from_str(tiny_tokenizer().to_str())
    made.add_special_tokens(list(_ROBERTA_TOKENS))
    ids = {token: made.get_vocab()[token] for token in _ROBERTA_TOKENS}
    made.post_processor = processors.RobertaProcessing(
        ("</s>", ids["</s>"]), ("<s>", ids["<s>"]), trim_offsets=False, add_prefix_space=False
    )
    size = made.get_vocab_size()
    config = _config("roberta", range(size), "RobertaForMaskedLM", 130) | {
        "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": ids["<s>"], "eos_token_id": ids["</s>"],
    }  # fmt: skip
    names = {
        "cls_token": "<s>", "sep_token": "</s>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
        "pad_token": "<pad>", "mask_token": "<mask>", "model_input_names": ["input_ids", "attention_mask"],
    }  # fmt: skip
    return write_encoder(folder, config, made, names)


def word_pieces(words: Sequence[str], endings: Sequence[str]) -> list[str]:
    """A vocabulary of word pieces: special tokens, letters alone and as endings, words, endings."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    marks = [*".,!?'-"]
    return list(dict.fromkeys([*_BERT_TOKENS, *marks, *letters, *(f"##{one}" for one in letters), *words, *endings]))


def _bert_tokenizer(tokens: Sequence[str], *, lowercase: bool) -> Tokenizer:
    made = Tokenizer(WordPiece({token: number for number, token in enumerate(tokens)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=lowercase, handle_chinese_chars=lowercase)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece(prefix="##")
    made.add_special_tokens(list(_BERT_TOKENS))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def _bert_names(*, types: bool = True) -> dict[str, Any]:
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return {
        "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]", "pad_token": "[PAD]", "mask_token": "[MASK]",
        "model_input_names": inputs if types else [inputs[0], inputs[2]],
    }  # fmt: skip


def _config(model_type: str, tokens: Sequence[Any], architecture: str, context: int) -> dict[str, Any]:
    return {
        "model_type": model_type, "architectures": [architecture], "vocab_size": len(tokens), "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
        "max_position_embeddings": context, "hidden_act": "gelu", "pad_token_id": 0,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip


def write_encoder(folder: Path, config: dict[str, Any], tokenizer: Tokenizer, names: dict[str, Any]) -> Path:
    """Write an encoder's checkpoint to `folder` and return the folder; the same in every run."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **names}
    write_json(folder / "tokenizer_config.json", {**settings, "model_max_length": 4096})
    write_json(folder / "config.json", config)
    with quiet_transformers():
        own = transformers.AutoConfig.from_pretrained(folder)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            headed = config["architectures"][0].endswith("ForMaskedLM")
            auto = transformers.AutoModelForMaskedLM if headed else transformers.AutoModel
            model = auto.from_config(own, dtype=torch.float32)
            _make_peaked(model)
        model.save_pretrained(folder)
    write_json(folder / "config.json", config)
    return folder


@torch.no_grad()
def _make_peaked(model: torch.nn.Module) -> None:
    """Peaked attention and words that differ: a fresh encoder attends evenly, which would hide mistakes."""
    for name, weight in model.named_parameters():
        if name.endswith(_PEAKED_NAMES):
            weight.mul_(PEAKED)
        elif name.endswith("Wqkv.weight"):
            weight[: 2 * HIDDEN].mul_(PEAKED)
        elif "embeddings" in name and name.endswith("embeddings.weight"):
            weight.mul_(10.0)
