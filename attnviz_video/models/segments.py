"""Which part of an answer each token is in: its thinking, its final answer, or neither.

The tags may be split over several tokens or share one with their neighbours, so they are found in the joined text
and carried back to the tokens by character offsets. A tag belongs to the part it opens or closes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import cast

from attnviz_video.core.tokens import Segment

_TAG = re.compile(r"<(/?)(think|answer)>")


def segments_of(pieces: Sequence[str]) -> list[Segment]:
    """The part every piece of an answer is in; a piece without characters goes with the next that has some."""
    text = "".join(pieces)
    parts = _parts(text)
    starts = [0, *accumulate(len(piece) for piece in pieces)]
    segments: list[Segment] = []
    for start, stop in pairwise(starts):
        segments.append(_part_at(parts, start, max(stop, start + 1)))
    return segments


def _parts(text: str) -> list[tuple[int, int, Segment]]:
    """(start, stop, part) of the thinking and the final answer, in order.

    A part that is not closed ends where the other opens, or with the text; a `</think>` that nothing opened closes
    a thinking that the prompt opened.
    """
    parts: list[tuple[int, int, Segment]] = []
    name, start = "", 0
    tags = list(_TAG.finditer(text))
    for number, tag in enumerate(tags):
        closing, kind = bool(tag.group(1)), tag.group(2)
        if closing and kind == (name or ("think" if not parts else "")):
            parts.append((start, tag.end(), cast(Segment, kind)))
            name, start = "", tag.end()
        elif not closing and not name:
            name, start = kind, tag.start()
        elif not closing and kind != name and not _is_closed(name, tags[number + 1 :]):
            parts.append((start, tag.start(), cast(Segment, name)))
            name, start = kind, tag.start()
    if name:
        parts.append((start, len(text), cast(Segment, name)))
    return parts


def _is_closed(name: str, tags: Sequence[re.Match[str]]) -> bool:
    return any(tag.group(1) and tag.group(2) == name for tag in tags)


def _part_at(parts: Sequence[tuple[int, int, Segment]], start: int, stop: int) -> Segment:
    """The part with most of the characters [start, stop); any part comes before none."""
    overlaps: list[tuple[int, Segment]] = [(min(stop, end) - max(start, begin), part) for begin, end, part in parts]
    best = max(overlaps, key=lambda item: item[0], default=(0, "other"))
    return best[1] if best[0] > 0 else "other"
