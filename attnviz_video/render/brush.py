"""Painting primitives on RGB arrays. All coordinates are whole pixels, boxes are (left, top, right, bottom)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.render.typefaces import Typeface
from attnviz_video.theme import Rgb


def canvas(width: int, height: int, color: Rgb) -> UInt8[np.ndarray, "height width 3"]:
    """A new canvas of one colour."""
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = color
    return picture


def clip_box(box: PixelBox, width: int, height: int) -> PixelBox:
    """The part of `box` on a canvas of `width` × `height`."""
    left, top, right, bottom = box
    return min(max(left, 0), width), min(max(top, 0), height), min(max(right, 0), width), min(max(bottom, 0), height)


def fill(picture: UInt8[np.ndarray, "height width 3"], box: PixelBox, color: Rgb) -> None:
    """Paint `box`, clipped to the picture."""
    left, top, right, bottom = clip_box(box, picture.shape[1], picture.shape[0])
    picture[top:bottom, left:right] = color


def frame_box(picture: UInt8[np.ndarray, "height width 3"], box: PixelBox, color: Rgb, width: int) -> None:
    """Paint a rim of `width` pixels just inside `box`."""
    left, top, right, bottom = box
    for part in (
        (left, top, right, top + width),
        (left, bottom - width, right, bottom),
        (left, top, left + width, bottom),
        (right - width, top, right, bottom),
    ):
        fill(picture, part, color)


def blend(
    picture: UInt8[np.ndarray, "height width 3"],
    x: int,
    y: int,
    coverage: UInt8[np.ndarray, "rows columns"],
    color: Rgb,
) -> None:
    """Lay `color` over the picture at (x, y) where `coverage` (0 to 255) says how much."""
    box = (x, y, x + coverage.shape[1], y + coverage.shape[0])
    left, top, right, bottom = clip_box(box, picture.shape[1], picture.shape[0])
    if left >= right or top >= bottom:
        return
    part = picture[top:bottom, left:right]
    # 16 bits hold it all: pixel * (255 - weight) + colour * weight is at most 255 * 255, and 127 more.
    weight = coverage[top - y : bottom - y, left - x : right - x, None].astype(np.uint16)
    mixed = part * (255 - weight)
    mixed += np.array(color, dtype=np.uint16) * weight
    mixed += 127
    part[:] = mixed // 255


def write(picture: UInt8[np.ndarray, "height width 3"], x: int, y: int, text: str, face: Typeface, color: Rgb) -> int:
    """Write `text` with its upper left corner at (x, y); returns the x where it ends."""
    shown = face.visible(text)
    if shown:
        blend(picture, x, y, face.coverage(shown), color)
    return x + face.width(shown)


def hatch(width: int, height: int, period: int, stroke: int) -> Bool[np.ndarray, "height width"]:
    """Diagonal strokes, for what has no value."""
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    return (rows + columns) % period < stroke


def diamond(radius: int) -> UInt8[np.ndarray, "side side"]:
    """Coverage of a diamond of `radius` pixels, for the mark of an attention sink."""
    steps = np.abs(np.arange(2 * radius + 1) - radius)
    inside = radius + 0.5 - (steps[:, None] + steps[None, :])
    return (np.clip(inside, 0.0, 1.0) * 255).astype(np.uint8)


def mark_sink(
    picture: UInt8[np.ndarray, "height width 3"], x: int, y: int, radius: int, fill_color: Rgb, rim: Rgb
) -> None:
    """Paint the mark of an attention sink with its centre at (x, y)."""
    outer = radius + max(1, radius // 3)
    blend(picture, x - outer, y - outer, diamond(outer), rim)
    blend(picture, x - radius, y - radius, diamond(radius), fill_color)
