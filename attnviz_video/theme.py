"""Every colour and every size of a frame by name; panels hold no literal of either.

Sizes are written for a frame 1080 pixels high and scaled with the frame, so that the same names serve
every resolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnviz_video.errors import UsageError

#: Red, green, blue, 0 to 255.
Rgb = tuple[int, int, int]

#: What the sizes below are written for: (width, height).
REFERENCE = (1920, 1080)

_LIGHT: Mapping[str, Rgb] = {
    "frame.background": (244, 245, 247),
    "panel.background": (255, 255, 255),
    "panel.border": (214, 217, 222),
    "ink": (24, 27, 32),
    "ink.soft": (84, 91, 101),
    "ink.faint": (138, 145, 155),
    "accent": (21, 92, 214),
    "track": (218, 221, 226),
    "token.current": (20, 90, 225),
    "token.current.ink": (255, 255, 255),
    "token.current.outline": (0, 8, 44),
    "token.bar": (24, 27, 32),
    "token.dark_letters": (10, 11, 13),
    "token.light_letters": (255, 255, 255),
    "nan.ground": (232, 234, 238),
    "nan.stroke": (140, 146, 156),
    "sink.fill": (123, 31, 162),
    "sink.rim": (255, 255, 255),
    "peak.inner": (255, 255, 255),
    "peak.outer": (0, 0, 0),
    "grid.line": (255, 255, 255),
    "image.border": (96, 102, 112),
    "ramp.ground": (150, 150, 150),
    "notice": (164, 82, 0),
}

_DARK: Mapping[str, Rgb] = {
    **_LIGHT,
    "frame.background": (16, 18, 22),
    "panel.background": (27, 30, 36),
    "panel.border": (56, 61, 70),
    "ink": (238, 240, 243),
    "ink.soft": (178, 184, 194),
    "ink.faint": (128, 135, 146),
    "accent": (96, 158, 255),
    "track": (58, 63, 72),
    "token.current": (38, 110, 245),
    "token.current.outline": (190, 215, 255),
    "token.bar": (238, 240, 243),
    "nan.ground": (50, 54, 62),
    "nan.stroke": (128, 135, 146),
    "sink.fill": (206, 120, 240),
    "sink.rim": (16, 18, 22),
    "image.border": (120, 127, 138),
    "notice": (255, 176, 88),
}

_COLORS: Mapping[str, Mapping[str, Rgb]] = {"light": _LIGHT, "dark": _DARK}

#: Pixels at the reference height; `_LEAST` where a size may not shrink below some number of pixels.
_SIZES: Mapping[str, int] = {
    "frame.margin": 36,
    "frame.gap": 28,
    "frame.row_gap": 12,
    "panel.padding": 26,
    "panel.border": 2,
    "title.text": 38,
    "small.text": 24,
    "text.largest": 42,
    "text.least": 28,
    "token.padding": 4,
    "token.seam": 2,
    "token.radius": 6,
    "token.bar": 9,
    "token.outline": 4,
    "image.gap": 24,
    "image.least": 12,
    "image.border": 2,
    "grid.line": 1,
    "peak.ring": 3,
    "sink.radius": 7,
    "share.bar": 10,
    "ramp.height": 20,
    "ramp.width": 300,
    "progress.height": 6,
    "hatch.period": 12,
    "hatch.stroke": 3,
}
_LEAST: Mapping[str, int] = {"title.text": 13, "small.text": 10, "text.largest": 12, "text.least": 11, "sink.radius": 3}


@dataclass(frozen=True)
class Theme:
    """The look of one frame size: colours by name, sizes in pixels by name."""

    name: str
    colors: Mapping[str, Rgb]
    #: Frame pixels per reference pixel.
    scale: float

    def color(self, name: str) -> Rgb:
        return self.colors[name]

    def px(self, name: str) -> int:
        """The size called `name`, in whole pixels of this frame, at least 1."""
        return max(_LEAST.get(name, 1), int(_SIZES[name] * self.scale + 0.5))


def theme(name: str, width: int = REFERENCE[0], height: int = REFERENCE[1]) -> Theme:
    """The theme `name` for a frame of `width` × `height` pixels.

    Raises:
        UsageError: there is no theme of that name.
    """
    if name not in _COLORS:
        raise UsageError(f"unknown theme '{name}'; choose one of {', '.join(sorted(_COLORS))} with --theme")
    return Theme(name, _COLORS[name], min(width / REFERENCE[0], height / REFERENCE[1]))


def luminance(color: Rgb) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.1, "relative luminance")."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two sRGB colours, 1 to 21 (WCAG 2.1, "contrast ratio")."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
