"""The legend of one region: the colours as painted, the weights they stand for, and the scale's name."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import ColorScale, Region
from attnviz_video.render.brush import frame_box, write
from attnviz_video.render.heat import HeatTable
from attnviz_video.render.numbers import weight
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme


class Legend:
    """Paints the colour ramp of a region into `box` of a frame."""

    def __init__(
        self, region: Region, heat: HeatTable, settings: AnalysisSettings, box: PixelBox, look: Theme, faces: Faces
    ) -> None:
        self._region: Region = region
        self._ramp = heat.ramp(look.color("panel.background" if region == "text" else "ramp.ground"))
        self._settings = settings
        self._face = faces.small
        self._box = box
        self._theme = look

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], scale: ColorScale) -> None:
        """The ramp with its weights at level 0, one half and 1, and what kind of scale it is."""
        theme, (left, top, right, _) = self._theme, self._box
        face = self._face
        numbers = ramp_numbers(scale, self._region)
        gap = face.width("  ")
        needed = face.width(numbers[1]) + 2 * (face.width(numbers[2]) + gap)
        width = min((right - left) // 2, max(theme.px("ramp.width"), needed))
        height = theme.px("ramp.height")
        steps = (np.arange(width) * 255 + (width - 1) // 2) // max(1, width - 1)
        frame[top : top + height, left : left + width] = self._ramp[steps][None]
        frame_box(frame, (left, top, left + width, top + height), theme.color("image.border"), theme.px("grid.line"))
        y = top + height + theme.px("frame.row_gap") // 4
        for text, x in zip(numbers, number_places(numbers, left, width, gap, face), strict=True):
            if x >= 0:
                write(frame, x, y, text, face, theme.color("ink"))
        x = left + width + theme.px("frame.gap") // 2
        title, kind = legend_words(self._region, self._settings)
        write(frame, x, top - (face.height - height) // 2, face.fit(title, right - x), face, theme.color("ink"))
        write(frame, x, y, face.fit(kind, right - x), face, theme.color("ink.soft"))


def number_places(
    numbers: tuple[str, str, str], left: int, width: int, gap: int, face: Typeface
) -> tuple[int, int, int]:
    """Where the three numbers of a ramp begin; -1 for the middle one where it would come nearer than `gap` to one."""
    first, middle, last = (face.width(number) for number in numbers)
    end = left + width - last
    centre = left + width // 2 - middle // 2
    return left, centre if left + first + gap <= centre and centre + middle + gap <= end else -1, end


def ramp_numbers(scale: ColorScale, region: Region) -> tuple[str, str, str]:
    """The weights at level 0, one half and 1; the last with "≥" where larger weights take the top colour too."""
    top = scale.top(region)
    sign = "≥ " if scale.clipped(region) else ""
    return "0", weight(top * 0.5 ** (1.0 / scale.gamma)), f"{sign}{weight(top)}"


def legend_words(region: Region, settings: AnalysisSettings) -> tuple[str, str]:
    """What the ramp measures, and on which scale."""
    thing = "per text token" if region == "text" else "per image patch"
    what = "attention over its mean" if settings.sinks == "relative" else "attention"
    scope = "one scale for text and images" if settings.scale_scope == "joint" else "one scale"
    time = "per video" if settings.scale == "shared" else "per frame"
    gamma = f", gamma {settings.gamma:g}" if settings.gamma != 1 else ""
    return f"{what} {thing}", f"{scope} {time}{gamma}"
