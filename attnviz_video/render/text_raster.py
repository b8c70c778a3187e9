"""One page of text as a map of keys, so that painting a frame is one table look-up.

Nothing moves while colours change: every pixel of a page is stored once as the piece it belongs to and the part it
plays there (ground, letter, corner, bar …), which together are its key. A frame then needs the colours of the keys.

Frames hold three bytes per pixel, and a table look-up is fastest for four. So the map is kept in words of four bytes,
each of which holds parts of two neighbouring pixels: the first look-up colours the pairs of keys that occur, the
second spreads these words over the page.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int, UInt8, UInt32

from attnviz_video.render.brush import hatch
from attnviz_video.render.text_layout import Metrics, Piece, TextLayout
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Theme

#: Steps of coverage that are kept.
COVERAGES = 16
#: Keys of a piece: its ground and its letters by coverage, then its corners by coverage (the first is never used),
CORNER = COVERAGES
#: then ground on which a stroke of hatching would lie, then the rims of tags,
STROKE = 2 * COVERAGES
RIM_THINK, RIM_ANSWER = STROKE + 1, STROKE + 2
#: then the rows of its bar from the top.
BAR = STROKE + 3
#: Keys of the sheet: plain, and where lines of the page before are shown again. Those of the pieces follow.
SHEET_KEYS = 2
#: Pixels that fill whole words.
_PIXELS_PER_BLOCK = 4


@dataclass(frozen=True, eq=False)
class PageRaster:
    """The pieces of one page in pixels from the upper left corner of the text area."""

    #: Box of each piece (left, top, right, bottom), without its bar.
    boxes: Int[np.ndarray, "pieces 4"]
    #: Unit of each piece.
    units: Int[np.ndarray, "pieces"]
    #: Pieces written in softer ink.
    faint: Bool[np.ndarray, "pieces"]
    #: Pieces on lines of the page before.
    carried: Bool[np.ndarray, "pieces"]
    #: Line of each piece, from the top of the page.
    lines: Int[np.ndarray, "pieces"]
    #: Pixels from line to line.
    pitch: int
    #: Width of the text area in pixels.
    width: int
    #: Keys of the two pixels that a word takes bytes of, for each word that occurs; by the number of bytes (3, 2, 1)
    #: that it takes of the first.
    pairs: tuple[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]], ...]
    #: Which of those words stands where; rows of pixels, four pixels to three words.
    words: Int[np.ndarray, "rows words"]
    _scratch: UInt32[np.ndarray, "pitch words"] = field(repr=False)

    def paint(self, area: UInt8[np.ndarray, "rows width 3"], colors: UInt32[np.ndarray, "keys"]) -> None:
        """Paint the first rows of the page over all of `area`; `colors` holds 65536 · blue + 256 · green + red of
        every key.
        """
        (a, b), (c, d), (e, f) = self.pairs
        table = np.concatenate(
            [
                colors[a] | colors[b] << np.uint32(24),
                colors[c] >> np.uint32(8) | colors[d] << np.uint32(16),
                colors[e] >> np.uint32(16) | colors[f] << np.uint32(8),
            ],
            dtype="<u4",
        )
        # Line by line, so that what was looked up is still at hand when it is copied.
        for top in range(0, area.shape[0], self.pitch):
            words = self.words[top : min(top + self.pitch, area.shape[0])]
            painted = self._scratch[: len(words)]
            # "wrap" saves the check of every index; all are in range.
            np.take(table, words, out=painted, mode="wrap")
            area[top : top + len(words)] = painted.view(np.uint8).reshape(len(words), -1, 3)[:, : self.width]


def n_keys(metrics: Metrics) -> int:
    """Keys of one piece."""
    return BAR + metrics.bar


def rasterise(layout: TextLayout, page: int, width: int, look: Theme) -> PageRaster:
    """The pieces of `page` in a text area `width` pixels wide."""
    first_line = layout.first_line(page)
    first, stop = np.searchsorted(layout.piece_lines, [first_line, first_line + layout.lines_per_page])
    pieces, metrics = layout.pieces[first:stop], layout.metrics
    pitch, own = metrics.pitch, n_keys(metrics)
    lines = layout.piece_lines[first:stop] - first_line
    shape = (layout.lines_per_page * pitch, width + (-width) % _PIXELS_PER_BLOCK)
    # The keys of the sheet come behind those of a piece, so that a pixel's key fits a byte beside its piece's number.
    keys = np.full(shape, own, dtype=np.uint8)
    owners = np.zeros(shape, dtype=np.int32)
    n_carried = layout.carried_lines(page)
    keys[: n_carried * pitch] = own + 1
    boxes = np.zeros((len(pieces), 4), dtype=np.int64)
    bars = np.arange(BAR, BAR + metrics.bar, dtype=np.uint8)[:, None]
    hatching = hatch(width, metrics.box_height, look.px("hatch.period"), look.px("hatch.stroke"))
    for number, piece in enumerate(pieces):
        top = int(lines[number]) * pitch + metrics.outline
        left, right, bottom = piece.x, min(piece.x + piece.width, width), top + metrics.box_height
        boxes[number] = left, top, right, bottom
        keys[top:bottom, left:right] = box_keys(piece, metrics.face, look, hatching)[:, : right - left]
        keys[bottom : bottom + metrics.bar, left + 1 : right - 1] = bars
        owners[top : bottom + metrics.bar, left:right] = number
    pairs, words = _words(keys, owners, len(pieces), own)
    return PageRaster(
        boxes=boxes,
        units=np.array([piece.unit for piece in pieces], dtype=np.int64),
        faint=np.array([piece.faint for piece in pieces], dtype=bool),
        carried=lines < n_carried,
        lines=lines,
        pitch=pitch,
        width=width,
        pairs=pairs,
        words=words,
        _scratch=np.empty((pitch, words.shape[1]), dtype="<u4"),
    )


def box_keys(
    piece: Piece, face: Typeface, look: Theme, hatching: Bool[np.ndarray, "height _"]
) -> UInt8[np.ndarray, "height width"]:
    """Key of every pixel of the box of `piece`: ground, letter, corner, stroke (where `hatching` says) or rim."""
    width, height, tag = piece.width, face.height, piece.tag
    radius = min(look.px("token.radius"), width // 2, height // 2)
    # A side on which a tag goes on in the next piece is straight.
    open_left, open_right = tag is not None and not tag.opens, tag is not None and not tag.closes
    letters = face.coverage(piece.text)
    keys = np.zeros((height, width), dtype=np.uint8)
    room = min(letters.shape[1], width - piece.inset)
    keys[:, piece.inset : piece.inset + room] = letters[:, :room] >> 4
    strokes = hatching[:, :width]
    keys[:, : strokes.shape[1]][(keys[:, : strokes.shape[1]] == 0) & strokes] = STROKE
    corner = _corner(radius)
    upper, lower = slice(0, radius), slice(height - radius, height)
    left, right = slice(0, radius), slice(width - radius, width)
    for rows, columns, part, is_open in (
        (upper, left, corner, open_left),
        (upper, right, corner[:, ::-1], open_right),
        (lower, left, corner[::-1], open_left),
        (lower, right, corner[::-1, ::-1], open_right),
    ):
        if is_open:
            continue
        target = keys[rows, columns]
        target[part > 0] = CORNER + part[part > 0]
    if tag is not None:
        # After the corners: where box and sheet have one colour, a rim under them would have gaps.
        depth = _depth(width, height, radius, open_left=open_left, open_right=open_right)
        keys[depth <= look.px("tag.rim")] = RIM_THINK if tag.segment == "think" else RIM_ANSWER
        keys[depth <= 0] = CORNER + COVERAGES - 1
    return keys


def _words(
    keys: UInt8[np.ndarray, "rows columns"], owners: Int[np.ndarray, "rows columns"], n_pieces: int, own: int
) -> tuple[tuple[tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]], ...], Int[np.ndarray, "rows words"]]:
    """The pairs of keys that share a word (see `PageRaster.pairs`), and which pair every word is.

    `keys` are those within a piece, `owners` the pieces; pieces never touch, so that a pair is of one piece and maybe
    the sheet. That keeps the number of thinkable pairs small enough to tick off those that occur, without sorting.
    """
    alphabet = own + SHEET_KEYS
    at = np.arange(keys.shape[1] * 3 // 4) * 4
    first, second = keys[:, at // 3], keys[:, at // 3 + 1]
    owner = np.maximum(owners[:, at // 3], owners[:, at // 3 + 1])
    owner += (at % 3).astype(np.int32) * max(1, n_pieces)
    pair = (owner * alphabet + first) * alphabet + second
    occurs = np.zeros(3 * max(1, n_pieces) * alphabet * alphabet, dtype=bool)
    occurs[pair] = True
    ranks = np.cumsum(occurs, dtype=np.int32) - 1
    rest, others = np.divmod(np.flatnonzero(occurs), alphabet)
    rest, ones = np.divmod(rest, alphabet)
    kinds, pieces = np.divmod(rest, max(1, n_pieces))
    ones, others = (_color_numbers(part, pieces, own) for part in (ones, others))
    ends = np.searchsorted(kinds, np.arange(4))
    parts = [slice(ends[kind], ends[kind + 1]) for kind in range(3)]
    return tuple((ones[part], others[part]) for part in parts), ranks[pair].astype(np.intp)


def _color_numbers(
    keys: Int[np.ndarray, "pairs"], pieces: Int[np.ndarray, "pairs"], own: int
) -> Int[np.ndarray, "pairs"]:
    """Where the color of a key stands in the table of all: the sheet's first, then those of each piece."""
    numbers: Int[np.ndarray, "pairs"] = np.where(keys < own, SHEET_KEYS + pieces * own + keys, keys - own)
    return numbers


