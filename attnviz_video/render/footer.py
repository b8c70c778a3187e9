"""The lines below the picture: the step in numbers, and which model, layer, heads and rows are shown."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.step import StepInfo
from attnviz_video.render.brush import fill, mark_sink, write
from attnviz_video.render.escape import SPACE_MARK, special_tag
from attnviz_video.render.numbers import percent
from attnviz_video.render.plan import FramePlan
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme

_CANDIDATES_SHOWN = 3
#: Longest piece of a candidate that is written out.
_LONGEST_PIECE = 16
_SEPARATOR = "  ·  "


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
        self._status_end = self._paint_keys(frame) - theme.px("frame.gap")
        left, top, right, _ = self._plan.footer
        words = footer_words(self._scores)
        guessed = "layout guessed" if self._scores.trace.layout.guessed else ""
        if guessed:
            right -= face.width(guessed)
            write(frame, right, top, guessed, face, theme.color("notice"))
            right -= theme.px("frame.gap")
        model = face.visible(self._scores.trace.header.model.short_name)
        room = right - left - face.width(_SEPARATOR + words)
        model = short_model_id(model, max(room, (right - left) // 5), face)
        write(frame, left, top, face.fit(f"{model}{_SEPARATOR}{words}", right - left), face, theme.color("ink.soft"))

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], number: int, *, has_row: bool) -> None:
        """How far the answer is, the probability of the current token, and what else the model considered."""
        theme, face = self._theme, self._face
        left, top, right, bottom = self._plan.progress
        fill(frame, (left, top, right, bottom), theme.color("track"))
        done = (right - left) * (number + 1) // self._scores.n_frames
        fill(frame, (left, top, left + done, bottom), theme.color("accent"))
        x, y, end = self._plan.status[0], self._plan.status[1], self._status_end
        info = self._infos[self._scores.steps[number]]
        parts = [(f"step {number + 1}/{self._scores.n_frames}", "ink")]
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

    def _paint_keys(self, frame: UInt8[np.ndarray, "height width 3"]) -> int:
        """What the marks mean, at the right; returns where they begin."""
        theme, face = self._theme, self._face
        _, top, right, _ = self._plan.status
        half = face.height // 2
        keys = ["current token"]
        if self._scores.sinks:
            keys.append("attention sink")
        if self._scores.trace.layout.images:
            keys.append("peak patch")
        x = right
        for key in reversed(keys):
            x -= face.width(key)
            write(frame, x, top, key, face, theme.color("ink.soft"))
            x -= face.height
            radius = max(2, half - half // 3)
            middle = (x + half, top + half)
            self._paint_key(frame, key, middle, radius)
            x -= theme.px("frame.gap")
        return x

    def _paint_key(
        self, frame: UInt8[np.ndarray, "height width 3"], key: str, middle: tuple[int, int], radius: int
    ) -> None:
        theme, (x, y) = self._theme, middle
        square = (x - radius, y - radius, x + radius, y + radius)
        rim = max(1, radius // 4)
        inner = (square[0] + rim, square[1] + rim, square[2] - rim, square[3] - rim)
        if key == "attention sink":
            mark_sink(frame, x, y, theme.px("sink.radius"), theme.color("sink.fill"), theme.color("sink.rim"))
        elif key == "current token":
            fill(frame, square, theme.color("token.current.outline"))
            fill(frame, inner, theme.color("token.current"))
        else:
            fill(frame, square, theme.color("peak.outer"))
            fill(frame, inner, theme.color("peak.inner"))
            hollow = (inner[0] + rim, inner[1] + rim, inner[2] - rim, inner[3] - rim)
            fill(frame, hollow, theme.color("ramp.ground"))


def short_model_id(model: str, room: int, face: Typeface) -> str:
    """`model` in `room` pixels, shortened from the left, at a folder where that is possible: `…/Qwen2-VL-2B`."""
    short = face.fit(model, room, keep="end")
    folder = short.find("/")
    return "…" + short[folder:] if short != model and 0 < folder < len(short) - 1 else short


def footer_words(scores: Scores) -> str:
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
    return _SEPARATOR.join(
        (
            f"layer {scores.layer} of 0–{model.n_layers - 1}{window}",
            heads.get(settings.head, f"head {settings.head}"),
            convention,
            sinks,
        )
    )


def probability_words(info: StepInfo) -> tuple[str, ...]:
    """The probability of the produced token, then the likeliest candidates."""
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
