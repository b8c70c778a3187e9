"""Word pieces (BERT): `##ing` goes on the word before it, and what has no `##` begins a new one.

Source of the pieces: Schuster & Nakajima 2012, "Japanese and Korean Voice Search", section 4; the mark is BERT's.
The ids say where words begin, and not whether a space stood there: Japanese and Chinese are written without, and marks
stand close to their word.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any

import tokenizers.models

from attnviz_video.models.token_streams import Entry, Pushed

#: What goes on a word begins with this, unless the tokenizer says otherwise.
PREFIX = "##"
#: Marks that stand close to what is before them, and to what comes after them.
_CLOSING, _OPENING, _JOINING = ".,!?;:)]}%…”’»", "([{“‘«", "'-/"
#: Beginnings of the Unicode names of characters that are written without spaces between words.
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH KATAKANA", "BOPOMOFO", "THAI")


class WordPieceStream:
    """Reads one sequence of ids; every token is whole characters, so that nothing waits for the next."""

    def __init__(self, entry_of: Callable[[int], Entry], prefix: str = PREFIX) -> None:
        self._entry_of = entry_of
        self._prefix = prefix
        #: The last character written; "" at the beginning.
        self._last = ""
        self._in_word = False

    def push(self, token_id: int) -> Pushed:
        """Take the next id."""
        entry = self._entry_of(token_id)
        if entry.literal is not None:
            self._in_word = False
            self._last = entry.literal[-1:] or self._last
            return Pushed("", entry.literal)
        word = entry.word or ""
        if word.startswith(self._prefix):
            # Where there is no word to go on, as for a candidate by itself, the mark is what there is to say.
            piece = word[len(self._prefix) :] if self._in_word else word
        else:
            piece = " " + word if needs_space(self._last, word[:1]) else word
        self._in_word = True
        self._last = piece[-1:] or self._last
        return Pushed("", piece)

    def finish(self) -> str:
        """Nothing: every token was complete."""
        return ""


def needs_space(before: str, after: str) -> bool:
    """Whether a space is written between the characters `before` and `after`, which are of two words."""
    if not before or not after or is_unspaced(before) or is_unspaced(after):
        return False
    return not (after in _CLOSING + _JOINING or before in _OPENING + _JOINING)


def is_unspaced(character: str) -> bool:
    """Whether a character is of a script without spaces between words."""
    return unicodedata.name(character, "").startswith(_UNSPACED)


def word_piece_prefix(tokenizer: Any) -> str | None:
    """The mark of what goes on a word, in a tokenizer of word pieces; None in any other.

    Tokenizers of Japanese that look words up in a dictionary first are Python code without a backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    model = getattr(backend, "model", None)
    if isinstance(model, tokenizers.models.WordPiece):
        return str(model.continuing_subword_prefix)
    kind = getattr(tokenizer, "subword_tokenizer_type", None)
    is_python = hasattr(tokenizer, "wordpiece_tokenizer") or kind in ("wordpiece", "character")
    return PREFIX if backend is None and is_python else None
