"""Which text a picture shows, as display units; the scale and the text panel both ask here, so they agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Literal

from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit, display_units

#: `full`: the whole prompt, what the chat template and the images add collapsed; `phrase`: from the start phrase on;
#: `none`: the answer only.
ShowPrompt = Literal["full", "phrase", "none"]


def shown_units(trace: TraceData, show_prompt: ShowPrompt) -> tuple[DisplayUnit, ...]:
    """The display units that the text panel shows, in order, the collapsed ones of a whole prompt included.

    Units that stand for an image (`DisplayUnit.image`) have no weight of their own: it is on the image panel.
    """
    first = first_shown(trace, show_prompt)
    if show_prompt != "full":
        return display_units(trace.tokens[first:])
    return (*_collapsed(trace.tokens[: trace.n_prompt]), *display_units(trace.tokens[trace.n_prompt :]))


def first_shown(trace: TraceData, show_prompt: ShowPrompt) -> int:
    """First position (in prompt + answer) that is shown."""
    start = trace.header.start.first_shown
    return {"full": 0, "phrase": start, "none": max(start, trace.n_prompt)}[show_prompt]


def _collapsed(tokens: Sequence[Token]) -> Iterator[DisplayUnit]:
    """Units of a prompt in which each run of template tokens, and the patches of each image, is one."""
    for (kind, image), run in groupby(tokens, key=_kind):
        part = tuple(run)
        first, stop = part[0].position, part[-1].position + 1
        if kind == "image":
            count = sum(token.patch >= 0 for token in part)
            words = f"⟨image {image + 1}: {count} {'patch' if count == 1 else 'patches'}⟩"
            yield DisplayUnit(first, stop, words, special=True, image=image)
        elif kind == "template":
            yield DisplayUnit(first, stop, _template_name(part), special=True)
        else:
            yield from display_units(part)


def _kind(token: Token) -> tuple[str, int]:
    if token.role == "image" and token.image >= 0:
        return "image", token.image
    return ("template" if token.role == "template" else "text"), -1


def _template_name(part: Sequence[Token]) -> str:
    """The words between the markers, which name the turn ("user"); without any, the last marker."""
    words = " ".join("".join(token.piece for token in part if not token.special).split())
    if words:
        return f"<{words}>"
    markers = [token.piece.strip() for token in part if token.special]
    return markers[-1] if markers else f"<{len(part)} template {'token' if len(part) == 1 else 'tokens'}>"
