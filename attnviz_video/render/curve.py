"""Curves of one value per frame in pixel columns: steps while columns suffice, beyond that least and greatest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.core.layout import PixelBox
from attnviz_video.theme import Rgb

#: What the upper edge of an axis may be, times a power of ten.
_EDGES = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)


@dataclass(frozen=True, eq=False)
class Columns:
    """Which frames each pixel column stands for: `starts[c]` to `stops[c]` (exclusive), at least one."""

    starts: Int[np.ndarray, "columns"]
    stops: Int[np.ndarray, "columns"]


def columns_of(n_frames: int, width: int) -> Columns:
    """Share `n_frames` among `width` columns, evenly: several columns per frame, or several frames per column."""
    edges = np.arange(width + 1, dtype=np.int64) * n_frames // width
    return Columns(edges[:-1], np.maximum(edges[1:], edges[:-1] + 1))


def lowest(values: Float[np.ndarray, "frames"], columns: Columns) -> Float[np.ndarray, "columns"]:
    """The least value of each column; NaN where all of its frames are."""
    return _reduced(np.fmin, values, columns)


def highest(values: Float[np.ndarray, "frames"], columns: Columns) -> Float[np.ndarray, "columns"]:
    """The greatest value of each column; NaN where all of its frames are."""
    return _reduced(np.fmax, values, columns)


def mean(values: Float[np.ndarray, "frames"], columns: Columns) -> Float[np.ndarray, "columns"]:
    """The mean of each column over its frames that have a value; NaN where none has."""
    known = ~np.isnan(values)
    sums = _reduced(np.add, np.where(known, values, 0.0), columns)
    counts = _reduced(np.add, known.astype(np.float64), columns)
    means: Float[np.ndarray, "columns"] = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means


def _reduced(
    operation: np.ufunc, values: Float[np.ndarray, "frames"], columns: Columns
) -> Float[np.ndarray, "columns"]:
    # A frame of several columns is reduced alone in each; `reduceat` needs the stops between the starts.
    bounds = np.stack([columns.starts, columns.stops], axis=1).ravel()
    padded = np.append(values, values[-1:])  # the last stop is one past the end
    reduced: Float[np.ndarray, "columns"] = operation.reduceat(padded, bounds)[::2]
    return reduced


def rounded_up(value: float, least: float) -> float:
    """The next round number from `value` on, for the upper edge of an axis that starts at 0; `least` at least."""
    value = max(value, least)
    power = 10.0 ** math.floor(math.log10(value))
    step = next((edge for edge in _EDGES if edge * power >= value * (1 - 1e-9)), _EDGES[-1])
    return float(f"{step * power:.6g}")


def paint_areas(
    frame: UInt8[np.ndarray, "height width 3"],
    box: PixelBox,
    values: Float[np.ndarray, "frames curves"],
    columns: Columns,
    top: float,
    colors: Sequence[Rgb],
    least: int = 1,
) -> None:
    """Stack the curves as areas in `box`, the first at the bottom; `top` is the value of the box's upper edge.

    Where a column stands for several frames, its areas are means and the greatest sum of a frame stands above them
    in a paler tone. Columns without a value stay bare; one of value 0 still shows `least` pixels.
    """
    edges = np.zeros(columns.starts.size, dtype=np.float64)
    part = frame[box[1] : box[3], box[0] : box[2]]
    height = part.shape[0]
    rows = np.arange(height)[:, None]
    for curve, color in enumerate(colors):
        upper = edges + mean(values[:, curve], columns)
        # NaN compares false: no pixel of such a column is painted.
        low, high = _levels(edges, top, height), np.maximum(_levels(upper, top, height), least)
        inside = (rows < height - low) & (rows >= height - high)
        part[inside] = color
        edges = upper
    total = values.sum(axis=1)
    greatest = highest(total, columns)
    band = (rows < height - _levels(edges, top, height)) & (rows >= height - _levels(greatest, top, height))
    part[band] = ((part[band].astype(np.uint16) + np.array(colors[-1], dtype=np.uint16)) // 2).astype(np.uint8)


def paint_line(
    frame: UInt8[np.ndarray, "height width 3"],
    box: PixelBox,
    values: Float[np.ndarray, "frames"],
    columns: Columns,
    top: float,
    color: Rgb,
    thickness: int,
) -> None:
    """Paint a curve in `box` as a line of `thickness` pixels; `top` is the value of the box's upper edge.

    Where a column stands for several frames, the line is a band from their least to their greatest value. Neighbours
    are joined by an upright; columns without a value stay bare.
    """
    part = frame[box[1] : box[3], box[0] : box[2]]
    height = part.shape[0]
    room = height - thickness
    low, high = _levels(lowest(values, columns), top, room), _levels(highest(values, columns), top, room)
    before_low, before_high = np.roll(low, 1), np.roll(high, 1)
    before_low[0] = before_high[0] = np.nan
    # Up to the column before: from its nearer end on, so that steps hang together.
    low, high = (
        np.fmin(low, np.where(np.isnan(low), np.nan, before_high)),
        np.fmax(high, np.where(np.isnan(high), np.nan, before_low)),
    )
    rows = np.arange(height)[:, None]
    part[(rows < height - low) & (rows >= height - high - thickness)] = color


def _levels(values: Float[np.ndarray, "columns"], top: float, height: int) -> Float[np.ndarray, "columns"]:
    """Whole pixels above the lower edge; NaN stays NaN."""
    return np.floor(np.clip(values / top, 0.0, 1.0) * height + 0.5)
