"""Display units to fragments: what is drawn for each token, and where a line may break. Measures nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from attnviz_video.core.units import DisplayUnit
from attnviz_video.render.escape import NEWLINE_MARK, SPACE_MARK, special_tag
from attnviz_video.render.sections import TagPart

#: Scripts written without spaces: a line may break at any of their characters.
_BREAK_ANYWHERE = re.compile(
    "[\u1100-\u11ff\u2e80-\u2fff\u3000-\u30ff\u3100-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f"
    "\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)
#: May not start a line.
_CLOSING = frozenset("，。、！？；：）」』】》〉”’％·…,.!?;:)]}%")
#: More marks than this are counted instead of drawn.
_MOST_MARKS = 3


@dataclass(frozen=True, slots=True)
class Fragment:
    """A stretch of one unit that is drawn as one box."""

    #: Index of the display unit.
    unit: int
    text: str
    #: Spaces before it, drawn as a gap between boxes.
    spaces: int = 0
    #: Whether a line may break before it.
    breaks: bool = False
    #: Newlines after it.
    newlines: int = 0
    #: A mark or a special token, written in softer ink.
    faint: bool = False
    #: Whether it touches the fragment before and after it, so that the parts of a word stay one word to the eye.
    joins_before: bool = False
    joins_after: bool = False
    #: The tag it is, or is a part of.
    tag: TagPart | None = None


def fragments(
    units: Sequence[DisplayUnit], visible: Callable[[str], str], tags: Mapping[int, tuple[TagPart, ...]] | None = None
) -> tuple[Fragment, ...]:
    """The fragments of all `units` in order; each unit has at least one, so that none can vanish.

    `visible` turns text into what the fonts can draw; `tags` are those of `sections.tag_parts`, by unit.
    """
    found: list[Fragment] = []
    before = "\n"
    for index, unit in enumerate(units):
        if unit.special:
            found.append(Fragment(index, special_tag(visible(unit.text)), breaks=True, faint=True))
            before = "\n"
            continue
        for text, tag in _stretches(unit.text, (tags or {}).get(index, ())):
            found.extend(_parts(index, text, before, visible) if tag is None else [_tag_fragment(index, text, tag)])
            before = text[-1:] or before
    return tuple(_joined(found))


def _stretches(text: str, tags: Sequence[TagPart]) -> Iterator[tuple[str, TagPart | None]]:
    """`text` cut at its tags; the spaces before a tag stay with it."""
    done = 0
    for tag in tags:
        plain = text[done : tag.start]
        kept = plain.rstrip(" ")
        if kept:
            yield kept, None
        yield plain[len(kept) :] + text[tag.start : tag.stop], tag
        done = tag.stop
    if done < len(text) or not tags:
        yield text[done:], None


def _tag_fragment(index: int, text: str, tag: TagPart) -> Fragment:
    inner = text.lstrip(" ")
    return Fragment(index, inner, len(text) - len(inner), breaks=tag.opens, tag=tag)


def _joined(parts: Sequence[Fragment]) -> Iterator[Fragment]:
    """`parts` with their joints: no space and no newline between two stretches of plain text, or of one tag."""
    joints = [_joins(part, following) for part, following in zip(parts, parts[1:], strict=False)]
    for part, before, after in zip(parts, [False, *joints][: len(parts)], [*joints, False][: len(parts)], strict=True):
        yield replace(part, joins_before=before, joins_after=after)


def _joins(part: Fragment, following: Fragment) -> bool:
    ends = any(side.faint or side.newlines for side in (part, following)) or following.spaces
    same = (part.tag is None) == (following.tag is None)
    return not ends and same and (part.tag is None or not part.tag.closes)


def _parts(index: int, text: str, before: str, visible: Callable[[str], str]) -> Iterator[Fragment]:
    """The fragments of one unit: text, newlines and bare spaces apart; `before` is the character before it."""
    for part in re.findall(r"\n+|[^\n]+", text) or [""]:
        if part[:1] == "\n":
            yield Fragment(index, _counted(NEWLINE_MARK, len(part)), newlines=len(part), faint=True)
        elif not part.strip(" "):
            yield Fragment(index, _counted(SPACE_MARK, len(part)), breaks=before != "\n", faint=True)
        else:
            inner = part.lstrip(" ")
            spaces = len(part) - len(inner)
            yield Fragment(index, visible(inner), spaces, spaces > 0 or _may_break(before, inner[0]))
        before = part[-1:]


def _counted(mark: str, count: int) -> str:
    """`⏎⏎` for two, `␣×8` for eight."""
    return mark * count if count <= _MOST_MARKS else f"{mark}×{count}"


def _may_break(before: str, after: str) -> bool:
    """Whether a line may break between two characters that no space parts."""
    if after in _CLOSING or unicodedata.category(after).startswith("M") or after == "\u200d":
        return False
    return before in " \t\n" or bool(_BREAK_ANYWHERE.match(after) or _BREAK_ANYWHERE.match(before))
