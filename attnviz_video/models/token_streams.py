"""Two ways to turn a stream of ids into characters, each given with the token that completes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from attnviz_video.models.byte_level import utf8_stream

REPLACEMENT = "\ufffd"
#: The name of a byte-fallback token.
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
#: Tokens of left context for a decode; enough for any decoder that looks at its neighbours only.
_CONTEXT = 4
#: A character has at most four bytes, so what is still open after four tokens never completes.
_LONGEST_OPEN = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a vocabulary."""

    raw: bytes
    #: Text to take as it is, for added tokens ("" for ids the tokenizer does not know); None for ordinary ones.
    literal: str | None
    special: bool
    #: The byte of a byte-fallback token.
    byte: int | None = None
    #: Whether the entry itself spells U+FFFD.
    has_replacement: bool = False
    #: The name of a word piece, with the mark of what goes on a word.
    word: str | None = None


class Pushed(NamedTuple):
    """What is known once one more token has come."""

    #: Text of earlier tokens that turned out never to complete.
    late: str
    #: Characters the new token completes.
    now: str


@runtime_checkable
class PieceStream(Protocol):
    """Reads one sequence of ids."""

    def push(self, token_id: int) -> Pushed:
        """Take the next id; constant cost."""
        ...

    def finish(self) -> str:
        """What is left of a character that never completed."""
        ...


class ByteLevelStream:
    """Bytes through an incremental UTF-8 decoder; added tokens are literal and end what came before."""

    def __init__(self, entry_of: Callable[[int], Entry]) -> None:
        self._entry_of = entry_of
        self._utf8 = utf8_stream()

    def push(self, token_id: int) -> Pushed:
        """Take the next id."""
        entry = self._entry_of(token_id)
        if entry.literal is not None:
            return Pushed(self.finish() if entry.literal else "", entry.literal)
        return Pushed("", self._utf8.decode(entry.raw))

    def finish(self) -> str:
        """Bytes that never completed a character, in hex."""
        late = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return late


class GenericStream:
    """Step-by-step decoding with left context; byte-fallback tokens are read as bytes.

    A text that ends in U+FFFD although no token spells it ends inside a character: that tail is held back until a
    token completes it. One token may complete a character and start the next, so the rest is given at once.
    """

    def __init__(self, entry_of: Callable[[int], Entry], decode: Callable[[Sequence[int]], str]) -> None:
        self._entry_of = entry_of
        self._decode = decode
        self._utf8 = utf8_stream()
        #: The last tokens whose text is settled.
        self._context: list[int] = []
        #: Tokens whose text is not settled, and how many characters of it were given already.
        self._open: list[int] = []
        self._given = 0

    def push(self, token_id: int) -> Pushed:
        """Take the next id."""
        entry = self._entry_of(token_id)
        if entry.literal == "":
            return Pushed("", "")
        if entry.byte is not None:
            late = self._close()
            self._remember(token_id)
            return Pushed(late, self._utf8.decode(entry.raw))
        if entry.literal is not None:
            late, text = self.finish(), self._new_text([token_id])
            self._remember(token_id)
            return Pushed(late, text)
        return Pushed(self._end_bytes(), self._push_ordinary(token_id, entry))

    def finish(self) -> str:
        """What never completed a character: bytes in hex, unknown ones as `<0x??>`."""
        return self._end_bytes() + self._close()

    def _push_ordinary(self, token_id: int, entry: Entry) -> str:
        self._open.append(token_id)
        text = self._new_text(self._open)
        held_back = text.endswith(REPLACEMENT) and not entry.has_replacement and len(self._open) < _LONGEST_OPEN
        ready = text[:-1] if held_back else text
        new = self._shown(ready[self._given :])
        self._given = max(self._given, len(ready))
        if not held_back:
            self._settle()
        elif new:
            self._keep_last_open()
        return new

    def _keep_last_open(self) -> None:
        """Settle all open tokens but the last, which completed a character and started the next."""
        *done, last = self._open
        for token_id in done:
            self._remember(token_id)
        self._open = [last]
        self._given = len(self._new_text(self._open)) - 1

    def _new_text(self, ids: Sequence[int]) -> str:
        """The text that `ids` add to what stands before them."""
        before = self._decode(self._context)
        both = self._decode([*self._context, *ids])
        return both.removeprefix(before) if both.startswith(before) else self._decode(ids)

    def _end_bytes(self) -> str:
        late = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return late

    def _close(self) -> str:
        """The text of the open tokens as it stands, since nothing will complete it."""
        if not self._open:
            return ""
        rest = self._shown(self._new_text(self._open)[self._given :])
        self._settle()
        return rest

    def _settle(self) -> None:
        for token_id in self._open:
            self._remember(token_id)
        self._open, self._given = [], 0

    def _remember(self, token_id: int) -> None:
        self._context = [*self._context, token_id][-_CONTEXT:]

    def _shown(self, text: str) -> str:
        """`text` with the marks of a lossy decode shown as unknown bytes, unless a token spells U+FFFD itself."""
        if REPLACEMENT not in text or any(self._entry_of(token_id).has_replacement for token_id in self._open):
            return text
        return text.replace(REPLACEMENT, "<0x??>")
