"""The status line: the step in numbers, the probability of the current token, and what else the model considered."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.step import StepInfo
from attnviz_video.core.trace import TraceHeader
from attnviz_video.render.escape import SPACE_MARK, special_tag
from attnviz_video.render.keys import paint_keys, told_keys
from attnviz_video.render.letters import Letters
from attnviz_video.render.numbers import percent
from attnviz_video.render.plan import FramePlan
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme

_CANDIDATES_SHOWN = 3
#: Longest piece of a candidate that is written out.
_LONGEST_PIECE = 16
_SEPARATOR = "  ·  "
_NO_ROW = "no row: nothing was written after this token"


class StatusLine:
    """Paints the status line and the keys at its end."""

    def __init__(self, scores: Scores, plan: FramePlan, look: Theme, faces: Faces, boxes: str = "none") -> None:
        self._scores = scores
        self._plan = plan
        self._theme = look
        self._boxes = boxes
        self._face = faces.small
        self._letters = Letters(faces.small, look.color("frame.background"))
        self._end = plan.status[2]
        self._infos = {info.index: info for info in scores.trace.steps}

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """The keys, which are the same on every frame."""
        names = told_keys(self._scores, self._theme, self._boxes)
        shares_line = self._plan.keys == self._plan.status
        start = paint_keys(
            frame, names, self._keys_box(shares_line=shares_line), self._face, self._theme, at_left=not shares_line
        )
        self._end = start if shares_line else self._plan.status[2]

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], number: int, *, has_row: bool) -> None:
        """How far the answer is, and the probabilities of this step; whole parts only, as many as have room."""
        color, letters = self._theme.color, self._letters
        x, y, end = self._plan.status[0], self._plan.status[1], self._end
        info = self._infos[self._scores.steps[number]]
        parts = [(words, "notice" if place else "ink") for place, words in enumerate(self._progress_words(number))]
        if not has_row:
            parts.append((_NO_ROW, "notice"))
        parts.append((probability_words(info)[0], "ink"))
        for place, (words, ink) in enumerate(parts):
            start = x + (letters.width(_SEPARATOR) if place else 0)
            if start + letters.width(words) > end:
                return
            if place:
                letters.write(frame, x, y, _SEPARATOR, color("ink.faint"))
            x = letters.write(frame, start, y, words, color(ink))
        if "candidates" in self._theme.details:
            for place, words in enumerate(candidate_words(info)):
                before = "   " if place else f"{_SEPARATOR}likeliest: "
                if x + letters.width(before + words) > end:
                    return
                x = letters.write(frame, x, y, before, color("ink.soft"))
                x = letters.write(frame, x, y, words, color("ink.soft"))

    def _progress_words(self, number: int) -> tuple[str, ...]:
        """Which step of how many, whether of a replay, and whether the recording came to its end."""
        trace = self._scores.trace
        incomplete = "" if trace.status == "complete" else "recording incomplete"
        words = (f"step {number + 1}/{self._scores.n_frames}", replay_words(trace.header), incomplete)
        return tuple(filter(None, words))

    def _keys_box(self, *, shares_line: bool) -> PixelBox:
        """The line of the keys without the part that they may never take: the step, the longest one."""
        left, top, right, bottom = self._plan.keys
        if shares_line:
            words = _SEPARATOR.join(self._progress_words(self._scores.n_frames - 1))
            left += self._letters.width(words) + self._theme.px("frame.gap")
        return left, top, right, bottom


def replay_words(header: TraceHeader) -> str:
    """What is said where the answer was not generated for this recording; empty where it was."""
    if header.kind != "replay":
        return ""
    return "replay, re-tokenised" if header.generation.get("retokenised") else "replay"


def probability_words(info: StepInfo) -> tuple[str, ...]:
    """The probability of the produced token, then the likeliest candidates; words where they were not recorded."""
    if math.isnan(info.log_probability):
        return ("probabilities not recorded",)
    share = percent(math.exp(info.log_probability))
    own = f"p {share}" if share.startswith("<") else f"p = {share}"
    listed = "   ".join(candidate_words(info))
    return (own, f"likeliest: {listed}") if listed else (own,)


def candidate_words(info: StepInfo) -> tuple[str, ...]:
    """The likeliest candidates of a step with their probabilities; none where they were not recorded."""
    best = () if math.isnan(info.log_probability) else info.candidates[:_CANDIDATES_SHOWN]
    return tuple(f"{quoted(candidate.piece)} {percent(candidate.probability)}" for candidate in best)


def quoted(piece: str) -> str:
    """A token's piece on one line, between quotation marks."""
    text = piece.strip(" ") or piece.replace(" ", SPACE_MARK)
    text = special_tag(text) if text.startswith("<|") else text
    text = text if len(text) <= _LONGEST_PIECE else text[: _LONGEST_PIECE - 1] + "…"
    return f"“{text}”"
