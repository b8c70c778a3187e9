"""Reading the picture back: from a frame's pixels to the weights it shows.

Only the pixels, the geometry and the clean image are used, so this works on a decoded video as on a painted
frame, and finds out when a picture shows something else than the trace holds.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import OPAQUE, HeatTable
from attnviz_video.render.image_panel import LEAST_PEAK

#: RGB to brightness and colour differences (ITU-R BT.709, luma and chroma), each divided by what it is off by in
#: the mean over a cell after H.264 at 4:2:0, measured: half a level of 255 for brightness, 0.9 for colour.
SIGNALS = np.array(
    [[0.2126, 0.7152, 0.0722], [-0.1146, -0.3854, 0.5], [0.5, -0.4542, -0.0458]]
) / np.array([[0.5], [0.9], [0.9]])  # fmt: skip
#: How far a single pixel may be from what an overlay makes of it, in those units, before it counts as foreign.
_FOREIGN = 40.0
#: How much closer (squared, in those units) a patch has to come to the bare picture than to any overlay.
_SIGNIFICANT = 16.0
#: Share of a cell left out at each side: grid lines, rims of peaks, and the blur of a video's colour.
_RIM = 0.22
#: Steps of 255 within which two cells count as equally heavy: what encoding may move a level by.
_TIE = 6
#: Contrast between the white and the black rim of a peak, at least, after encoding; a picture's own edges have less.
_RIM_CONTRAST = 0.6


def levels_from_pixels(
    painter: FramePainter, frame: UInt8[np.ndarray, "height width 3"], image: int, *, overlaid: bool = False
) -> Float[np.ndarray, "patches"]:
    """Level (0 to 1) of each patch of `image` as read from the pixels; NaN for patches that show no overlay.

    For every patch the step of the colour table is taken whose colour, laid over the clean image with its
    opacity, comes closest to what the frame shows. Brightness counts more than colour, since a video keeps it more
    exactly. Pixels that fit no step, such as those of a sink's mark, are left out in a second look.

    An overlay of the same colour as the picture below it looks like none. With `overlaid` it is known that every
    patch has one, as on a frame with a row that holds no NaN, and no patch is taken for bare.
    """
    view, heat = painter.images.views[image], painter.images.heat
    cells = painter.patch_cells(image)
    levels = np.full(len(cells), np.nan)
    gains = np.zeros(len(cells))
    for patch, cell in enumerate(cells.tolist()):
        x0, y0, x1, y1 = _core(cell)
        if x0 < x1 and y0 < y1:
            left, top = view.box[:2]
            shown = as_signals(frame[y0:y1, x0:x1])
            clean = as_signals(view.pixels[y0 - top : y1 - top, x0 - left : x1 - left])
            step, gains[patch] = _fit(clean, shown, heat)
            levels[patch] = step / 255.0
    if not overlaid:
        levels[_bare(gains, np.isfinite(levels))] = np.nan
    return levels


def as_signals(pixels: UInt8[np.ndarray, "rows columns 3"]) -> Float[np.ndarray, "pixels 3"]:
    """Brightness and two colour differences of each pixel, in units of what a video's encoder gets wrong of each."""
    signals: Float[np.ndarray, "pixels 3"] = pixels.reshape(-1, 3) @ SIGNALS.T
    return signals


def _fit(
    clean: Float[np.ndarray, "pixels 3"], shown: Float[np.ndarray, "pixels 3"], heat: HeatTable
) -> tuple[int, float]:
    """The step that explains a patch best, and how much closer it comes than no overlay (squared; negative: less)."""
    alpha = (heat.alpha / OPAQUE)[:, None]
    added = (heat.colors @ SIGNALS.T) * alpha
    kept = np.ones(len(clean), dtype=bool)
    for _ in range(2):
        ground, seen = clean[kept].mean(axis=0), shown[kept].mean(axis=0)
        errors = np.square(ground * (1.0 - alpha) + added - seen).sum(axis=1)
        step = int(errors.argmin())
        off = np.abs(clean * (1.0 - alpha[step]) + added[step] - shown).max(axis=1)
        if off.max() <= _FOREIGN:
            break
        kept = off <= max(_FOREIGN, float(np.median(off)))
    return step, float(np.square(ground - seen).sum() - errors[step])


def _bare(gains: Float[np.ndarray, "patches"], cored: Bool[np.ndarray, "patches"]) -> Bool[np.ndarray, "patches"]:
    """Patches without an overlay: all that look like the picture below where most do, else those that fit no step."""
    nearer = cored & (gains <= 0)
    return nearer if nearer.sum() > 0.5 * cored.sum() else nearer & (gains < -_SIGNIFICANT)


def peak_from_pixels(painter: FramePainter, frame: UInt8[np.ndarray, "height width 3"], image: int) -> int:
    """The heaviest patch of `image` as read from the pixels of `frame`; -1 where the frame shows none.

    Where several patches have the top colour, the outlined one of them is meant. A frame outlines none where the
    heaviest level is negligible (`LEAST_PEAK`).
    """
    levels = levels_from_pixels(painter, frame, image)
    if not np.isfinite(levels).any():
        return -1
    best = float(np.nanmax(levels))
    candidates = np.flatnonzero(levels >= best - _TIE / 255.0)
    rims = np.array([_rim_contrast(frame, cell) for cell in painter.patch_cells(image)[candidates].tolist()])
    if rims.max() < _RIM_CONTRAST:
        return -1 if best <= LEAST_PEAK + _TIE / 255.0 else int(np.nanargmax(levels))
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