def _depth(
    width: int, height: int, radius: int, *, open_left: bool, open_right: bool
) -> Int[np.ndarray, "height width"]:
    """Whole pixels from the rounded edge of a box to each pixel in it; an open side has no edge."""
    x = np.arange(width) + 0.5
    left = np.full(width, float(width)) if open_left else x
    right = np.full(width, float(width)) if open_right else width - x
    y = np.arange(height) + 0.5
    across, down = np.minimum(left, right)[None], np.minimum(y, height - y)[:, None]
    near = np.maximum(radius - across, 0), np.maximum(radius - down, 0)
    depth = np.where((near[0] > 0) & (near[1] > 0), radius - np.hypot(*near), np.minimum(across, down))
    whole: Int[np.ndarray, "height width"] = np.ceil(depth).astype(np.int64)
    return whole


@lru_cache(maxsize=64)
def _corner(radius: int) -> UInt8[np.ndarray, "radius radius"]:
    """Coverage (0 to COVERAGES - 1) of what is cut off the upper left corner of a box."""
    steps = radius - 0.5 - np.arange(radius)
    outside = np.hypot(steps[:, None], steps[None, :]) - radius + 0.5
    cut_off: UInt8[np.ndarray, "radius radius"] = np.floor(np.clip(outside, 0.0, 1.0) * (COVERAGES - 1) + 0.5).astype(
        np.uint8
    )
    return cut_off
