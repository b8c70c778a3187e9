"""Colour tables of 256 steps, from no weight to the top of the scale.

`cividis` (Nuñez, Anderton and Renslow, PLoS ONE 2018, CC0), `viridis` and `magma` (van der Walt and Smith,
2015, CC0) are kept as the control points that reproduce the published tables to within two levels of 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
from jaxtyping import Bool, Float, UInt8

from attnviz_video.errors import UsageError

#: (step 0 to 255, red, green, blue); linear in between.
_ControlPoints = tuple[tuple[int, int, int, int], ...]

_POINTS: Mapping[str, _ControlPoints] = {
    # Linear in RGB, as the tools its users know do it: the middle is a dark olive and never as bright as an end.
    "red_green": ((0, 255, 0, 0), (255, 0, 255, 0)),
    "cividis": (
        (0, 0, 34, 78), (21, 0, 49, 112), (24, 5, 51, 113), (32, 26, 56, 111), (55, 58, 72, 108), (110, 109, 111, 114),
        (138, 134, 131, 121), (188, 184, 170, 110), (225, 223, 202, 87), (247, 248, 223, 60), (252, 254, 228, 52),
        (255, 254, 232, 56),
    ),
    "viridis": (
        (0, 68, 1, 84), (29, 72, 41, 121), (58, 62, 76, 138), (119, 35, 136, 142), (147, 31, 162, 135),
        (166, 47, 180, 124), (187, 84, 197, 104), (215, 149, 216, 64), (238, 210, 226, 27), (246, 231, 228, 25),
        (255, 253, 231, 37),
    ),
    "magma": (
        (0, 0, 0, 4), (15, 9, 7, 32), (38, 37, 18, 85), (52, 61, 15, 113), (69, 89, 21, 126), (105, 145, 43, 129),
        (139, 200, 62, 115), (159, 229, 80, 100), (177, 246, 108, 92), (194, 252, 140, 99), (220, 254, 189, 130),
        (255, 252, 253, 191),
    ),
    "greys": ((0, 250, 250, 250), (255, 20, 20, 20)),
    "reds": ((0, 255, 246, 242), (128, 248, 118, 92), (255, 118, 0, 16)),
}  # fmt: skip

NAMES = tuple(_POINTS)

#: The maps of one hue begin at the white of paper. On a dark sheet they begin at its dark and end bright, so that there
#: as well what has no weight lies back and what has most stands out.
_ON_DARK: Mapping[str, _ControlPoints] = {
    "greys": ((0, 40, 43, 50), (255, 250, 250, 250)),
    "reds": ((0, 46, 34, 38), (128, 170, 36, 40), (255, 255, 100, 84)),
}


def colormap(name: str) -> UInt8[np.ndarray, "256 3"]:
    """The colour table `name`; read-only, since it is shared.

    Raises:
        UsageError: there is no table of that name.
    """
    if name not in _POINTS:
        raise UsageError(f"unknown colour map '{name}'; choose one of {', '.join(NAMES)} with --colormap")
    return _table(_POINTS[name])


def colormap_on_dark(name: str) -> UInt8[np.ndarray, "256 3"]:
    """The colour table `name` as it is painted on a dark sheet: another one for the maps of a single hue.

    Raises:
        UsageError: there is no table of that name.
    """
    return _table(_ON_DARK[name]) if name in _ON_DARK else colormap(name)


@cache
def _table(control_points: _ControlPoints) -> UInt8[np.ndarray, "256 3"]:
    """256 colours, linear between the control points."""
    points = np.array(control_points, dtype=np.float64)
    steps = np.arange(256)
    exact = np.stack([np.interp(steps, points[:, 0], points[:, channel]) for channel in (1, 2, 3)], axis=1)
    table: UInt8[np.ndarray, "256 3"] = np.floor(exact + 0.5).astype(np.uint8)
    table.setflags(write=False)
    return table


def level_steps(levels: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Row of the colour table for levels of 0 to 1; NaN gives 0 (mark those with `np.isnan`)."""
    clipped = np.clip(np.nan_to_num(levels, nan=0.0), 0.0, 1.0)
    steps: UInt8[np.ndarray, "*shape"] = np.floor(clipped * 255.0 + 0.5).astype(np.uint8)
    return steps


def rgb(
    levels: Float[np.ndarray, "*shape"], name: str
) -> tuple[UInt8[np.ndarray, "*shape 3"], Bool[np.ndarray, "*shape"]]:
    """Colours of levels of 0 to 1, and a mask of those that are NaN and so have none (their colour is that of 0)."""
    colors: UInt8[np.ndarray, "*shape 3"] = colormap(name)[level_steps(levels)]
    return colors, np.isnan(levels)
