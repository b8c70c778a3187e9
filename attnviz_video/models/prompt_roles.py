"""Who wrote which part of the prompt: the user, the system turn, or the chat template.

Chat templates are programs, so nothing is looked for by name. The template is run again with markers in place of
the user's text and of a system turn; what it writes around the markers tells where those parts begin and end.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from attnviz_video.core.tokens import Role
from attnviz_video.errors import ModelError

#: Texts that no template writes by itself, and that trimming leaves alone.
_USER_MARK = "attnviz-user-mark"
_SYSTEM_MARK = "attnviz-system-mark"

#: A span of characters [start, stop).
Span = tuple[int, int]
Conversation = list[dict[str, Any]]


def prompt_roles(
    pieces: Sequence[str],
    user_text: str,
    render: Callable[[Conversation], str],
    images: list[dict[str, Any]],
    system_text: str | None = None,
) -> list[Role]:
    """The role of every prompt position.

    `pieces` are the characters each token completes, empty for image placeholders; `render` runs the chat template
    on a conversation; `images` are the image parts of the user turn; `system_text` is the system turn that was given,
    None where the template writes its own.
    """
    text = "".join(pieces)
    user = user_span(text, user_text, _after_user(render, images))
    if system_text is None:
        system = system_span(text[: user[0]], *_own_system_turn(render, images))
    else:
        system = given_system_span(text[: user[0]], _around_system(render, images)[0], system_text)
    roles: list[Role] = []
    for start, stop in pairwise([0, *accumulate(len(piece) for piece in pieces)]):
        span = (start, max(stop, start + 1))
        roles.append("user" if _overlap(span, user) else "system" if _overlap(span, system) else "template")
    return roles


def user_span(text: str, user_text: str, after: str) -> Span:
    """Where the user's text stands in the prompt, given what the template writes after it.

    Read backwards from the end, so that the same words in the system turn or in the template cannot be taken for it.
    """
    stop = len(text) - len(after) if text.endswith(after) else len(text)
    spellings = (user_text, user_text.strip(), unicodedata.normalize("NFC", user_text).strip())
    for spelling in spellings:
        if text[:stop].endswith(spelling):
            return stop - len(spelling), stop
    for spelling in spellings:
        start = text[:stop].rfind(spelling)
        if start >= 0:
            return start, start + len(spelling)
    return max(0, stop - len(user_text)), stop


def system_span(before_user: str, opening: str, written: str) -> Span:
    """Where the system text that the template writes by itself stands; empty where it writes none."""
    start = before_user.find(opening + written) if written else -1
    return (0, 0) if start < 0 else (start + len(opening), start + len(opening) + len(written))


def given_system_span(before_user: str, opening: str, given: str) -> Span:
    """Where a system text that was given stands; the template may have trimmed it, the tokenizer composed it."""
    spellings = (given, given.strip(), unicodedata.normalize("NFC", given).strip())
    spans = (system_span(before_user, opening, spelling) for spelling in spellings)
    return next((span for span in spans if span != (0, 0)), (0, 0))


def takes_system_turn(render: Callable[[Conversation], str], images: list[dict[str, Any]]) -> bool:
    """Whether the chat template writes the text of a system turn as it is given."""
    opening, rest = _around_system(render, images)
    # A template that expects a plain string writes the list of parts as Python shows it.
    return bool(rest) and not opening.endswith(("'text': '", '"text": "'))


def system_turn(text: str) -> dict[str, Any]:
    """A turn of a conversation, with the text as its one part."""
    return {"role": "system", "content": [{"type": "text", "text": text}]}


def _after_user(render: Callable[[Conversation], str], images: list[dict[str, Any]]) -> str:
    """What the template writes after the user's text."""
    return render([_user_turn(images)]).rpartition(_USER_MARK)[2]


def _around_system(render: Callable[[Conversation], str], images: list[dict[str, Any]]) -> tuple[str, str]:
    """What the template writes before and after the text of a system turn; two empty texts where it writes none."""
    try:
        opening, mark, rest = render([system_turn(_SYSTEM_MARK), _user_turn(images)]).partition(_SYSTEM_MARK)
    except ModelError:
        return "", ""
    return (opening, rest) if mark else ("", "")


def _own_system_turn(render: Callable[[Conversation], str], images: list[dict[str, Any]]) -> tuple[str, str]:
    """What the template writes before the text of a system turn, and the text it writes there when none is given.

    A template that refuses system turns, or writes none by itself, gives two empty texts.
    """
    opening, rest = _around_system(render, images)
    default = render([_user_turn(images)])
    if not rest or not default.startswith(opening) or not default.endswith(rest):
        return "", ""
    return opening, default[len(opening) : len(default) - len(rest)]


def _user_turn(images: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "user", "content": [*images, {"type": "text", "text": _USER_MARK}]}


def _overlap(span: Span, part: Span) -> bool:
    return span[0] < part[1] and part[0] < span[1]
