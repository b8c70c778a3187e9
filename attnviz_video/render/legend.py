"""The legend of one region: the colours as painted, the weights they stand for, and the scale's name."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scale import SMALLEST_TOP
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import ColorScale, Region
from attnviz_video.render.brush import frame_box, write
from attnviz_video.render.heat import HeatTable
from attnviz_video.render.letters import Letters
from attnviz_video.render.numbers import weight
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import Theme

#: As wide as the end of a ramp can be: it keeps its width when the scale changes from frame to frame.
_WIDEST = ("0", "≥ 8.8e-88")
#: Stands in place of the numbers of a scale that no weight is above 0 on.
NO_WEIGHT = "no weight"
_SMOOTHED = ", smoothed"


class Legend:
    """Paints the colour ramp of a region into `box` of a frame.

    `smooth`: the overlay is interpolated between the patches, and the legend says so.
    """

    def __init__(
        self,
        region: Region,
        heat: HeatTable,
        settings: AnalysisSettings,
        box: PixelBox,
        look: Theme,
        faces: Faces,
        *,
        smooth: bool = False,
    ) -> None:
        self._region: Region = region
        self._ramp = heat.ramp(look.color("panel.background" if region == "text" else "ramp.ground"))
        self._settings = settings
        self._smooth = smooth
        self._face = faces.small
        self._letters = Letters(faces.small, look.color("frame.background"))
        self._gap = faces.small.width("  ")
        self._box = box
        self._theme = look
        self._width = min((box[2] - box[0]) // 2, self._full_ramp())

    @property
    def wording(self) -> tuple[int, str, str]:
        """Width of the ramp and the two lines beside it, as far as they fit: what less room would shorten."""
        room = self._box[2] - self._box[0] - self._width - self._theme.px("frame.gap") // 2
        return self._width, *fitting_legend_words(self._region, self._settings, room, self._face, smooth=self._smooth)

    def _full_ramp(self) -> int:
        return max(self._theme.px("ramp.width"), self._gap + sum(self._face.width(number) for number in _WIDEST))

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """What never changes: the ramp, what it measures, and what kind of scale it is."""
        theme, face, (left, top, right, _) = self._theme, self._face, self._box
        width, height = self._width, theme.px("ramp.height")
        steps = (np.arange(width) * 255 + (width - 1) // 2) // max(1, width - 1)
        frame[top : top + height, left : left + width] = self._ramp[steps][None]
        frame_box(frame, (left, top, left + width, top + height), theme.color("image.border"), theme.px("grid.line"))
        x = left + width + theme.px("frame.gap") // 2
        _, title, kind = self.wording
        write(frame, x, top - (face.height - height) // 2, face.fit(title, right - x), face, theme.color("ink"))
        write(frame, x, self._numbers_top(), face.fit(kind, right - x), face, theme.color("ink.soft"))

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], scale: ColorScale) -> None:
        """The weights at level 0, one half and 1."""
        numbers = ramp_numbers(scale, self._region)
        places = number_places(numbers, self._box[0], self._width, self._gap, self._face)
        for text, x in zip(numbers, places, strict=True):
            if x >= 0:
                self._letters.write(frame, x, self._numbers_top(), text, self._theme.color("ink"))

    def _numbers_top(self) -> int:
        return self._box[1] + self._theme.px("ramp.height") + self._theme.px("frame.row_gap") // 4


def number_places(
    numbers: tuple[str, str, str], left: int, width: int, gap: int, face: Typeface
) -> tuple[int, int, int]:
    """Where the three numbers of a ramp begin; -1 for the middle one where it would come nearer than `gap` to one."""
    first, middle, last = (face.width(number) for number in numbers)
    end = left + width - last
    centre = left + width // 2 - middle // 2
    return left, centre if left + first + gap <= centre and centre + middle + gap <= end else -1, end


def ramp_numbers(scale: ColorScale, region: Region) -> tuple[str, str, str]:
    """The weights at level 0, one half and 1; the last with "≥" where larger weights take the top colour too.

    Where no weight is above 0 the scale ends at a number that was not measured: words, and no numbers.
    """
    top = scale.top(region)
    if top == SMALLEST_TOP and not scale.clipped(region):
        return NO_WEIGHT, "", ""
    sign = "≥ " if scale.clipped(region) else ""
    return "0", weight(top * 0.5 ** (1.0 / scale.gamma)), f"{sign}{weight(top)}"


def legend_words(region: Region, settings: AnalysisSettings, *, smooth: bool = False) -> tuple[str, str]:
    """What the ramp measures (and that it is shown `smooth`), and on which scale."""
    thing = "per text token" if region == "text" else "per image patch"
    what = "attention over its mean" if settings.sinks == "relative" else "attention"
    scope = "one scale for text and images" if settings.scale_scope == "joint" else "one scale"
    time = "per video" if settings.scale == "shared" else "per frame"
    gamma = f", gamma {settings.gamma:g}" if settings.gamma != 1 else ""
    return f"{what} {thing}{_SMOOTHED if smooth else ''}", f"{scope} {time}{gamma}"


def fitting_legend_words(
    region: Region, settings: AnalysisSettings, room: int, face: Typeface, *, smooth: bool = False
) -> tuple[str, str]:
    """Each of the two lines in the longest wording that fits into `room` pixels; the shortest where none does."""
    thing = "per token" if region == "text" else "per patch"
    what = "attention / mean" if settings.sinks == "relative" else "attention"
    scope = "joint scale" if settings.scale_scope == "joint" else "scale"
    time = "per video" if settings.scale == "shared" else "per frame"
    gamma = f", γ {settings.gamma:g}" if settings.gamma != 1 else ""
    title, kind = legend_words(region, settings, smooth=smooth)
    titles: tuple[str, ...] = (title, f"{what} {thing}", thing)
    if smooth:
        titles = (title, *(f"{words}{_SMOOTHED}" for words in titles[1:]), _SMOOTHED.strip(", "))
    kinds = (kind, f"{scope} {time}{gamma}", f"{time}{gamma}")
    return _first_fitting(titles, room, face), _first_fitting(kinds, room, face)


def _first_fitting(wordings: tuple[str, ...], room: int, face: Typeface) -> str:
    return next((words for words in wordings if face.width(words) <= room), wordings[-1])
