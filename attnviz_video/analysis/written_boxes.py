"""Boxes that an answer writes down, `(x1,y1),(x2,y2)` or `"bbox_2d": [x1, y1, x2, y2]`, and where they lie.

Corners in round brackets are thousandths of the image's width and height, as Qwen-VL and Qwen2-VL write them (Wang et
al. 2024, "Qwen2-VL", section 2.1: normalised to [0, 1000)), with or without `<|box_start|>` around them. `bbox_2d` is
in pixels of the image as the model was given it for Qwen2.5-VL (Bai et al. 2025, "Qwen2.5-VL Technical Report",
section 2.1.2: absolute coordinates), in thousandths for Qwen3-VL, and taken as pixels of the original image elsewhere.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from attnviz_video.core.layout import Box, TokenLayout

Unit = Literal["thousandths", "pixels"]

#: Every part of these patterns is of bounded length, so that any text is read in time proportional to its length.
_GAP = r"[ \t\r\n]{0,8}"
_NUMBER = rf"{_GAP}([0-9]{{1,6}}(?:\.[0-9]{{1,6}})?){_GAP}"
_CORNERS = re.compile(rf"\({_NUMBER},{_NUMBER}\){_GAP},?{_GAP}\({_NUMBER},{_NUMBER}\)")
_JSON = re.compile(rf"""["']bbox_2d["']{_GAP}:{_GAP}\[{_NUMBER},{_NUMBER},{_NUMBER},{_NUMBER}\]""")
_MENTION = re.compile(r"\b(?:image|picture|figure|img)[ _#]{0,2}([1-9][0-9]?)\b", re.IGNORECASE)

#: Sides in pixels of one patch token of the image as resized, for families that write pixels of it.
_RESIZED_PATCH = {"qwen2_5_vl": 28}
#: Families that write thousandths in `bbox_2d` too.
_JSON_IN_THOUSANDTHS = frozenset({"qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"})
_THOUSAND = 1000.0


@dataclass(frozen=True)
class WrittenBox:
    """One box as the text has it, corners in order whichever way round they were written."""

    box: Box
    unit: Unit
    #: Characters of the text up to the end of the box.
    stop: int
    #: Number of the image, from 1, that was mentioned last before the box; None where none was.
    mentioned: int | None = None


@dataclass(frozen=True)
class PlacedBox:
    """One box on its image, in pixels of the original and inside of it."""

    image: int
    box: Box
    #: Characters of the answer up to the end of the box.
    stop: int


def written_boxes(text: str) -> tuple[WrittenBox, ...]:
    """The boxes in `text` in the order they are written; those without any area are left out.

    Four numbers in round brackets of which one is above 1000 are no box. A list of more than two points is read two
    by two. An image is mentioned by `image 2`, `Picture 2`, `figure 2` or `img_2`.
    """
    mentions = [(match.end(), int(match[1])) for match in _MENTION.finditer(text)]
    ends = [end for end, _ in mentions]
    found = []
    units: tuple[tuple[re.Pattern[str], Unit], ...] = ((_CORNERS, "thousandths"), (_JSON, "pixels"))
    for pattern, unit in units:
        for match in pattern.finditer(text):
            x0, y0, x1, y1 = (float(number) for number in match.groups())
            box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            is_box = box[0] < box[2] and box[1] < box[3] and (unit == "pixels" or max(box) <= _THOUSAND)
            if is_box:
                before = bisect_right(ends, match.start())
                found.append(WrittenBox(box, unit, match.end(), mentions[before - 1][1] if before else None))
    return tuple(sorted(found, key=lambda box: box.stop))


def placed_boxes(boxes: Sequence[WrittenBox], layout: TokenLayout, model_type: str) -> tuple[PlacedBox, ...]:
    """`boxes` on the images of `layout`: on the one mentioned last, else on the first.

    What lies outside of its image is cut off; a box of which nothing is left is left out.
    """
    placed = []
    for written in boxes:
        if not layout.images:
            break
        image = (written.mentioned or 1) - 1
        image = image if image < len(layout.images) else 0
        info = layout.images[image]
        x_scale, y_scale = _scales(written.unit, layout, image, model_type)
        left, top, right, bottom = written.box
        box = (
            left * x_scale,
            top * y_scale,
            min(right * x_scale, float(info.width)),
            min(bottom * y_scale, float(info.height)),
        )
        if box[0] < box[2] and box[1] < box[3]:
            placed.append(PlacedBox(image, box, written.stop))
    return tuple(placed)


def _scales(unit: Unit, layout: TokenLayout, image: int, model_type: str) -> tuple[float, float]:
    """Original pixels per written unit, across and down."""
    info, grids = layout.images[image], layout.grids_of(image)
    if unit == "thousandths" or model_type in _JSON_IN_THOUSANDTHS:
        return info.width / _THOUSAND, info.height / _THOUSAND
    side = _RESIZED_PATCH.get(model_type)
    if side is None or len(grids) != 1:
        return 1.0, 1.0
    return info.width / (grids[0].columns * side), info.height / (grids[0].rows * side)
