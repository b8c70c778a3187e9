"""Lines of running text for titles and captions: broken at words, or anywhere in scripts without spaces."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

from attnviz_video.render.typefaces import Typeface

#: May not start a line, or end one.
_NOT_FIRST = frozenset("，。、！？；：）」』】》〉”’％·…—,.!?;:)]}%")
_NOT_LAST = frozenset("（「『【《〈“‘([{")


def wrap(text: str, width: int, face: Typeface, most: int) -> tuple[str, ...]:
    """`text` in at most `most` lines of `width` pixels; what does not fit is cut with "…".

    Runs of white space become one space. Text that fits is set in lines of about equal length, so that no word is
    left alone on the last.
    """
    words = face.visible(" ".join(text.split()))
    if not words or most < 1 or width <= 0:
        return ()
    lines = _lines(words, width, face.width, most)
    if len(lines) > most:
        kept = lines[: most - 1]
        rest = words[sum(map(len, kept)) :].strip()
        return (*map(str.strip, kept), face.fit(rest, width) or "…")
    width = _even_width(words, width, len(lines), face.width)
    return tuple(line.strip() for line in _lines(words, width, face.width, most))


def _even_width(words: str, width: int, n_lines: int, measure: Callable[[str], int]) -> int:
    """The least width at which `words` still take `n_lines` lines."""
    low, high = min(width, measure(words) // n_lines), width
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if len(_lines(words, middle, measure, n_lines)) <= n_lines else (middle + 1, high)
    return low


def _lines(words: str, width: int, measure: Callable[[str], int], most: int) -> list[str]:
    """`words` cut into lines of at most `width`, which joined are `words` again; more than `most` are not finished."""
    lines: list[str] = []
    line = ""
    for part in _parts(words):
        if len(lines) > most:
            break
        if line and measure((line + part).rstrip()) > width:
            lines.append(line)
            line = ""
        while measure(part.rstrip()) > width and len(part) > 1:
            # One word longer than a line, such as an address: cut where it must be.
            cut = _fitting(part, width, measure)
            lines.append(part[:cut])
            part = part[cut:]
        line += part
    return [*lines, line] if line else lines


def _fitting(part: str, width: int, measure: Callable[[str], int]) -> int:
    """How many characters of `part` fit into `width`, at least 1."""
    low, high = 1, len(part)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(part[:middle]) <= width else (low, middle - 1)
    return low


def _parts(words: str) -> Iterator[str]:
    """`words` cut wherever a line may end."""
    start = 0
    for place in range(1, len(words)):
        if _may_break(words[place - 1], words[place]):
            yield words[start:place]
            start = place
    yield words[start:]


def _may_break(before: str, after: str) -> bool:
    if before == " ":
        return after != " "
    if after == " " or after in _NOT_FIRST or before in _NOT_LAST or unicodedata.combining(after):
        return False
    return "W" in (unicodedata.east_asian_width(before), unicodedata.east_asian_width(after))
