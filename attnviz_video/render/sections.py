"""The structure of a text: prompt, thinking and answer, and the tags that stand between them. Measures nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from attnviz_video.core.tokens import SEGMENT_NAMES, Segment, Token
from attnviz_video.core.units import DisplayUnit

_TAG = re.compile(r"</?(think|answer)>")
_NAMES: Mapping[str, Segment] = {"think": "think", "answer": "answer"}


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of units in one segment."""

    #: Index of its first unit.
    unit: int
    segment: Segment
    #: The word on the line above it; "" for the first stretch of a text without structure.
    label: str


@dataclass(frozen=True, slots=True)
class TagPart:
    """The part of a `<think>` or `<answer>` tag that lies in one unit: characters [start, stop) of its text."""

    start: int
    stop: int
    segment: Segment
    #: Whether the tag begins, and ends, in this part.
    opens: bool
    closes: bool


def unit_segments(units: Sequence[DisplayUnit], tokens: Sequence[Token]) -> tuple[Segment, ...]:
    """The segment of each unit: that of its last token, which completes it."""
    return tuple(tokens[unit.stop - 1].segment for unit in units)


def shown_segments(units: Sequence[DisplayUnit], segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segment each unit is shown in: white space and special tokens between two segments, or after the last, go
    with what stands before them, so that no section is empty.
    """
    shown: list[Segment] = []
    for unit, segment in zip(units, segments, strict=True):
        blank = segment == "other" and (unit.special or not unit.text.strip())
        shown.append(shown[-1] if blank and shown and shown[-1] != "prompt" else segment)
    for number in range(len(units) - 2, -1, -1):
        if shown[number] == "other" and not units[number].text.strip():
            shown[number] = shown[number + 1]
    return tuple(shown)


def sections_of(segments: Sequence[Segment]) -> tuple[Section, ...]:
    """The sections of a text whose units are shown in `segments`, in order."""
    sections: list[Section] = []
    for unit, segment in enumerate(segments):
        if sections and sections[-1].segment == segment:
            continue
        label = SEGMENT_NAMES[segment] if sections or segment in _NAMES else ""
        sections.append(Section(unit, segment, label))
    return tuple(sections)


def tag_parts(units: Sequence[DisplayUnit], segments: Sequence[Segment]) -> Mapping[int, tuple[TagPart, ...]]:
    """The tags that open and close `segments` (one per unit), by unit; a tag that several tokens spell has a part in
    each. What only looks like a tag, such as one the prompt or the thinking talks about, is text.
    """
    starts = [0, *accumulate(len(unit.text) for unit in units)]
    text = "".join(unit.text for unit in units)
    found: dict[int, list[TagPart]] = {}
    unit = 0
    for tag in _TAG.finditer(text):
        while starts[unit + 1] <= tag.start():
            unit += 1
        last = unit
        while starts[last + 1] < tag.end():
            last += 1
        name = tag.group(1)
        beyond = unit - 1 if not tag.group().startswith("</") else last + 1
        inside = name in (segments[unit], segments[last])
        if not inside or (0 <= beyond < len(units) and segments[beyond] == name):
            continue
        for number in range(unit, last + 1):
            start, stop = max(tag.start(), starts[number]), min(tag.end(), starts[number + 1])
            if start < stop:
                opens, closes = start == tag.start(), stop == tag.end()
                part = TagPart(start - starts[number], stop - starts[number], _NAMES[name], opens, closes)
                found.setdefault(number, []).append(part)
    return {number: tuple(parts) for number, parts in found.items()}
