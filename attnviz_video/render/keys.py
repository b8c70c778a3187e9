"""The key row: what the marks on a frame mean."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.written_boxes import written_boxes
from attnviz_video.core.layout import PixelBox
from attnviz_video.render.brush import fill, frame_box, hatch, mark_sink, write
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme

#: Marks that are understood without a word, which a theme without small print leaves out.
_UNDERSTOOD = frozenset({"current token", "peak patch"})
#: Colours of the boxes on images.
_BOXES = {"ground truth": "box.truth", "box in the answer": "box.answer"}


def key_names(scores: Scores, boxes: str = "none") -> tuple[str, ...]:
    """The marks that this video can have; those that need a word least come first (see `paint_keys`).

    `boxes` is the setting `--boxes`.
    """
    report, header = scores.report, scores.trace.header
    bad = report.nan or report.infinite or report.negative
    masked = scores.settings.sinks == "mask" and scores.sinks
    keys = (
        ("current token", True),
        ("peak patch", bool(scores.trace.layout.images)),
        ("attention sink", bool(scores.sinks)),
        ("no value", bool(bad or masked)),
        ("ground truth", boxes in ("truth", "both") and bool(header.sample.boxes)),
        ("box in the answer", boxes in ("answer", "both") and bool(written_boxes(scores.trace.answer_text))),
    )
    return tuple(name for name, present in keys if present)


def told_keys(scores: Scores, look: Theme, boxes: str = "none") -> tuple[str, ...]:
    """Those of `key_names` that a frame in this theme tells."""
    names = key_names(scores, boxes)
    return names if "own keys" in look.details else tuple(name for name in names if name not in _UNDERSTOOD)


def paint_keys(
    frame: UInt8[np.ndarray, "height width 3"],
    names: tuple[str, ...],
    box: PixelBox,
    face: Typeface,
    look: Theme,
    *,
    at_left: bool = False,
) -> int:
    """Write `names` with their marks at the right (or left) end of `box`; without room the first are left out.

    Returns the x where they begin, less a gap.
    """
    left, top, right, _ = box
    gap, half = look.px("frame.gap"), face.height // 2
    widths = [face.height + face.width(name) + gap for name in names]
    while names and sum(widths) - gap > right - left:
        names, widths = names[1:], widths[1:]
    start = left if at_left or not names else right + gap - sum(widths)
    x = start
    for name, width in zip(names, widths, strict=True):
        write(frame, x + face.height, top, name, face, look.color("ink.soft"))
        _paint_mark(frame, name, (x + half, top + half), max(2, half - half // 3), look)
        x += width
    return start - gap if names else right


def _paint_mark(
    frame: UInt8[np.ndarray, "height width 3"], name: str, middle: tuple[int, int], radius: int, look: Theme
) -> None:
    x, y = middle
    square = (x - radius, y - radius, x + radius, y + radius)
    rim = max(1, radius // 4)
    inner = (square[0] + rim, square[1] + rim, square[2] - rim, square[3] - rim)
    if name == "attention sink":
        mark_sink(frame, x, y, look.px("sink.radius"), look.color("sink.fill"), look.color("sink.rim"))
    elif name == "current token":
        fill(frame, square, look.color("token.current.outline"))
        fill(frame, inner, look.color("token.current"))
    elif name == "no value":
        fill(frame, square, look.color("nan.ground"))
        period, stroke = look.px("hatch.period") // 2, look.px("hatch.stroke") // 2
        strokes = hatch(2 * radius, 2 * radius, max(3, period), max(1, stroke))
        frame[square[1] : square[3], square[0] : square[2]][strokes] = look.color("nan.stroke")
        frame_box(frame, square, look.color("nan.stroke"), rim)
    elif name in _BOXES:
        fill(frame, square, look.color("box.rim"))
        fill(frame, inner, look.color(_BOXES[name]))
        hollow = (inner[0] + rim, inner[1] + rim, inner[2] - rim, inner[3] - rim)
        fill(frame, hollow, look.color("frame.background"))
        if name == "box in the answer":
            # A gap in each side, as its line is dashed.
            for part in ((x - 1, square[1], x + 1, square[3]), (square[0], y - 1, square[2], y + 1)):
                fill(frame, part, look.color("frame.background"))
    else:
        fill(frame, square, look.color("peak.outer"))
        fill(frame, inner, look.color("peak.inner"))
        hollow = (inner[0] + rim, inner[1] + rim, inner[2] - rim, inner[3] - rim)
        fill(frame, hollow, look.color("ramp.ground"))
