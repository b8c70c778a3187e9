"""Which part of the answer (thinking, answer, neither) each token is shown in, while it grows: at its end as in the
report.
"""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.core.tokens import Segment
from attnviz_video.core.units import DisplayUnit
from attnviz_video.models.segments import segments_of
from attnviz_video.render.sections import sections_of, shown_segments


class AnswerSections:
    """The sections of an answer so far. A token that completes no tag costs no more than looking for one."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._special: list[bool] = []
        self._shown: list[Segment] = []
        self._text = ""

    def push(self, piece: str, *, special: bool, late: str = "") -> list[list[object]]:
        """Take the next token; the sections as [first token, segment], the first token of an answer being 0.

        `late` are characters that the token before turned out to stand for.
        """
        if late:
            self._pieces[-1] += late
        self._pieces.append(piece)
        self._special.append(special)
        # Only a tag that ends changes what earlier tokens belong to.
        if late or ">" in piece or not self._shown:
            self._renew()
        else:
            segment = segments_of([self._text, piece])[-1]
            blank = segment == "other" and (special or not piece.strip())
            self._shown.append(self._shown[-1] if blank else segment)
            self._text += piece
        return [[section.unit, section.segment] for section in sections_of(self._shown)]

    def _renew(self) -> None:
        units = _units(self._pieces, self._special)
        self._shown = list(shown_segments(units, segments_of(self._pieces)))
        self._text = "".join(self._pieces)


def _units(pieces: Sequence[str], special: Sequence[bool]) -> list[DisplayUnit]:
    """Every token as a box of its own; where several share one, its last token decides."""
    return [
        DisplayUnit(number, number + 1, piece, ends)
        for number, (piece, ends) in enumerate(zip(pieces, special, strict=True))
    ]
