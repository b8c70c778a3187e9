"""Words of an answer in time: which frames end a word, which end a keyword, which begin a new segment."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from attnviz_video.core.tokens import Segment, Token
from attnviz_video.core.units import DisplayUnit, display_units

#: Characters within a word that are no letters: don't, l’homme.
_APOSTROPHES = frozenset("'’")


def word_ends(answer: Sequence[Token]) -> list[int]:
    """Index of the last token of every word of `answer` (its tokens in order).

    A word is letters and digits with nothing between them. Punctuation, special tokens and characters of scripts that
    do not part words by spaces (Chinese, Japanese, Korean) stand for themselves; the pieces of one character always
    belong together.
    """
    if not answer:
        return []
    units = display_units(answer)
    first = answer[0].position
    ends: list[int] = []
    for number, unit in enumerate(units):
        following = units[number + 1] if number + 1 < len(units) else None
        if following is None or not _same_word(unit, following, answer, first):
            ends.append(unit.stop - 1 - first)
    return ends


def _same_word(unit: DisplayUnit, following: DisplayUnit, answer: Sequence[Token], first: int) -> bool:
    if unit.special or following.special:
        return False
    if answer[unit.stop - 1 - first].segment != answer[following.first - first].segment:
        return False
    return _joined(unit.text, following.text)


def _joined(left: str, right: str) -> bool:
    """Whether text that ends in `left` and goes on with `right` is within a word where they meet."""
    if not left or not right:
        return False
    if right[0] in _APOSTROPHES and len(right) > 1:
        right = right[1:]
    return _in_word(left[-1]) and _in_word(right[0])


def _in_word(character: str) -> bool:
    if unicodedata.east_asian_width(character) in "WF":
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


def keyword_list(text: str) -> tuple[str, ...]:
    """The keywords of a setting: separated by commas, spaces around them do not count, each once."""
    return tuple(dict.fromkeys(filter(None, (" ".join(part.split()) for part in text.split(",")))))


def keyword_ends(answer: Sequence[Token], keyword: str) -> list[int]:
    """Index of the token of `answer` that completes each occurrence of `keyword`.

    Upper and lower case are the same, any run of white space stands for a space, and only whole words count where
    the script has spaces.
    """
    pieces = [token.piece for token in answer]
    stops = list(accumulate(len(piece) for piece in pieces))
    pattern = re.compile(r"\s+".join(map(re.escape, keyword.split())), re.IGNORECASE)
    text = "".join(pieces)
    found = []
    for match in pattern.finditer(text):
        before, after = text[: match.start()][-1:], text[match.end() : match.end() + 1]
        if not _joined(before, match[0]) and not _joined(match[0], after):
            found.append(bisect_right(stops, match.end() - 1))
    return found


def segment_starts(answer: Sequence[Token]) -> list[tuple[int, Segment]]:
    """Index of the first token and kind of every segment of `answer`, in order.

    White space and special tokens between two segments, which belong to neither, count to the one before.
    """
    starts: list[tuple[int, Segment]] = []
    for index, token in enumerate(answer):
        filling = token.segment == "other" and (token.special or not token.piece.strip())
        if starts and (filling or token.segment == starts[-1][1]):
            continue
        starts.append((index, token.segment))
    return starts
