"""Word pieces as text: the mark goes, characters stay whole, spaces stand where the script has them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders
from tokenizers.models import Unigram, WordPiece

from attnviz_video.core.tokens import Token
from attnviz_video.core.units import display_units
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.token_text import TokenText
from attnviz_video.models.word_pieces import needs_space, word_piece_prefix

VOCABULARY = [
    "[UNK]", "[CLS]", "[SEP]", "the", "sleep", "##ing", "cat", "don", "'", "t", ".", "(", ")", "1", "%",
    "今日", "は", "東", "##京", "BERT", "ー", "##ル", "。", "안녕", "세계", "ไทย", "$$go", "##e", "##s",
]  # fmt: skip


def word_pieces(prefix: str = "##") -> Any:
    backend = Tokenizer(WordPiece({name: number for number, name in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    backend.model.continuing_subword_prefix = prefix
    backend.decoder = decoders.WordPiece(prefix=prefix)
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]", cls_token="[CLS]")
    made.add_special_tokens({"sep_token": "[SEP]"})
    return made


def pieces(names: str, tokenizer: Any = None) -> list[str]:
    found = TokenText(tokenizer or word_pieces()).describe([VOCABULARY.index(name) for name in names.split()])
    return [token.piece for token in found]


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("[CLS] the cat sleep ##ing . [SEP]", "[CLS] the cat sleeping.[SEP]"),
        ("don ' t sleep ( the cat ) .", "don't sleep (the cat)."),
        ("1 % 1", "1% 1"),
        ("今日 は 東 ##京 。", "今日は東京。"),
        ("BERT ー ##ル は the cat", "BERTールはthe cat"),
        ("안녕 세계", "안녕 세계"),
        ("ไทย ไทย", "ไทยไทย"),
    ],
)
def test_pieces_joined_are_the_text(names: str, text: str) -> None:
    assert "".join(pieces(names)) == text


def test_every_token_is_whole_characters_of_its_own() -> None:
    assert pieces("今日 は 東 ##京") == ["今日", "は", "東", "京"]
    found = TokenText(word_pieces()).describe([VOCABULARY.index(name) for name in ("東", "##京", "the")])
    assert [token.raw.decode() for token in found] == ["東", "京", "the"]


def test_a_piece_that_goes_on_no_word_keeps_its_mark() -> None:
    """A candidate for a mask is such a piece: it would go on the word before the mask."""
    assert pieces("##ing the") == ["##ing", " the"]
    assert pieces("[CLS] ##ing") == ["[CLS]", "##ing"]


def test_unknown_words_are_shown_as_what_the_model_read() -> None:
    assert pieces("the [UNK] cat")[1:] == ["[UNK]", " cat"]


def test_another_mark() -> None:
    assert "".join(pieces("the $$go", word_pieces("$$"))) == "thego"


def test_tokenizers_of_word_pieces_are_told_from_others() -> None:
    assert word_piece_prefix(word_pieces()) == "##"
    assert word_piece_prefix(SimpleNamespace(subword_tokenizer_type="character")) == "##"
    assert word_piece_prefix(SimpleNamespace(wordpiece_tokenizer=None)) == "##"
    assert word_piece_prefix(SimpleNamespace(subword_tokenizer_type="sentencepiece")) is None
    assert word_piece_prefix(SimpleNamespace(backend_tokenizer=Tokenizer(Unigram()))) is None


def test_spaces() -> None:
    assert needs_space("a", "b")
    assert not any(
        needs_space(*pair) for pair in (("", "a"), ("a", ""), ("a", ","), ("(", "a"), ("は", "a"), ("a", "東"))
    )


def test_a_character_in_bytes_is_shown_whole() -> None:
    """Byte fallback, as in tokenizers of the SentencePiece kind: 龘 is three tokens, and one box."""
    entries = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "今日", "は"]
    backend = Tokenizer(Unigram([(name, -1.0) for name in entries], unk_id=0, byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    ids = [entries.index("今日"), *(1 + byte for byte in "龘".encode()), entries.index("は")]
    described = TokenText(tokenizer).describe(ids)
    assert [token.piece for token in described] == ["今日", "", "", "龘", "は"]
    tokens = [
        Token(number, ids[number], token.raw, token.piece, "user", "text") for number, token in enumerate(described)
    ]
    assert [(unit.first, unit.stop, unit.text) for unit in display_units(tokens)] == [
        (0, 1, "今日"), (1, 4, "龘"), (4, 5, "は"),
    ]  # fmt: skip
