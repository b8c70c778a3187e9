"""`Token`: one position of prompt or answer, and the roles it can play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

#: Who wrote the token: the chat template, the system or user turn, an image placeholder, or the model.
Role = Literal["template", "system", "user", "image", "answer"]
#: Which part of the text it belongs to. `<think>` and `<answer>` tags belong to the part they open or close.
#: The text of an encoder is one `text`, or the `first` and `second` of two sentences, their separators included.
Segment = Literal["prompt", "think", "answer", "other", "text", "first", "second"]
#: What a segment is called wherever it is named: above the text, in the strip, in the chapters.
SEGMENT_NAMES: Mapping[Segment, str] = {
    "prompt": "prompt", "think": "thinking", "answer": "answer", "other": "response", "text": "text",
    "first": "sentence A", "second": "sentence B",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One position. Text is never looked up by its words, always by its position."""

    position: int
    id: int
    #: The bytes this token stands for; a part of a character, for some byte-level pieces.
    raw: bytes
    #: The characters this token completes; empty for one that completes none (see `core.units`).
    piece: str
    role: Role
    segment: Segment
    #: True for added tokens such as `<|im_end|>`.
    special: bool = False
    #: Index of the image and of the patch within it; -1 for text.
    image: int = -1
    patch: int = -1
