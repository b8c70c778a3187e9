"""Boxes on the pictures of a figure: those of the dataset and those that the answer writes, as lines with a label."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.analysis.scores import Scores
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import PointBox, Sheet
from attnviz_video.render.image_boxes import ShownBox, answer_boxes, on_picture, truth_boxes
from attnviz_video.render.image_view import ImageView
from attnviz_video.theme import Theme


def shown_boxes(scores: Scores, boxes: str) -> tuple[ShownBox, ...]:
    """The boxes that the setting `--boxes` asks for."""
    return (
        *(truth_boxes(scores.trace) if boxes in ("truth", "both") else ()),
        *(answer_boxes(scores.trace) if boxes in ("answer", "both") else ()),
    )


def draw_boxes(
    sheet: Sheet, boxes: Sequence[ShownBox], step: int, view: ImageView, corner: tuple[float, float], look: Theme
) -> None:
    """Those of `boxes` that lie on the picture of `view` (drawn from `corner` on) and are known at answer token `step`.

    A box of the answer is dashed, as on a frame. A label that finds no free place is left out.
    """
    taken: list[PointBox] = []
    picture_height = view.pixels.shape[0] * sheet.dot
    for box in boxes:
        place = on_picture(box.box, view) if box.image == view.picture.image and box.first_step <= step else None
        if place is None:
            continue
        left, right = (corner[0] + edge * sheet.dot for edge in (place[0], place[2]))
        top, bottom = (corner[1] + edge * sheet.dot for edge in (place[1], place[3]))
        color, half = look.color(f"box.{box.style}"), pt("box.rim") / 2
        inside = (left + half, top + half, right - half, bottom - half)
        sheet.box(inside, None, rim=look.color("box.rim"), rim_width=pt("box.rim"))
        sheet.box(inside, None, rim=color, rim_width=pt("box.line"), dashed=box.style == "answer")
        end = corner[0] + view.pixels.shape[1] * sheet.dot
        words = sheet.fonts.fit(sheet.fonts.visible(box.label), pt("small.text"), end - left - 2 * pt("token.padding"))
        width = sheet.fonts.width(words, pt("small.text")) + 2 * pt("token.padding")
        height = sheet.fonts.height * pt("small.text")
        # Above the box, below it, or in its corner where that hides little of it; else the box goes without.
        tops = [y for y in (top - height, bottom) if corner[1] <= y <= corner[1] + picture_height - height]
        tops += [top] if width <= (right - left) / 2 and height <= (bottom - top) / 2 else []
        tags = [(left, y, left + width, y + height) for y in tops]
        tag = next((tag for tag in tags if not any(overlap(tag, other) for other in taken)), None)
        if words and tag is not None:
            taken.append(tag)
            sheet.box(tag, color)
            baseline = tag[1] + sheet.fonts.ascent * pt("small.text")
            sheet.words(left + pt("token.padding"), baseline, words, pt("small.text"), look.color("box.ink"))


def overlap(one: PointBox, other: PointBox) -> bool:
    """Whether two boxes have points in common."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
