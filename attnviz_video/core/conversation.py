"""A dataset item in the form of fine-tuning files: `messages`, the turns of one conversation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from attnviz_video.errors import DatasetError

_IMAGE_MARKER = re.compile(r"<image>[ \t]*\n?")
#: The result inside an answer that thinks first.
_FINAL = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


@dataclass(frozen=True)
class Conversation:
    """One question and, where it is known, its answer."""

    user: str
    system: str | None = None
    assistant: str | None = None
    #: What the parts of kind "image" name, in order; empty where images stand in a field of their own.
    images: tuple[object, ...] = ()


def read_conversation(messages: object) -> Conversation:
    """The turns of `[{"role": "user", "content": …}, {"role": "assistant", "content": …}]`.

    A turn's content is text, or a list of parts `{"type": "text", "text": …}` and `{"type": "image", "image": …}`.

    Raises:
        DatasetError: not of this form, or a role that speaks twice; the caller adds where.
    """
    if not isinstance(messages, list) or not all(isinstance(turn, dict) for turn in messages):
        raise DatasetError('"messages" must be a list of turns {"role", "content"}')
    texts: dict[str, str] = {}
    images: list[object] = []
    for turn in messages:
        role = turn.get("role")
        if role not in ("system", "user", "assistant"):
            raise DatasetError(f'"messages" has a turn of role {role!r}; expected system, user or assistant')
        if role in texts:
            raise DatasetError(f'"messages" has several turns of role {role}; expected one question and one answer')
        texts[role], named = _content(turn.get("content"))
        images += named
    if not without_image_markers(texts.get("user", "")):
        raise DatasetError('"messages" has no text of a user')
    return Conversation(texts["user"], texts.get("system"), texts.get("assistant"), tuple(images))


def without_image_markers(text: str) -> str:
    """`text` without its `<image>` markers: images come first, wherever the text mentions them."""
    return _IMAGE_MARKER.sub("", text).strip()


def final_answer(text: str) -> str:
    """The result in an answer: what stands in its last `<answer>` tags, or all of it where there are none."""
    found = _FINAL.findall(text)
    return (found[-1] if found else text).strip()


def _content(content: object) -> tuple[str, list[object]]:
    """The text of a turn, and what its image parts name."""
    if isinstance(content, str):
        return content, []
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise DatasetError('"messages" has a turn whose content is neither text nor a list of parts')
    texts = [part["text"] for part in content if isinstance(part.get("text"), str)]
    images = [part[key] for part in content for key in ("image", "path") if part.get(key) is not None]
    return "".join(texts), images
