"""Words of an answer in time: which frames end a word, which end a keyword, which begin a new segment."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from attnviz_video.analysis.words import joined, merge_words
from attnviz_video.core.tokens import Segment, Token


def word_ends(answer: Sequence[Token]) -> list[int]:
    """Index of the last token of every word of `answer` (its tokens in order).

    What a word is: `analysis.words`.
    """
    return [word.stop - 1 - answer[0].position for word in merge_words(answer)]


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
        if not joined(before, match[0]) and not joined(match[0], after):
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
