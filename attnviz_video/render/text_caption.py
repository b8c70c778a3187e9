"""The line below the text panel: how much of the row lies on the text shown, and how much on text that is not."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.shares import RowShares
from attnviz_video.core.layout import PixelBox
from attnviz_video.render.letters import Letters
from attnviz_video.render.numbers import percent
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme


class TextCaption:
    """Writes the shares of the text, shown and hidden, into `box` of a frame; those of the images stand at them."""

    def __init__(self, scores: Scores, box: PixelBox, look: Theme, faces: Faces) -> None:
        self._hides = scores.has_hidden_text
        self._n_sinks = len(scores.hidden_sinks)
        self._row = row_name(scores)
        self._box = box
        self._theme = look
        self._face = faces.small
        self._letters = Letters(faces.small, look.color("frame.background"))

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], shares: RowShares) -> None:
        """The longest wording that fits."""
        left, top, right, _ = self._box
        wordings = caption_wordings(shares, self._row, hides=self._hides, n_sinks=self._n_sinks)
        room = right - left
        fitting = (words for words in wordings if self._letters.width(words) <= room)
        words = next(fitting, "") or self._face.fit(wordings[-1], room)
        self._letters.write(frame, left, top, words, self._theme.color("ink"))


def row_name(scores: Scores) -> str:
    """What the shares are shares of; a maximum over heads is no distribution, so theirs are of the mean."""
    return "mean row" if scores.head.kind == "max" else "row"


def caption_wordings(shares: RowShares, row: str, *, hides: bool, n_sinks: int) -> tuple[str, ...]:
    """The split of the row in words, the longest first; `n_sinks` of them stand in the hidden text."""
    if math.isnan(shares.shown):
        return ("no row",)
    shown = percent(shares.shown)
    if not hides:
        return f"text: {shown} of the {row}", f"text {shown}"
    hidden = percent(shares.hidden)
    sinks = {0: "", 1: "1 sink"}.get(n_sinks, f"{n_sinks} sinks")
    held = f", {sinks} in it" if sinks else ""
    return (
        f"text shown: {shown} of the {row}  ·  hidden text: {hidden}{held}",
        f"text shown {shown} · hidden {hidden}" + (f" ({sinks})" if sinks else ""),
        f"shown {shown} · hidden {hidden}",
    )
