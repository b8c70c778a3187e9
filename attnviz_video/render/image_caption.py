"""What stands below a picture: its name, and its share of the row as a bar and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.brush import fill
from attnviz_video.render.letters import Letters
from attnviz_video.render.numbers import percent
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme

#: What is said of the parts of a picture that are shaded, in many words and in few.
UNSEEN = ("shaded: not seen by the model", "shaded: not seen")
#: The widest words that a caption should have room for.
_WIDEST = "image 8  100.0 %"


def caption_width(face: Typeface) -> int:
    """Pixels that a caption takes at least to say which image has how much of the row."""
    return face.width(_WIDEST)


def caption_height(face: Typeface, look: Theme) -> int:
    """Pixels below a picture that its caption takes, bar and gaps included."""
    return look.px("frame.row_gap") * 2 + face.height + look.px("share.bar")


@dataclass(frozen=True)
class Labels:
    """The names of a picture, the longest first; the last one may be cut."""

    names: tuple[str, ...]
    #: Whether parts of the picture are shaded.
    has_unseen: bool = False


@dataclass(frozen=True)
class Share:
    """How much of the row lies on a picture; NaN without a row."""

    share: float
    #: What of it lies on areas that are not painted, and what they are called.
    unpainted: float = 0.0
    where: str = "thumbnail"


class ImageCaption:
    """Paints the caption of one picture, never wider than its cell: captions of neighbours cannot meet."""

    def __init__(
        self, labels: Labels, picture: PixelBox, cell: PixelBox, row: str, look: Theme, letters: Letters
    ) -> None:
        self._letters, self._face = letters, letters.face
        face = letters.face
        self._names = tuple(face.visible(name) for name in labels.names)
        self._has_unseen = labels.has_unseen
        self._row = row
        self._theme = look
        # In line with the picture, but for one that is narrower than the words: those take the cell.
        least = min(cell[2] - cell[0], caption_width(face))
        middle = (picture[0] + picture[2]) // 2
        self._left = min(picture[0], max(cell[0], min(middle - least // 2, cell[2] - least)))
        self._right = max(picture[2], min(cell[2], self._left + least))
        self._top = picture[3] + look.px("frame.row_gap")

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], share: Share) -> None:
        """The bar, and the longest words that fit."""
        theme, left, right = self._theme, self._left, self._right
        y = self._top
        if not np.isnan(share.share):
            bottom = y + theme.px("share.bar")
            end = left + round((right - left) * min(1.0, share.share))
            fill(frame, (end, y, right, bottom), theme.color("track"))
            fill(frame, (left, y, end, bottom), theme.color("ink.soft"))
        y += theme.px("share.bar") + theme.px("frame.row_gap") // 2
        label, words = self.wording(share, right - left)
        self._letters.write(frame, right - self._letters.width(words), y, words, theme.color("ink"))
        self._letters.write(frame, left, y, label, theme.color("ink.soft"))

    def wording(self, share: Share, room: int) -> tuple[str, str]:
        """Label and share, as long as fits into `room` pixels: the share first, then what is shaded, then the name."""
        face, width = self._face, self._letters.width
        long = share_words(share.share, self._row, share.unpainted, share.where)
        short = share_words(share.share, "", share.unpainted, share.where)
        for label, words in self._wordings(long, short):
            if width(f"{label}   {words}") <= room:
                return label, words
        words = face.fit(short, room)
        left = room - width(f"  {words}")
        # A single letter and an ellipsis say nothing.
        name = next((name for name in self._names if width(name) <= left), face.fit(self._names[-1], left))
        return (name if len(name.rstrip("…")) > 2 or name in self._names else ""), words

    def _wordings(self, long: str, short: str) -> list[tuple[str, str]]:
        notes = UNSEEN if self._has_unseen else ()
        first, last = self._names[0], self._names[-1]
        labels = [f"{name} ({note})" for name in dict.fromkeys((first, last)) for note in notes]
        wordings = [(label, words) for words in (long, short) for label in labels]
        # The name of the only picture is missed less than what its shade means.
        wordings += [(note, words) for words in (long, short) for note in notes if len(self._names) == 1]
        return wordings + [(name, words) for name in self._names for words in (long, short)]


def share_words(share: float, row: str = "", unpainted: float = 0.0, where: str = "thumbnail") -> str:
    """`43.2 % of the row`, or only the number where there is no room to say of what.

    What of it lies on areas that are not painted (`where`) is told too.
    """
    if np.isnan(share):
        return "no row"
    words = f"{percent(share)} of the {row}" if row else percent(share)
    if unpainted > 0:
        aside = percent(unpainted)
        words += f", {aside} on the {where} (not painted)" if row else f" ({aside} {where})"
    return words
