"""Ids to text: every character with the token that completes it, on both paths (FAMILIES §5, TRAPS T10 to T12)."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from attnviz_video.core.units import display_units
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.token_text import StreamingText, TokenText, answer_tokens, is_byte_level
from attnviz_video.testing.tiny_tokenizer import SPECIAL_TOKENS, special_ids, tiny_tokenizer

MIXED = "What 龘靐 is 红色的圆? 日本語 naïve café 🎉👩‍🔬🇨🇳 end"
#: Text of all kinds, U+FFFD included, without lone surrogates.
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=30),
    st.text("the red circle 红色的圆龘🎉é\n", max_size=30),
)


@lru_cache(maxsize=1)
def byte_level() -> Any:
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer(), clean_up_tokenization_spaces=False)


@lru_cache(maxsize=1)
def byte_fallback() -> Any:
    """A Llama-like tokenizer: pieces with a leading space mark, and a token for every byte."""
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        show_progress=False,
        special_tokens=["<unk>", "<s>", *(f"<0x{byte:02X}>" for byte in range(256))],
        limit_alphabet=40,
    )
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(["the red circle is at the top left", "红色的圆在左上角"] * 20, trainer)
    # Trained with the byte tokens as special ones, which would make them literal text: built again without them.
    vocabulary = dict(trained.get_vocab())
    merges = [tuple(merge) for merge in json.loads(trained.to_str())["model"]["merges"]]
    built = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    built.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    built.add_special_tokens(["<s>"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, clean_up_tokenization_spaces=False)


@lru_cache(maxsize=1)
def word_piece() -> Any:
    words = ["[UNK]", "the", "red", "##ish", "circle", "is", "##s", "left", "的", ".", ","]
    built = Tokenizer(models.WordPiece({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    built.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    built.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=built, clean_up_tokenization_spaces=False)


def decoded(tokenizer: Any, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


PATHS = {
    "byte_level": (byte_level, "byte_level"),
    "byte_level read generically": (byte_level, "generic"),
    "byte_fallback": (byte_fallback, "auto"),
}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> tuple[Any, TokenText]:
    make, kind = PATHS[request.param]
    return make(), TokenText(make(), kind)


def test_paths_are_recognised() -> None:
    assert is_byte_level(byte_level())
    assert not is_byte_level(byte_fallback())
    assert not is_byte_level(word_piece())


def test_t12_the_mixed_text_is_mostly_partial_characters() -> None:
    """The tokenizer of these tests is a hard one: one-by-one decoding garbles more than half of the tokens."""
    ids = byte_level().encode(MIXED)
    garbled = [token_id for token_id in ids if "\ufffd" in decoded(byte_level(), [token_id])]
    assert len(garbled) > len(ids) / 2


@given(text=TEXTS)
@pytest.mark.parametrize("name", PATHS)
def test_t12_joined_pieces_are_the_decoded_text(name: str, text: str) -> None:
    make, kind = PATHS[name]
    ids = make().encode(text, add_special_tokens=False)
    assert TokenText(make(), kind).text(ids) == decoded(make(), ids)


@given(text=TEXTS.filter(lambda text: "\ufffd" not in text))
@pytest.mark.parametrize("name", PATHS)
def test_t12_no_replacement_character_in_any_piece(name: str, text: str) -> None:
    make, kind = PATHS[name]
    ids = make().encode(text, add_special_tokens=False)
    described = TokenText(make(), kind).describe(ids)
    assert len(described) == len(ids)
    assert not any("\ufffd" in token.piece for token in described)


@given(data=st.data())
@pytest.mark.parametrize("name", PATHS)
def test_t12_random_ids_never_fail(name: str, data: st.DataObject) -> None:
    make, kind = PATHS[name]
    ids = data.draw(st.lists(st.integers(0, len(make()) + 40), max_size=25))
    described = TokenText(make(), kind).describe(ids)
    assert len(described) == len(ids)
    assert not any("\ufffd" in token.piece for token in described)


@given(ids=st.lists(st.integers(0, tiny_tokenizer().get_vocab_size() - 1), max_size=25))
def test_t12_random_bytes_are_shown_in_hex_and_nothing_else_changes(ids: list[int]) -> None:
    described = TokenText(byte_level()).describe(ids)
    raw = b"".join(token.raw for token in described)
    shown = "".join(token.piece for token in described)
    if all(not token.special for token in described):
        hexadecimal = "".join(
            character if not 0xDC80 <= ord(character) <= 0xDCFF else f"<0x{ord(character) - 0xDC00:02X}>"
            for character in raw.decode("utf-8", errors="surrogateescape")
        )
        assert shown == hexadecimal


@given(text=TEXTS)
def test_both_paths_agree_token_by_token(text: str) -> None:
    ids = byte_level().encode(text, add_special_tokens=False)
    exact = TokenText(byte_level(), "byte_level").describe(ids)
    generic = TokenText(byte_level(), "generic").describe(ids)
    assert [token.piece for token in exact] == [token.piece for token in generic]


@pytest.mark.parametrize("kind", ["byte_level", "generic"])
def test_t12_one_token_may_complete_a_character_and_start_the_next(kind: str) -> None:
    first, middle, last = (name for name in pre_tokenizers.ByteLevel(False).pre_tokenize_str("的")[0][0])
    vocabulary = {name: number for number, name in enumerate([first, middle, last, last + first])}
    built = Tokenizer(models.BPE(vocab=vocabulary, merges=[(last, first)]))
    built.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=built, clean_up_tokenization_spaces=False)
    pieces = [token.piece for token in TokenText(tokenizer, kind).describe([0, 1, 3, 1, 2])]
    assert pieces == ["", "", "的", "", "的"]


def test_t12_units_of_a_chinese_text_are_whole_characters() -> None:
    ids = byte_level().encode("龘🎉", add_special_tokens=False)
    units = display_units(answer_tokens(TokenText(byte_level()), ids, 0))
    assert [unit.text for unit in units] == ["龘", "🎉"]
    assert [unit.stop - unit.first for unit in units] == [3, 3]


def test_t12_an_incomplete_tail_and_an_interrupted_character_are_shown() -> None:
    text = TokenText(byte_level())
    ids = byte_level().encode("龘", add_special_tokens=False)
    end = special_ids()["<|im_end|>"]
    assert text.text(ids[:2]) == "<0xE9><0xBE>"
    assert [token.piece for token in text.describe([*ids[:2], end])] == ["", "<0xE9><0xBE>", "<|im_end|>"]
    assert text.text([ids[0], *byte_level().encode("a")]) == "<0xE9>a"


def test_t12_byte_fallback_shows_what_never_completes() -> None:
    names = ["<0xE9>", "<0xBE>", "▁the"]
    ids = [byte_fallback().convert_tokens_to_ids(name) for name in names]
    described = TokenText(byte_fallback()).describe(ids)
    assert "".join(token.piece for token in described).startswith("<0xE9><0xBE>")
    assert described[0].raw == b"\xe9"


def test_a_written_replacement_character_stays() -> None:
    for name in ("byte_level", "byte_fallback"):
        make, kind = PATHS[name]
        ids = make().encode("a\ufffdb", add_special_tokens=False)
        assert "\ufffd" in TokenText(make(), kind).text(ids)


def test_word_pieces_keep_their_spaces() -> None:
    ids = word_piece().encode("the reddish circles is the left", add_special_tokens=False)
    assert TokenText(word_piece()).text(ids) == decoded(word_piece(), ids)


def test_special_tokens_are_literal_and_flagged() -> None:
    ids = [special_ids()[token] for token in SPECIAL_TOKENS]
    described = TokenText(byte_level()).describe(ids)
    assert [token.piece for token in described] == list(SPECIAL_TOKENS)
    assert all(token.special for token in described)


def test_ids_beyond_the_vocabulary_stand_for_nothing() -> None:
    assert TokenText(byte_level()).describe([100_000]) == [(b"", "", False)]


def test_t11_ids_are_never_made_from_text_again() -> None:
    """A model may spell a word in pieces no encoder would choose: positions must stay those of the ids."""
    ids = [byte_level().convert_tokens_to_ids(letter) for letter in "circle"]
    text = TokenText(byte_level())
    assert [token.piece for token in text.describe(ids)] == list("circle")
    assert len(byte_level().encode(text.text(ids), add_special_tokens=False)) < len(ids)
    assert [token.position for token in answer_tokens(text, ids, 10)] == [10, 11, 12, 13, 14, 15]


def test_t10_repeated_words_keep_their_positions() -> None:
    ids = byte_level().encode(" red red red", add_special_tokens=False)
    tokens = answer_tokens(TokenText(byte_level()), ids, 5)
    starts = [token.position for token in tokens if token.piece.startswith(" ")]
    assert len(set(starts)) == 3
    assert [token.position for token in tokens] == list(range(5, 5 + len(ids)))


@given(text=TEXTS)
def test_streaming_gives_the_same_text(text: str) -> None:
    reader = TokenText(byte_level())
    ids = byte_level().encode(text, add_special_tokens=False)
    stream = StreamingText(reader)
    assert "".join([*(stream.push(token_id) for token_id in ids), stream.finish()]) == reader.text(ids)


def test_streaming_shows_a_character_when_it_is_complete() -> None:
    stream = StreamingText(TokenText(byte_level()))
    ids = byte_level().encode("龘", add_special_tokens=False)
    assert [stream.push(token_id) for token_id in ids] == ["", "", "龘"]


@pytest.mark.parametrize("name", ["byte_level", "byte_fallback"])
def test_streaming_takes_linear_time(name: str) -> None:
    """The tokenizer sees a bounded number of ids per push, however long the text is."""
    make, kind = PATHS[name]
    reader = TokenText(make(), kind)
    longest = 0
    decode = reader._decode

    def counted(ids: Any) -> str:
        nonlocal longest
        longest = max(longest, len(ids))
        return decode(ids)

    reader._decode = counted  # type: ignore[method-assign]
    stream = StreamingText(reader)
    for token_id in make().encode(MIXED * 20, add_special_tokens=False):
        stream.push(token_id)
    assert longest <= 8


def test_answer_tokens_carry_ids_roles_and_parts() -> None:
    ids = byte_level().encode("<think>hm</think><answer>4</answer>", add_special_tokens=False)
    tokens = answer_tokens(TokenText(byte_level()), [*ids, special_ids()["<|im_end|>"]], 100)
    assert [token.id for token in tokens[:-1]] == ids
    assert {token.role for token in tokens} == {"answer"}
    assert tokens[0].segment == "think"
    assert tokens[-2].segment == "answer"
    assert (tokens[-1].segment, tokens[-1].special) == ("other", True)
    assert tokens[0].position == 100
