"""The key row: what the marks on a frame mean."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PixelBox
from attnviz_video.render.brush import fill, frame_box, hatch, mark_sink, write
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme


def key_names(scores: Scores) -> tuple[str, ...]:
    """The marks that this video can have; those that need a word least come first (see `paint_keys`)."""
    report = scores.report
    bad = report.nan or report.infinite or report.negative
    masked = scores.settings.sinks == "mask" and scores.sinks
    keys = (
        ("current token", True),
        ("peak patch", bool(scores.trace.layout.images)),
        ("attention sink", bool(scores.sinks)),
        ("no value", bool(bad or masked)),
    )
    return tuple(name for name, present in keys if present)


def paint_keys(
    frame: UInt8[np.ndarray, "height width 3"], names: tuple[str, ...], box: PixelBox, face: Typeface, look: Theme
) -> int:
    """Write `names` with their marks at the right end of `box`; where there is no room the first ones are left out.

    Returns the x where they begin.
    """
    left, top, right, _ = box
    x = right
    for name in reversed(names):
        start = x - face.width(name) - face.height
        if start < left:
            break
        write(frame, start + face.height, top, name, face, look.color("ink.soft"))
        half = face.height // 2
        _paint_mark(frame, name, (start + half, top + half), max(2, half - half // 3), look)
        x = start - look.px("frame.gap")
    return x


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
    else:
        fill(frame, square, look.color("peak.outer"))
        fill(frame, inner, look.color("peak.inner"))
        hollow = (inner[0] + rim, inner[1] + rim, inner[2] - rim, inner[3] - rim)
        fill(frame, hollow, look.color("ramp.ground"))
