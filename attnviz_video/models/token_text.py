"""Token ids to text: which characters each token completes, and which part of an answer it belongs to.

A character belongs to the token that completes it. Three ways lead there: byte-level vocabularies (Qwen, Llama 3,
GPT-2) are read byte by byte through the GPT-2 table, word pieces (BERT) by their mark; all others are decoded step by
step with the tokens before as context, as streaming detokenisers do. Text never goes back to ids, and U+FFFD appears
only where the text has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import tokenizers.decoders

from attnviz_video.core.tokens import Token
from attnviz_video.models.byte_level import token_bytes
from attnviz_video.models.segments import segments_of
from attnviz_video.models.token_streams import (
    BYTE_TOKEN,
    REPLACEMENT,
    ByteLevelStream,
    Entry,
    GenericStream,
    PieceStream,
)
from attnviz_video.models.word_pieces import WordPieceStream, word_piece_prefix


class TokenPiece(NamedTuple):
    """What one token stands for."""

    raw: bytes
    #: The characters it completes.
    piece: str
    special: bool


class TokenText:
    """Reads the vocabulary of one tokenizer; entries are looked up once."""

    def __init__(self, tokenizer: Any, path: Literal["auto", "byte_level", "generic"] = "auto") -> None:
        self._tokenizer = tokenizer
        self._entries: dict[int, Entry] = {}
        self._added: dict[int, Any] = dict(tokenizer.added_tokens_decoder)
        self.byte_level = is_byte_level(tokenizer) if path == "auto" else path == "byte_level"
        #: The mark of what goes on a word; None where the tokens are no word pieces.
        self.word_prefix = word_piece_prefix(tokenizer) if path == "auto" else None

    def describe(self, ids: Iterable[int]) -> list[TokenPiece]:
        """Bytes, completed characters and the special flag of every token, in order.

        The pieces joined are the decoded text; bytes that never complete a character are shown as `<0xNN>`.
        """
        stream = self.stream()
        described: list[TokenPiece] = []
        for token_id in ids:
            late, now = stream.push(int(token_id))
            _append(described, late)
            entry = self._entry(int(token_id))
            described.append(TokenPiece(entry.raw or now.encode(), now, entry.special))
        _append(described, stream.finish())
        return described

    def text(self, ids: Iterable[int]) -> str:
        """All tokens as one text, special tokens included."""
        return "".join(token.piece for token in self.describe(ids))

    def stream(self) -> PieceStream:
        """A fresh reader for one sequence of ids."""
        if self.word_prefix is not None:
            return WordPieceStream(self._entry, self.word_prefix)
        return ByteLevelStream(self._entry) if self.byte_level else GenericStream(self._entry, self._decode)

    def _decode(self, ids: Sequence[int]) -> str:
        text: str = self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text

    def _entry(self, token_id: int) -> Entry:
        entry = self._entries.get(token_id)
        if entry is None:
            entry = self._entries[token_id] = self._look_up(token_id)
        return entry

    def _look_up(self, token_id: int) -> Entry:
        added = self._added.get(token_id)
        if added is not None:
            return Entry(added.content.encode(), added.content, bool(added.special))
        name = self._tokenizer.convert_ids_to_tokens(token_id)
        if not isinstance(name, str):
            return Entry(b"", "", False)
        if self.word_prefix is not None:
            return Entry(name.removeprefix(self.word_prefix).encode(), None, False, word=name)
        if self.byte_level:
            return Entry(token_bytes(name), None, False)
        byte = BYTE_TOKEN.fullmatch(name)
        if byte:
            value = int(byte.group(1), 16)
            return Entry(bytes([value]), None, False, value)
        return Entry(b"", None, False, has_replacement=REPLACEMENT in name)


class StreamingText:
    """The text of an answer while it is generated; every push costs the same, however long the text is."""

    def __init__(self, text: TokenText) -> None:
        self._stream = text.stream()

    def push(self, token_id: int) -> str:
        """The characters that are known now and were not before; empty while a character is incomplete."""
        late, now = self._stream.push(int(token_id))
        return late + now

    def finish(self) -> str:
        """What is left of a character that never completed, in hex."""
        return self._stream.finish()


def answer_tokens(text: TokenText, ids: Sequence[int], n_prompt: int) -> tuple[Token, ...]:
    """The tokens of an answer at positions from `n_prompt` on, each with the part (think, answer, other) it is in."""
    described = text.describe(ids)
    segments = segments_of([token.piece for token in described])
    return tuple(
        Token(n_prompt + number, int(token_id), token.raw, token.piece, "answer", segment, token.special)
        for number, (token_id, token, segment) in enumerate(zip(ids, described, segments, strict=True))
    )


def is_byte_level(tokenizer: Any) -> bool:
    """Whether the tokenizer spells bytes through the GPT-2 table."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    decoder = getattr(backend, "decoder", None)
    if isinstance(decoder, tokenizers.decoders.ByteLevel):
        return True
    if isinstance(decoder, tokenizers.decoders.Sequence):
        return b'"ByteLevel"' in bytes(decoder.__getstate__())
    return decoder is None and hasattr(tokenizer, "byte_decoder")


def _append(described: list[TokenPiece], late: str) -> None:
    """Give text that never completes to the last token before it is known to."""
    if late:
        described[-1] = described[-1]._replace(piece=described[-1].piece + late)
