"""What stands below a picture: its name, and its share of the row as a bar and in words.

The form of the words is chosen once, with room for the widest numbers and for all pictures alike: from frame to frame
only the numbers change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
#: Shares that have the widest words: all, hardly any, and no row.
_WIDE_SHARES = (1.0, 0.0001, float("nan"))


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
    #: What the areas of the image are called that no picture shows; "" where all are shown.
    aside: str = ""


@dataclass(frozen=True)
class Share:
    """How much of the row lies on a picture; NaN without a row."""

    share: float
    #: What of it lies on areas that are not painted.
    unpainted: float = 0.0


@dataclass(frozen=True)
class Form:
    """Which words the captions of a video use, the same for all of its pictures."""

    #: Which of the names; None: no name.
    name: int | None
    #: Which of `UNSEEN`, on the pictures that have shaded parts; None: none.
    note: int | None = None
    #: Whether the share says of what.
    says_row: bool = False
    #: Whether what lies on areas that are not painted is told.
    says_aside: bool = True
    #: Whether the name is cut to the room that the share leaves.
    is_cut: bool = False

    def label(self, labels: Labels) -> str:
        """The name and what is shaded, not cut."""
        name = "" if self.name is None else labels.names[min(self.name, len(labels.names) - 1)]
        note = UNSEEN[self.note] if self.note is not None and labels.has_unseen else ""
        return f"{name} ({note})" if name and note else name or note

    def words(self, share: Share, row: str, aside: str) -> str:
        """The share in words; what lies on `aside` is told even where it is nothing, as the next frame has some."""
        is_told = bool(aside) and self.says_aside
        return share_words(share.share, row if self.says_row else "", share.unpainted if is_told else None, aside)

    def widest(self, row: str, aside: str, letters: Letters) -> str:
        """The widest words that `words` may give."""
        return max((self.words(Share(one, 1.0), row, aside) for one in _WIDE_SHARES), key=letters.width)


def choose_form(labels: Sequence[Labels], rooms: Sequence[int], row: str, letters: Letters) -> Form:
    """The form that says most and fits, with any share, below every picture (`rooms` in pixels).

    The share comes first, then what is shaded, then the name.
    """

    def left(form: Form, one: Labels, room: int) -> int:
        return room - letters.width("  " + form.widest(row, one.aside, letters))

    pairs = list(zip(labels, rooms, strict=True))
    for form in _forms(labels):
        texts = (f"{form.label(one)}  {form.widest(row, one.aside, letters)}" for one in labels)
        if all(letters.width(text) <= room for text, room in zip(texts, rooms, strict=True)):
            return form
    says_aside = all(left(Form(None), one, room) >= 0 for one, room in pairs)
    n_names = max((len(one.names) for one in labels), default=0)
    for name in range(n_names):
        form = Form(name, says_aside=says_aside)
        if all(letters.width(form.label(one)) <= left(form, one, room) for one, room in pairs):
            return form
    form = Form(n_names - 1, says_aside=says_aside, is_cut=True)
    cut = (letters.face.fit(form.label(one), left(form, one, room)) for one, room in pairs)
    # A single letter and an ellipsis say nothing.
    is_readable = all(
        len(text.rstrip("…")) > 2 or text == form.label(one) for text, one in zip(cut, labels, strict=True)
    )
    return form if is_readable else Form(None, says_aside=says_aside)


def _forms(labels: Sequence[Labels]) -> Iterator[Form]:
    """Forms in which nothing is cut, the one that says most first."""
    n_names = max((len(one.names) for one in labels), default=0)
    if any(one.has_unseen for one in labels):
        notes, both = range(len(UNSEEN)), (True, False)
        ends = dict.fromkeys((0, n_names - 1))
        yield from (Form(name, note, says_row) for says_row in both for name in ends for note in notes)
        # The name of the only picture is missed less than what its shade means.
        if n_names == 1:
            yield from (Form(None, note, says_row) for says_row in both for note in notes)
    yield from (Form(name, None, says_row) for name in range(n_names) for says_row in (True, False))


class ImageCaption:
    """Paints the caption of one picture, never wider than its cell: captions of neighbours cannot meet.

    `span` is the left and the right edge in pixels, `top` the lower edge of the picture.
    """

    def __init__(
        self, labels: Labels, span: tuple[int, int], top: int, row: str, form: Form, look: Theme, letters: Letters
    ) -> None:
        self._letters, self._theme, self._row, self._form = letters, look, row, form
        self._left, self._right = span
        self._top = top + look.px("frame.row_gap")
        self._aside = labels.aside
        room = self._right - self._left
        #: What stands at the left on every frame.
        self.label = form.label(labels)
        if form.is_cut:
            left = room - letters.width("  " + form.widest(row, labels.aside, letters))
            self.label = letters.face.fit(self.label, left)

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], share: Share) -> None:
        """The bar and the words."""
        theme, left, right = self._theme, self._left, self._right
        y = self._top
        if not np.isnan(share.share):
            bottom = y + theme.px("share.bar")
            end = left + round((right - left) * min(1.0, share.share))
            fill(frame, (end, y, right, bottom), theme.color("track"))
            fill(frame, (left, y, end, bottom), theme.color("ink.soft"))
        y += theme.px("share.bar") + theme.px("frame.row_gap") // 2
        words = self.words(share)
        self._letters.write(frame, right - self._letters.width(words), y, words, theme.color("ink"))
        self._letters.write(frame, left, y, self.label, theme.color("ink.soft"))

    def words(self, share: Share) -> str:
        """What stands at the right; cut only where not even a number has room."""
        words, room = self._form.words(share, self._row, self._aside), self._right - self._left
        return words if self._letters.width(words) <= room else self._letters.face.fit(words, room)


def image_captions(
    labels: Sequence[Labels],
    pictures: Sequence[PixelBox],
    cells: Sequence[PixelBox],
    row: str,
    look: Theme,
    letters: Letters,
) -> list[ImageCaption]:
    """The captions of all pictures of a video, in one form; a picture stands in its cell."""
    face = letters.face
    shown = [Labels(tuple(face.visible(name) for name in one.names), one.has_unseen, one.aside) for one in labels]
    spans = [_span(picture, cell, caption_width(face)) for picture, cell in zip(pictures, cells, strict=True)]
    form = choose_form(shown, [right - left for left, right in spans], row, letters)
    return [
        ImageCaption(one, span, picture[3], row, form, look, letters)
        for one, span, picture in zip(shown, spans, pictures, strict=True)
    ]


def _span(picture: PixelBox, cell: PixelBox, wanted: int) -> tuple[int, int]:
    """In line with the picture, but for one that is narrower than the words (`wanted`): those take the cell."""
    least = min(cell[2] - cell[0], wanted)
    middle = (picture[0] + picture[2]) // 2
    left = min(picture[0], max(cell[0], min(middle - least // 2, cell[2] - least)))
    return left, max(picture[2], min(cell[2], left + least))


def share_words(share: float, row: str = "", unpainted: float | None = None, where: str = "thumbnail") -> str:
    """`43.2 % of the row`, or only the number where there is no room to say of what.

    What of it lies on areas that are not painted (`where`) is told too; None: there are none.
    """
    if np.isnan(share):
        return "no row"
    words = f"{percent(share)} of the {row}" if row else percent(share)
    if unpainted is not None:
        aside = percent(unpainted)
        words += f", {aside} on the {where} (not painted)" if row else f" ({aside} {where})"
    return words
