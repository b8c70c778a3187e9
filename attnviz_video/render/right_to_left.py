"""Hebrew, Arabic and other scripts that are read from right to left: where they run, and in which order boxes stand.

Pillow reorders and joins letters where it comes with a shaping library (raqm); without one they are written in the
order in which they are read, from left to right, and the picture's notices say so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

#: Tells the shaping library that a letter joins the one beyond a box's edge; has no look of its own.
_JOINER = "\u200d"
#: Arabic letters that never join the one after them, nor those the hamza stands alone for.
_ENDING = frozenset("اآأإٱدذرزژڑڈوؤةءى")


def is_right_to_left(character: str) -> bool:
    """Whether `character` is a letter that is read from right to left."""
    return unicodedata.bidirectional(character) in ("R", "AL")


def has_right_to_left(text: str) -> bool:
    """Whether any letter of `text` is read from right to left."""
    return not text.isascii() and any(map(is_right_to_left, text))


def directions(parts: Sequence[str]) -> list[bool]:
    """For each of `parts` (characters, or the texts of boxes), whether it runs from right to left.

    Those with such letters do, and what has no direction of its own, such as a comma, between two of them.
    """
    runs = [has_right_to_left(part) or part == _JOINER for part in parts]
    last = -1
    for number, part in enumerate(parts):
        if runs[number]:
            if last >= 0:
                runs[last:number] = [True] * (number - last)
            last = number
        elif any(unicodedata.bidirectional(character) == "L" for character in part):
            last = -1
    return runs


def with_joiners(text: str, before: str, after: str) -> str:
    """`text` as it is shaped between the characters `before` and `after` of the boxes it touches ("" for none).

    A word that several tokens spell is drawn box by box; so that its letters keep the forms they have in the word,
    an edge at which two of them would join says so.
    """
    joins_before = _joins(before, text[:1])
    joins_after = _joins(text[-1:], after)
    return (_JOINER if joins_before else "") + text + (_JOINER if joins_after else "")


def _joins(one: str, other: str) -> bool:
    arabic = all(character and unicodedata.bidirectional(character) == "AL" for character in (one, other))
    return arabic and one not in _ENDING and other != "ء"


def visual_places(places: Sequence[tuple[int, int]], right_to_left: Sequence[bool]) -> list[int]:
    """Left edges of the boxes of one line once those read from right to left stand in that order.

    `places` are (left edge, width) in reading order. Each run of such boxes is mirrored within its own room, so
    that no box leaves its line and none meets another.
    """
    lefts = [left for left, _ in places]
    number = 0
    while number < len(places):
        stop = number
        while stop < len(places) and right_to_left[stop]:
            stop += 1
        if stop > number:
            start, end = places[number][0], sum(places[stop - 1])
            for index in range(number, stop):
                left, width = places[index]
                lefts[index] = start + end - left - width
        number = max(stop, number + 1)
    return lefts
