"""The footer: which model, layer, heads, method and rows are shown, and what became of the sinks."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.heads import heads_in_words
from attnviz_video.analysis.scores import Scores
from attnviz_video.render.brush import write
from attnviz_video.render.plan import FramePlan
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme

#: Fewer characters of a model's name say nothing.
_LEAST_MODEL = 8
_SEPARATOR = "  ·  "
_NARROW_SEPARATOR = " · "


class Footer:
    """Paints the footer, which is the same on every frame."""

    def __init__(self, scores: Scores, plan: FramePlan, look: Theme, faces: Faces) -> None:
        self._scores = scores
        self._box = plan.footer
        self._theme = look
        self._face = faces.small

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """One line, or two where the plan has room for them."""
        theme, face = self._theme, self._face
        left, top, right, bottom = self._box
        guessed = "layout guessed" if self._scores.trace.layout.guessed else ""
        if guessed:
            right -= face.width(guessed)
            write(frame, right, top, guessed, face, theme.color("notice"))
            right -= theme.px("frame.gap")
        two_lines = bottom - top >= 2 * face.height
        lines = footer_lines(self._scores, right - left, face) if two_lines else ()
        for number, words in enumerate(lines or (fitting_words(self._scores, right - left, face),)):
            line_top = top + number * face.height
            write(frame, left, line_top, face.fit(words, right - left), face, theme.color("ink.soft"))


def short_model_id(model: str, room: int, face: Typeface) -> str:
    """`model` in `room` pixels, shortened from the left, at a folder where that is possible: `…/Qwen2-VL-2B`."""
    short = face.fit(model, room, keep="end")
    folder = short.find("/")
    return "…" + short[folder:] if short != model and 0 < folder < len(short) - 1 else short


def fitting_words(scores: Scores, room: int, face: Typeface) -> str:
    """The footer's words in `room` pixels; its convention is never cut.

    First the model's name is shortened, then the other words, then the name is left out; then the separators and the
    words are shortened; the last resort begins with the convention and may be cut at its end.
    """
    long, plain = (_SEPARATOR.join(footer_words(scores, plain_heads=plain)) for plain in (False, True))
    convention, *rest = short_footer_words(scores)
    wordings = [
        *_after_model(long, scores, room, face),
        *_after_model(plain, scores, room, face),
        *_after_model(_SEPARATOR.join((*rest[:2], convention, *rest[2:])), scores, room, face),
        long,
        plain,
        _NARROW_SEPARATOR.join(footer_words(scores, plain_heads=True)),
        _NARROW_SEPARATOR.join((*rest[:2], convention, *rest[2:])),
        _NARROW_SEPARATOR.join((convention, rest[2], *rest[:2])),
    ]
    return next((words for words in wordings if face.width(words) <= room), wordings[-1])


def _after_model(words: str, scores: Scores, room: int, face: Typeface) -> tuple[str, ...]:
    """The model's name before `words`, shortened to fit into `room` pixels; none where too little of it is left."""
    model = face.visible(scores.trace.header.model.short_name)
    short_model = short_model_id(model, max(0, room - face.width(_SEPARATOR + words)), face)
    return (f"{short_model}{_SEPARATOR}{words}",) if len(short_model) >= min(len(model), _LEAST_MODEL) else ()


def footer_lines(scores: Scores, room: int, face: Typeface) -> tuple[str, ...]:
    """The footer's words on two lines of `room` pixels; none where one line holds them all, or two do not."""
    model = face.visible(scores.trace.header.model.short_name)
    if face.width(_SEPARATOR.join((model, *footer_words(scores)))) <= room:
        return ()
    layer, heads, convention, sinks = footer_words(scores)
    _, short_layer, short_heads, _ = short_footer_words(scores)
    rows = _SEPARATOR.join((convention, sinks))
    plain_heads = footer_words(scores, plain_heads=True)[1]
    for words in map(_SEPARATOR.join, ((layer, heads), (layer, plain_heads), (short_layer, short_heads))):
        first = next(iter(_after_model(words, scores, room, face)), words)
        if max(face.width(first), face.width(rows)) <= room:
            return first, rows
    return ()


def footer_words(scores: Scores, *, plain_heads: bool = False) -> tuple[str, str, str, str]:
    """Layer, method and heads, convention and the treatment of sinks, in words; `plain_heads`: without what follows
    from the method.
    """
    model, settings = scores.trace.header.model, scores.settings
    kind = model.layer_kinds[scores.layer] if scores.layer < len(model.layer_kinds) else "full"
    window = "" if kind == "full" else f" ({kind})"
    of_heads = heads_in_words(settings.head, model.n_heads, short=plain_heads)
    convention = {
        "predicting": "row that produced the blue token",
        "reading": "row of the blue token itself",
    }[settings.convention]
    sinks = {"raw": "sinks included", "mask": "sinks left out", "relative": "over the mean"}[settings.sinks]
    return (
        f"layer {scores.layer} of 0–{model.n_layers - 1}{window}",
        f"attention, {of_heads}",
        convention,
        sinks,
    )


def short_footer_words(scores: Scores) -> tuple[str, str, str, str]:
    """The same for little room: convention, layer, heads, sinks."""
    head = scores.settings.head
    _, _, convention, sinks = footer_words(scores)
    return convention, f"layer {scores.layer}", f"{head} of heads" if head in ("mean", "max") else f"head {head}", sinks
