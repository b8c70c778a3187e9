"""Reading the text panel back: from the boxes and bars of a frame to the weights they show.

Only the pixels, the places of the boxes and the settings are used. The ground of a box is what most of its pixels
have in common; letters, and the blur that video puts around them, are left out.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback import SIGNALS, as_signals
from attnviz_video.theme import theme

#: Pixels left out at the edges of a box: their colour is mixed with what is beside it.
_EDGE = 2
#: Brightness within which pixels count as ground: near it, and with neighbours like it (units of `SIGNALS`).
_NEAR, _CLEAR = 8.0, 16.0
#: Clear pixels that are enough to read a colour from.
_ENOUGH = 8
#: How far (squared, in units of `SIGNALS`) a ground may be from every colour of the ramp before it shows no weight.
_FOREIGN = 400.0


def text_levels_from_boxes(
    painter: FramePainter, settings: RenderSettings, frame: UInt8[np.ndarray, "height width 3"], number: int
) -> Float[np.ndarray, "boxes"]:
    """Level (0 to 1) of each of `painter.unit_boxes(number)` as its ground shows it; NaN where it shows none.

    The current token is blue, and shows none.
    """
    sheet = theme(settings.theme, *painter.size).color("panel.background")
    ramp = token_heat(settings.colormap, settings.token_style, sheet).ramp(sheet) @ SIGNALS.T
    levels = []
    for _, box in painter.unit_boxes(number):
        errors = np.square(ramp - _ground(frame, box)).sum(axis=1)
        levels.append(errors.argmin() / 255.0 if errors.min() <= _FOREIGN else np.nan)
    return np.array(levels, dtype=np.float64)


def text_levels_from_bars(
    painter: FramePainter, settings: RenderSettings, frame: UInt8[np.ndarray, "height width 3"], number: int
) -> Float[np.ndarray, "boxes"]:
    """Level (0 to 1) of each of `painter.unit_boxes(number)` as the height of the bar below it shows it."""
    look = theme(settings.theme, *painter.size)
    bar, ends = look.px("token.bar"), (look.color("panel.background"), look.color("token.bar"))
    none, full = (float(np.array(color) @ SIGNALS[0]) for color in ends)
    levels = []
    for _, (left, _, right, bottom) in painter.unit_boxes(number):
        middle = (right - left) // 3
        below = frame[bottom : bottom + bar, left + middle : right - middle] @ SIGNALS[0]
        levels.append(float(((below - none) / (full - none)).clip(0.0, 1.0).mean()))
    return np.array(levels, dtype=np.float64)


def _ground(frame: UInt8[np.ndarray, "height width 3"], box: PixelBox) -> Float[np.ndarray, "3"]:
    """What the pixels of a box show where no letter is, as signals."""
    left, top, right, bottom = box
    part = frame[top + _EDGE : bottom - _EDGE, left + _EDGE : right - _EDGE]
    signals = as_signals(part)
    bright = signals[:, 0].reshape(part.shape[:2])
    away = np.abs(bright - np.median(bright))
    near = (away <= _NEAR).ravel()
    clear = _least_around(away <= _CLEAR).ravel() & near
    brightness = signals[near, 0].mean()
    colour = signals[clear if clear.sum() >= _ENOUGH else near, 1:].mean(axis=0)
    return np.array([brightness, *colour])


def _least_around(mask: Bool[np.ndarray, "rows columns"]) -> Bool[np.ndarray, "rows columns"]:
    """True where a pixel and the two on each side of it are."""
    rows, columns = mask.shape
    padded = np.pad(mask, 2, constant_values=True)
    shifts = np.stack([padded[y : y + rows, x : x + columns] for y in range(5) for x in range(5)])
    clear: Bool[np.ndarray, "rows columns"] = np.asarray(shifts.all(axis=0))
    return clear
