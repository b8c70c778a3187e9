"""Boxes on the pictures: where things are known to be, and where the answer says they are."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from jaxtyping import Bool, Int, UInt8

from attnviz_video.analysis.written_boxes import placed_boxes, written_boxes
from attnviz_video.core.layout import Box, PixelBox
from attnviz_video.core.trace import TraceData
from attnviz_video.render.brush import canvas, clip_box, write
from attnviz_video.render.image_view import ImageView
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme

#: Boxes of an answer that are drawn; a picture with more of them shows nothing any more.
MOST_BOXES = 40
#: One of this many dashes of an answer's box is a gap.
_DASHES = 3


@dataclass(frozen=True)
class ShownBox:
    """A box to draw on the pictures of one image, in original pixels."""

    image: int
    box: Box
    label: str
    #: Answer token from which on it is shown.
    first_step: int
    #: "truth" or "answer": its colour and its line.
    style: str


@dataclass(frozen=True, eq=False)
class Stamp:
    """Pixels of the frame that a box takes once it is shown."""

    first_step: int
    y: Int[np.ndarray, "pixels"]
    x: Int[np.ndarray, "pixels"]
    colors: UInt8[np.ndarray, "pixels 3"]

    def paint(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        frame[self.y, self.x] = self.colors


def truth_boxes(trace: TraceData) -> tuple[ShownBox, ...]:
    """The boxes of the sample, shown from the beginning; of several phrases for one box the first is its label."""
    found: dict[tuple[int, Box], ShownBox] = {}
    for entry in trace.header.sample.boxes:
        if 0 <= entry.image < len(trace.layout.images):
            box = ShownBox(entry.image, entry.box, entry.phrase, 0, "truth")
            found.setdefault((entry.image, entry.box), box)
    return tuple(found.values())


def answer_boxes(trace: TraceData) -> tuple[ShownBox, ...]:
    """The boxes that the answer writes, numbered as they come, each from the token on that completes it."""
    ends = list(accumulate(len(token.piece) for token in trace.tokens[trace.n_prompt :]))
    placed = placed_boxes(written_boxes(trace.answer_text), trace.layout, trace.header.model.model_type)
    return tuple(
        ShownBox(box.image, box.box, str(number), bisect_left(ends, box.stop), "answer")
        for number, box in enumerate(placed[:MOST_BOXES], 1)
    )


def stamps(boxes: Sequence[ShownBox], views: Sequence[ImageView], look: Theme, face: Typeface) -> tuple[Stamp, ...]:
    """The pixels of `boxes` on all pictures of their images; labels that find no free place are left out."""
    found = []
    for view in views:
        taken: list[PixelBox] = []
        for box in boxes:
            shown = on_picture(box.box, view) if box.image == view.picture.image else None
            if shown is not None:
                found.append(_stamp(box, shown, view, taken, look, face))
    return tuple(found)


def on_picture(box: Box, view: ImageView) -> PixelBox | None:
    """`box` (original pixels) in pixels of the picture, cut off at its border; None where it lies outside."""
    left, top, right, bottom = view.picture.crop
    height, width = view.pixels.shape[:2]
    x_scale, y_scale = width / (right - left), height / (bottom - top)
    if not (box[0] < right and box[2] > left and box[1] < bottom and box[3] > top):
        return None
    places = ((box[0] - left) * x_scale, (box[1] - top) * y_scale, (box[2] - left) * x_scale, (box[3] - top) * y_scale)
    x0, y0, x1, y1 = (int(min(max(place, -1.0), width + height + 1.0) + 0.5) for place in places)
    x0, y0, x1, y1 = clip_box((x0, y0, x1, y1), width, height)
    # At least one pixel, and within the picture.
    x0, y0 = min(x0, width - 1), min(y0, height - 1)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


def _stamp(
    box: ShownBox, shown: PixelBox, view: ImageView, taken: list[PixelBox], look: Theme, face: Typeface
) -> Stamp:
    height, width = view.pixels.shape[:2]
    color, rim = look.color(f"box.{box.style}"), look.px("box.rim")
    line = 2 * rim + look.px("box.line")
    line = max(1, min(line, (shown[2] - shown[0]) // 3, (shown[3] - shown[1]) // 3))
    drawn, coloured = np.zeros((height, width), dtype=bool), np.zeros((height, width), dtype=bool)
    mark_rim(drawn, shown, line)
    inset = rim if line > 2 * rim else 0
    inner = (shown[0] + inset, shown[1] + inset, shown[2] - inset, shown[3] - inset)
    mark_rim(coloured, inner, line - 2 * inset)
    y, x = np.nonzero(drawn)
    is_coloured = coloured[y, x]
    if box.style == "answer":
        is_coloured &= (x + y) // look.px("box.dash") % _DASHES != 0
    colors = np.where(is_coloured[:, None], np.array(color), np.array(look.color("box.rim"))).astype(np.uint8)
    tag = tag_place(box.label, shown, (width, height), taken, look, face)
    if tag is not None:
        taken.append(tag)
        label = canvas(tag[2] - tag[0], tag[3] - tag[1], color)
        write(label, look.px("box.padding"), 0, face.visible(box.label), face, look.color("box.ink"))
        rows, columns = np.indices(label.shape[:2]).reshape(2, -1)
        # After the rim, so that the label lies over it.
        y, x = np.concatenate([y, rows + tag[1]]), np.concatenate([x, columns + tag[0]])
        colors = np.concatenate([colors, label.reshape(-1, 3)])
    return Stamp(box.first_step, y + view.box[1], x + view.box[0], colors)


def mark_rim(mask: Bool[np.ndarray, "height width"], box: PixelBox, width: int) -> None:
    """Set the pixels of a rim of `width` pixels just inside of `box`, which lies within the mask."""
    left, top, right, bottom = box
    mask[top : top + width, left:right] = True
    mask[bottom - width : bottom, left:right] = True
    mask[top:bottom, left : left + width] = True
    mask[top:bottom, right - width : right] = True


def tag_place(
    label: str, shown: PixelBox, size: tuple[int, int], taken: Sequence[PixelBox], look: Theme, face: Typeface
) -> PixelBox | None:
    """Where the label of a box stands: above it, below it, or in its corner; None where there is no free place."""
    width, height = face.width(face.visible(label)) + 2 * look.px("box.padding"), face.height
    left = max(0, min(shown[0], size[0] - width))
    for x, y in ((left, shown[1] - height), (left, shown[3]), (left, shown[1]), (left, shown[3] - height)):
        place = (x, y, x + width, y + height)
        is_inside = place[2] <= size[0] and y >= 0 and place[3] <= size[1]
        if label and is_inside and not any(_meet(place, other) for other in taken):
            return place
    return None


def _meet(one: PixelBox, other: PixelBox) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
