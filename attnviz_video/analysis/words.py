"""Sub-word pieces merged to words, and attention merged with them.

Source: Clark et al. 2019, "What Does BERT Look At? An Analysis of BERT's Attention", section 4.1: attention *to* a word
of several tokens is the sum over them, attention *from* it the mean over them. With A of queries q and keys k,

    W[u, v] = 1/|u| · Σ_{q ∈ u} Σ_{k ∈ v} A[q, k]

so the row of a word sums to what the rows of its pieces sum to on average: 1 stays 1. Nothing is renormalised.

What a word is: letters and digits with nothing between them, apostrophes within aside (don't, l’homme). A piece that
begins with a space or a newline begins a word; traces keep the text of pieces, so the marks of a vocabulary (`Ġ`, `▁`,
`##`) have become spaces, or nothing, before they come here. Punctuation, white space, special tokens and image patches
stand for themselves, and so does every piece in a script that does not part words by spaces (Chinese, Japanese, Thai
…). The pieces of one character stay together, and no word reaches from the prompt into the answer, or from one segment
into the next.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby

import numpy as np
from jaxtyping import Float, Int

from attnviz_video.core.tokens import Token
from attnviz_video.core.units import DisplayUnit, display_units

#: What captions say of merged pieces.
WORDS_CAPTION = "word pieces merged: summed over keys, averaged over queries"
#: Characters within a word that are no letters: don't, l’homme.
_APOSTROPHES = frozenset("'’")
#: Scripts beside the wide ones that do not part words by spaces, by the first word of their characters' names.
_UNSPACED = frozenset({"THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE"})
#: Stands for an image token in a text: a private character that nobody writes.
_NO_TEXT = "\uf8fe"


@dataclass(frozen=True, slots=True)
class Word:
    """Consecutive tokens that are one word, or one token that stands for itself."""

    #: Positions [first, stop) in prompt + answer.
    first: int
    stop: int
    #: The text with the spaces before it, as it was written.
    text: str
    special: bool = False
    #: The image that the token belongs to; -1 for text.
    image: int = -1

    @property
    def n_tokens(self) -> int:
        return self.stop - self.first


def merge_words(tokens: Sequence[Token]) -> tuple[Word, ...]:
    """The words of `tokens` (consecutive positions), in order; every token is in exactly one."""
    words: list[Word] = []
    for _, run in groupby(tokens, key=lambda token: (token.role == "answer", token.segment)):
        words += _words_of_run(tuple(run))
    return tuple(words)


def word_groups(
    words: Sequence[Word], positions: Sequence[int]
) -> tuple[tuple[Word, ...], Int[np.ndarray, "groups 2"]]:
    """Which entries of `positions` (ascending) are pieces of one word: words, and [first, stop) of each in the list.

    For the rows and the columns of a matrix, whose lines stand for these positions. Of a word that lies only partly
    in the list, the part that does is its group; positions in no word are left out.
    """
    owner = {position: number for number, word in enumerate(words) for position in range(word.first, word.stop)}
    found: list[Word] = []
    edges: list[tuple[int, int]] = []
    for number, run in groupby(range(len(positions)), key=lambda index: owner.get(positions[index], -1)):
        indices = list(run)
        if number >= 0:
            found.append(words[number])
            edges.append((indices[0], indices[-1] + 1))
    return tuple(found), np.array(edges, dtype=np.int64).reshape(-1, 2)


def merge_matrix(
    matrix: Float[np.ndarray, "queries keys"],
    query_groups: Int[np.ndarray, "merged_queries 2"],
    key_groups: Int[np.ndarray, "merged_keys 2"],
) -> Float[np.ndarray, "merged_queries merged_keys"]:
    """`matrix` with the columns of each key group summed and the rows of each query group averaged, float64.

    Groups are [first, stop) of rows and of columns, ascending, as `word_groups` gives them; a weight that is NaN makes
    its group NaN. Keys that a query does not see have to be 0, not NaN.
    """
    summed = _sums(matrix.astype(np.float64), key_groups)
    counts = (query_groups[:, 1] - query_groups[:, 0])[:, np.newaxis]
    merged: Float[np.ndarray, "merged_queries merged_keys"] = _sums(summed.T, query_groups).T / counts
    return merged


def find_text(words: Sequence[Word], text: str) -> list[tuple[int, int]]:
    """Positions [first, stop) of every occurrence of `text` among `words`, in order.

    Upper and lower case are the same, any run of white space stands for a space, and only whole words count where the
    script has spaces. An occurrence is all tokens of the words that it touches; patches are never part of one.
    """
    parts = [word.text if word.image < 0 else _NO_TEXT for word in words]
    starts = [0, *accumulate(map(len, parts))]
    whole = "".join(parts)
    pattern = re.compile(r"\s+".join(map(re.escape, text.split())), re.IGNORECASE)
    found: list[tuple[int, int]] = []
    for match in pattern.finditer(whole) if text.strip() else ():
        before, after = whole[: match.start()][-1:], whole[match.end() : match.end() + 1]
        if joined(before, match[0]) or joined(match[0], after):
            continue
        first = words[bisect_right(starts, match.start()) - 1]
        last = words[bisect_right(starts, match.end() - 1) - 1]
        found.append((first.first, last.stop))
    return found


def joined(left: str, right: str) -> bool:
    """Whether text that ends in `left` and goes on with `right` is within a word where they meet."""
    if not left or not right:
        return False
    if right[0] in _APOSTROPHES and len(right) > 1:
        right = right[1:]
    return _in_word(left[-1]) and _in_word(right[0])


def _words_of_run(tokens: tuple[Token, ...]) -> list[Word]:
    """The words of tokens of one segment."""
    words: list[Word] = []
    for unit in _units(tokens):
        word = Word(unit.first, unit.stop, unit.text, unit.special, unit.image)
        if words and _goes_on(words[-1], word):
            words[-1] = replace(words[-1], stop=word.stop, text=words[-1].text + word.text)
        else:
            words.append(word)
    return words


def _units(tokens: tuple[Token, ...]) -> list[DisplayUnit]:
    """Display units with the image tokens among them, each by itself."""
    images = [
        DisplayUnit(token.position, token.position + 1, token.piece, special=True, image=token.image)
        for token in tokens
        if token.role == "image" and token.image >= 0
    ]
    return sorted([*display_units(tokens), *images], key=lambda unit: unit.first)


def _goes_on(word: Word, following: Word) -> bool:
    alone = word.special or following.special or word.image >= 0 or following.image >= 0
    return not alone and joined(word.text, following.text)


def _in_word(character: str) -> bool:
    """Whether `character` is part of a word in a script that parts words by spaces (Korean does)."""
    script = unicodedata.name(character, "").partition(" ")[0]
    if script in _UNSPACED or (unicodedata.east_asian_width(character) in "WF" and script != "HANGUL"):
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


def _sums(
    matrix: Float[np.ndarray, "lines columns"], groups: Int[np.ndarray, "groups 2"]
) -> Float[np.ndarray, "lines groups"]:
    """Sum over the columns of each group."""
    if not groups.size:
        return np.zeros((matrix.shape[0], 0))
    # One more column, since a group may stop where the columns do, and `reduceat` takes no index beyond the last.
    padded = np.pad(matrix, ((0, 0), (0, 1)))
    sums: Float[np.ndarray, "lines groups"] = np.add.reduceat(padded, groups.ravel(), axis=1)[:, ::2]
    return sums
