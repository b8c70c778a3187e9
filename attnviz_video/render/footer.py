"""The lines below the picture: the step in numbers, and which model, layer, heads and rows are shown."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.step import StepInfo
from attnviz_video.core.trace import TraceHeader
from attnviz_video.render.brush import fill, write
from attnviz_video.render.escape import SPACE_MARK, special_tag
from attnviz_video.render.keys import key_names, paint_keys
from attnviz_video.render.numbers import percent
from attnviz_video.render.plan import FramePlan
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme

_CANDIDATES_SHOWN = 3
#: Longest piece of a candidate that is written out.
_LONGEST_PIECE = 16
#: Fewer characters of a model's name say nothing.
_LEAST_MODEL = 8
_SEPARATOR = "  ·  "
_NARROW_SEPARATOR = " · "


class Footer:
    """Paints title, progress, status and footer."""

    def __init__(self, scores: Scores, plan: FramePlan, title: str, look: Theme, faces: Faces) -> None:
        self._scores = scores
        self._plan = plan
        self._title = " ".join(title.split())
        self._theme = look
        self._face = faces.small
        self._title_face = faces.title
        self._status_end = plan.status[2]
        self._infos = {info.index: info for info in scores.trace.steps}

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Title, keys and footer, which are the same on every frame."""
        theme, face = self._theme, self._face
        left, top, right, _ = self._plan.title
        bold = self._title_face
        write(frame, left, top, bold.fit(bold.visible(self._title), right - left), bold, theme.color("ink"))
        self._status_end = paint_keys(frame, key_names(self._scores), self._keys_box(), face, theme)
        left, top, right, _ = self._plan.footer
        guessed = "layout guessed" if self._scores.trace.layout.guessed else ""
        if guessed:
            right -= face.width(guessed)
            write(frame, right, top, guessed, face, theme.color("notice"))
            right -= theme.px("frame.gap")
        words = fitting_words(self._scores, right - left, face)
        write(frame, left, top, face.fit(words, right - left), face, theme.color("ink.soft"))

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], number: int, *, has_row: bool) -> None:
        """How far the answer is, the probability of the current token, and what else the model considered."""
        theme, face = self._theme, self._face
        left, top, right, bottom = self._plan.progress
        fill(frame, (left, top, right, bottom), theme.color("track"))
        done = (right - left) * (number + 1) // self._scores.n_frames
        fill(frame, (left, top, left + done, bottom), theme.color("accent"))
        x, y, end = self._plan.status[0], self._plan.status[1], self._status_end
        info = self._infos[self._scores.steps[number]]
        parts = [(words, "notice" if place else "ink") for place, words in enumerate(self._progress_words(number))]
        if not has_row:
            parts.append(("no row: nothing was written after this token", "notice"))
        parts += [(words, "ink" if place == 0 else "ink.soft") for place, words in enumerate(probability_words(info))]
        for place, (words, color) in enumerate(parts):
            shown = face.visible(words)
            start = x + (face.width(_SEPARATOR) if place else 0)
            if start + face.width(shown) > end:
                break
            if place:
                write(frame, x, y, _SEPARATOR, face, theme.color("ink.faint"))
            x = write(frame, start, y, shown, face, theme.color(color))

    def _progress_words(self, number: int) -> tuple[str, ...]:
        """Which step of how many, whether of a replay, and whether the recording came to its end."""
        trace = self._scores.trace
        incomplete = "" if trace.status == "complete" else "recording incomplete"
        words = (f"step {number + 1}/{self._scores.n_frames}", replay_words(trace.header), incomplete)
        return tuple(filter(None, words))

    def _keys_box(self) -> PixelBox:
        """The status line without the part that the keys may never take: the step, the longest one."""
        left, top, right, bottom = self._plan.status
        words = self._face.visible(_SEPARATOR.join(self._progress_words(self._scores.n_frames - 1)))
        return left + self._face.width(words) + self._theme.px("frame.gap"), top, right, bottom


def short_model_id(model: str, room: int, face: Typeface) -> str:
    """`model` in `room` pixels, shortened from the left, at a folder where that is possible: `…/Qwen2-VL-2B`."""
    short = face.fit(model, room, keep="end")
    folder = short.find("/")
    return "…" + short[folder:] if short != model and 0 < folder < len(short) - 1 else short


def fitting_words(scores: Scores, room: int, face: Typeface) -> str:
    """The footer's words in `room` pixels; its convention is never cut.

    First the model's name is shortened, then left out; then the separators and the words are shortened; the last
    resort begins with the convention and may be cut at its end.
    """
    long = _SEPARATOR.join(footer_words(scores))
    model = face.visible(scores.trace.header.model.short_name)
    short_model = short_model_id(model, max(0, room - face.width(_SEPARATOR + long)), face)
    convention, *rest = short_footer_words(scores)
    wordings = [
        *([f"{short_model}{_SEPARATOR}{long}"] if len(short_model) >= min(len(model), _LEAST_MODEL) else []),
        long,
        _NARROW_SEPARATOR.join(footer_words(scores)),
        _NARROW_SEPARATOR.join((*rest[:2], convention, *rest[2:])),
        _NARROW_SEPARATOR.join((convention, rest[2], *rest[:2])),
    ]
    return next((words for words in wordings if face.width(words) <= room), wordings[-1])


def footer_words(scores: Scores) -> tuple[str, str, str, str]:
    """Layer, heads, convention and the treatment of sinks, in words."""
    model, settings = scores.trace.header.model, scores.settings
    kind = model.layer_kinds[scores.layer] if scores.layer < len(model.layer_kinds) else "full"
    window = "" if kind == "full" else f" ({kind})"
    heads = {"mean": f"mean of {model.n_heads} heads", "max": f"maximum of {model.n_heads} heads"}
    convention = {
        "predicting": "row that produced the blue token",
        "reading": "row of the blue token itself",
    }[settings.convention]
    sinks = {"raw": "sinks included", "mask": "sinks left out", "relative": "over the mean"}[settings.sinks]
    return (
        f"layer {scores.layer} of 0–{model.n_layers - 1}{window}",
        heads.get(settings.head, f"head {settings.head}"),
        convention,
        sinks,
    )


def replay_words(header: TraceHeader) -> str:
    """What is said where the answer was not generated for this recording; empty where it was."""
    if header.kind != "replay":
        return ""
    return "replay, re-tokenised" if header.generation.get("retokenised") else "replay"


def short_footer_words(scores: Scores) -> tuple[str, str, str, str]:
    """The same for little room: convention, layer, heads, sinks."""
    head = scores.settings.head
    _, _, convention, sinks = footer_words(scores)
    return convention, f"layer {scores.layer}", f"{head} of heads" if head in ("mean", "max") else f"head {head}", sinks


def probability_words(info: StepInfo) -> tuple[str, ...]:
    """The probability of the produced token, then the likeliest candidates; words where they were not recorded."""
    if math.isnan(info.log_probability):
        return ("probabilities not recorded",)
    own = f"p = {percent(math.exp(info.log_probability))}"
    best = info.candidates[:_CANDIDATES_SHOWN]
    listed = "   ".join(f"{quoted(candidate.piece)} {percent(candidate.probability)}" for candidate in best)
    return (own, f"likeliest: {listed}") if listed else (own,)


def quoted(piece: str) -> str:
    """A token's piece on one line, between quotation marks."""
    text = piece.strip(" ") or piece.replace(" ", SPACE_MARK)
    text = special_tag(text) if text.startswith("<|") else text
    text = text if len(text) <= _LONGEST_PIECE else text[: _LONGEST_PIECE - 1] + "…"
    return f"“{text}”"
