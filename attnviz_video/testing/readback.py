"""Reading the picture back: from a frame's pixels to the weights it shows.

Only the pixels, the geometry and the clean image are used, so this works on a decoded video as on a painted
frame, and finds out when a picture shows something else than the trace holds.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.frame import FramePainter

#: Share of a cell left out at each side: grid lines, rims of peaks, and the blur of a video's colour.
_RIM = 0.22
#: Steps of 255 within which two cells count as equally heavy: what encoding may move a level by.
_TIE = 6
#: Contrast between the white and the black rim of a peak, at least, after encoding; a picture's own edges have less.
_RIM_CONTRAST = 0.6


def levels_from_pixels(
    painter: FramePainter, frame: UInt8[np.ndarray, "height width 3"], image: int
) -> Float[np.ndarray, "patches"]:
    """Level (0 to 1) of each patch of `image` as read from the pixels; NaN for patches that show no overlay.

    For every patch the step of the colour table is taken whose colour, laid over the clean image with its
    opacity, comes closest to what the frame shows.
    """
    view, heat = painter.images.views[image], painter.images.heat
    left, top = view.box[:2]
    cells = painter.patch_cells(image)
    shown = np.full((len(cells), 3), np.nan)
    clean = np.full((len(cells), 3), np.nan)
    for patch, cell in enumerate(cells.tolist()):
        x0, y0, x1, y1 = _core(cell)
        if x0 < x1 and y0 < y1:
            shown[patch] = frame[y0:y1, x0:x1].reshape(-1, 3).mean(axis=0)
            clean[patch] = view.pixels[y0 - top : y1 - top, x0 - left : x1 - left].reshape(-1, 3).mean(axis=0)
    expected = np.stack([heat.over(clean, step) for step in range(256)], axis=1)
    errors = np.square(expected - shown[:, None]).sum(axis=-1)
    steps = np.nan_to_num(errors, nan=np.inf).argmin(axis=1)
    bare = np.square(clean - shown).sum(axis=-1) <= np.nan_to_num(errors, nan=np.inf).min(axis=1)
    return np.where(np.isnan(shown[:, 0]) | bare, np.nan, steps / 255.0)


def peak_from_pixels(painter: FramePainter, frame: UInt8[np.ndarray, "height width 3"], image: int) -> int:
    """The heaviest patch of `image` as read from the pixels of `frame`; -1 where the frame shows no weight.

    Where several patches have the top colour, the outlined one of them is meant.
    """
    levels = levels_from_pixels(painter, frame, image)
    if not np.isfinite(levels).any():
        return -1
    best = float(np.nanmax(levels))
    candidates = np.flatnonzero(levels >= best - _TIE / 255.0)
    rims = np.array([_rim_contrast(frame, cell) for cell in painter.patch_cells(image)[candidates].tolist()])
    if rims.max() < _RIM_CONTRAST:
        return -1 if best <= _TIE / 255.0 else int(np.nanargmax(levels))
    return int(candidates[rims.argmax()])


def _core(cell: PixelBox | list[int]) -> PixelBox:
    """The middle of a cell, at least one pixel of one that has any."""
    left, top, right, bottom = cell
    x, y = int((right - left) * _RIM), int((bottom - top) * _RIM)
    return left + x, top + y, right - x, bottom - y


def _rim_contrast(frame: UInt8[np.ndarray, "height width 3"], cell: PixelBox | list[int]) -> float:
    """How much lighter a cell's outermost pixels are than those just outside of it, -1 to 1."""
    left, top, right, bottom = cell
    height, width = frame.shape[:2]

    def ring(grow: int) -> Int[np.ndarray, "pixels"]:
        x0, y0, x1, y1 = left - grow, top - grow, right - 1 + grow, bottom - 1 + grow
        xs, ys = np.arange(x0, x1 + 1), np.arange(y0, y1 + 1)
        rows = np.concatenate([np.full(xs.size, y0), np.full(xs.size, y1), ys, ys]).clip(0, height - 1)
        columns = np.concatenate([xs, xs, np.full(ys.size, x0), np.full(ys.size, x1)]).clip(0, width - 1)
        pixels: Int[np.ndarray, "pixels"] = frame[rows, columns].astype(np.int64).ravel()
        return pixels

    return float(ring(0).mean() - ring(1).mean()) / 255.0
