"""The letters of one page as pixels with a key, so that colouring a frame is one table look-up.

Letters do not move while colours change: each pixel that a letter or a rounded corner covers is stored once with
the piece it belongs to and how much of it is covered. A frame then needs a table of 32 colours per piece.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.text_layout import TextLayout
from attnviz_video.render.typefaces import Typeface

#: Steps of coverage that are kept.
COVERAGES = 16
#: Keys per piece: letters first, then corners.
KEYS = 2 * COVERAGES


@dataclass(frozen=True, eq=False)
class PageRaster:
    """The pieces of one page in frame pixels."""

    #: Box of each piece (left, top, right, bottom), without its bar.
    boxes: Int[np.ndarray, "pieces 4"]
    #: Unit of each piece.
    units: Int[np.ndarray, "pieces"]
    #: Pieces written in softer ink.
    faint: Bool[np.ndarray, "pieces"]
    #: Pixels (row · frame width + column), ordered by piece.
    pixels: Int[np.ndarray, "pixels"]
    #: piece · KEYS + (0 for letters, COVERAGES for corners) + coverage.
    keys: Int[np.ndarray, "pixels"]
    #: Where the pixels of each piece end.
    ends: Int[np.ndarray, "pieces"]


def rasterise(layout: TextLayout, page: int, area: PixelBox, frame_width: int, radius: int) -> PageRaster:
    """The pieces of `page`, with the text area at `area` in frame pixels; boxes get round corners of `radius`."""
    first_line = layout.first_line(page)
    lines = np.array([piece.line for piece in layout.pieces], dtype=np.int64)
    first, stop = np.searchsorted(lines, [first_line, first_line + layout.lines_per_page])
    pieces = layout.pieces[first:stop]
    metrics = layout.metrics
    boxes = np.zeros((len(pieces), 4), dtype=np.int64)
    pixels, keys, sizes = [], [], []
    for number, piece in enumerate(pieces):
        left = area[0] + piece.x
        top = area[1] + (piece.line - first_line) * metrics.pitch + metrics.outline
        boxes[number] = left, top, left + piece.width, top + metrics.box_height
        covered = box_keys(piece.text, piece.width, metrics.face, piece.inset, radius)
        rows, columns = np.nonzero(covered)
        pixels.append((top + rows) * frame_width + left + columns)
        keys.append(covered[rows, columns] + number * KEYS)
        sizes.append(rows.size)
    empty = np.zeros(0, dtype=np.int64)
    return PageRaster(
        boxes=boxes,
        units=np.array([piece.unit for piece in pieces], dtype=np.int64),
        faint=np.array([piece.faint for piece in pieces], dtype=bool),
        pixels=np.concatenate([*pixels, empty]),
        keys=np.concatenate([*keys, empty]),
        ends=np.cumsum(np.array(sizes, dtype=np.int64)),
    )


def box_keys(text: str, width: int, face: Typeface, inset: int, radius: int) -> Int[np.ndarray, "height width"]:
    """Key of every pixel of a box with `text` in it: 0 for bare ground, else letter or corner and its coverage."""
    letters = face.coverage(text)
    covered = np.zeros((face.height, width), dtype=np.int64)
    room = min(letters.shape[1], width - inset)
    covered[:, inset : inset + room] = letters[:, :room] >> 4
    corner = _corner(min(radius, width // 2, face.height // 2))
    size = corner.shape[0]
    for rows, columns, part in (
        (slice(0, size), slice(0, size), corner),
        (slice(0, size), slice(width - size, width), corner[:, ::-1]),
        (slice(face.height - size, face.height), slice(0, size), corner[::-1]),
        (slice(face.height - size, face.height), slice(width - size, width), corner[::-1, ::-1]),
    ):
        target = covered[rows, columns]
        target[part > 0] = COVERAGES + part[part > 0]
    return covered


def _corner(radius: int) -> UInt8[np.ndarray, "radius radius"]:
    """Coverage (0 to COVERAGES - 1) of what is cut off the upper left corner of a box."""
    steps = radius - 0.5 - np.arange(radius)
    outside = np.hypot(steps[:, None], steps[None, :]) - radius + 0.5
    cut_off: UInt8[np.ndarray, "radius radius"] = np.floor(np.clip(outside, 0.0, 1.0) * (COVERAGES - 1) + 0.5).astype(
        np.uint8
    )
    return cut_off
