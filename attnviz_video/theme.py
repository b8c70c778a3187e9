"""Every colour and every size of a frame by name; panels hold no literal of either.

Sizes are written for a frame whose short side has 1080 pixels and scaled with the frame, so that the same names
serve every resolution, wide or tall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attnviz_video.errors import UsageError

#: Red, green, blue, 0 to 255.
Rgb = tuple[int, int, int]

#: What the sizes below are written for: (width, height), or the same turned.
REFERENCE = (1920, 1080)

#: Images that have a colour of their own in the strip over time; a ninth takes the first again.
N_SERIES = 8

_LIGHT: Mapping[str, Rgb] = {
    "frame.background": (244, 245, 247),
    "panel.background": (255, 255, 255),
    "panel.border": (214, 217, 222),
    "panel.carried": (242, 244, 248),
    "gutter.prompt": (166, 172, 181),
    "gutter.think": (112, 92, 178),
    "gutter.answer": (16, 118, 150),
    "chip": (226, 229, 235),
    "ink": (24, 27, 32),
    "ink.soft": (84, 91, 101),
    "ink.faint": (104, 111, 121),
    "accent": (21, 92, 214),
    "track": (218, 221, 226),
    "segment.think": (222, 218, 240),
    "segment.answer": (204, 226, 238),
    "segment.other": (228, 230, 234),
    "series.entropy": (71, 85, 105),
    "series.1": (71, 85, 105),
    "series.2": (190, 125, 20),
    "series.3": (13, 118, 110),
    "series.4": (168, 84, 140),
    "series.5": (64, 128, 168),
    "series.6": (125, 80, 60),
    "series.7": (112, 120, 52),
    "series.8": (96, 98, 176),
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
    "unseen.ground": (206, 208, 212),
    "unseen.stroke": (158, 162, 170),
    "box.truth": (0, 200, 255),
    "box.answer": (255, 92, 214),
    "box.rim": (0, 0, 0),
    "box.ink": (0, 0, 0),
    "image.border": (96, 102, 112),
    "ramp.ground": (150, 150, 150),
    "notice": (164, 82, 0),
}

_DARK: Mapping[str, Rgb] = {
    **_LIGHT,
    "frame.background": (16, 18, 22),
    "panel.background": (27, 30, 36),
    "panel.border": (56, 61, 70),
    "panel.carried": (35, 39, 47),
    "gutter.prompt": (96, 102, 113),
    "gutter.think": (152, 136, 226),
    "gutter.answer": (64, 172, 206),
    "chip": (52, 57, 67),
    "ink": (238, 240, 243),
    "ink.soft": (178, 184, 194),
    "ink.faint": (142, 149, 160),
    "accent": (96, 158, 255),
    "track": (58, 63, 72),
    "segment.think": (62, 55, 96),
    "segment.answer": (30, 74, 94),
    "segment.other": (48, 53, 61),
    "series.entropy": (160, 172, 190),
    "series.1": (160, 172, 190),
    "series.2": (226, 168, 68),
    "series.3": (84, 190, 178),
    "series.4": (218, 138, 192),
    "series.5": (122, 182, 222),
    "series.6": (196, 148, 122),
    "series.7": (176, 186, 104),
    "series.8": (158, 160, 232),
    "token.current": (38, 110, 245),
    "token.current.outline": (190, 215, 255),
    "token.bar": (238, 240, 243),
    "nan.ground": (50, 54, 62),
    "nan.stroke": (128, 135, 146),
    "sink.fill": (206, 120, 240),
    "sink.rim": (16, 18, 22),
    "unseen.ground": (70, 74, 82),
    "unseen.stroke": (104, 110, 120),
    "image.border": (120, 127, 138),
    "notice": (255, 176, 88),
}

#: For a projector in a hall that is not quite dark: black on white, and every ink far from its ground.
_TALK: Mapping[str, Rgb] = {
    **_LIGHT,
    "frame.background": (255, 255, 255),
    "panel.border": (150, 156, 165),
    "gutter.prompt": (110, 116, 126),
    "gutter.think": (80, 58, 150),
    "gutter.answer": (4, 84, 110),
    "ink": (0, 0, 0),
    "ink.soft": (44, 49, 57),
    "ink.faint": (72, 78, 87),
    "accent": (10, 66, 170),
    "track": (206, 210, 217),
    "token.current": (8, 64, 178),
    "token.current.outline": (0, 0, 0),
    "token.bar": (0, 0, 0),
    "nan.stroke": (100, 106, 116),
    "image.border": (40, 44, 51),
    "notice": (126, 58, 0),
}

#: For print: white, nothing filled that carries no number, and every colour distinct as a grey too.
_PAPER: Mapping[str, Rgb] = {
    **_LIGHT,
    "frame.background": (255, 255, 255),
    "panel.border": (190, 193, 198),
    "panel.carried": (248, 248, 249),
    "gutter.prompt": (180, 183, 188),
    "gutter.think": (112, 104, 140),
    "gutter.answer": (40, 70, 84),
    "ink": (0, 0, 0),
    "ink.soft": (70, 74, 80),
    "ink.faint": (100, 104, 110),
    "accent": (40, 60, 100),
    "track": (222, 223, 226),
    "token.current": (18, 62, 160),
    "token.current.outline": (0, 0, 0),
    "token.bar": (0, 0, 0),
    "segment.think": (232, 232, 236),
    "segment.answer": (206, 210, 216),
    "segment.other": (244, 244, 245),
    "image.border": (90, 94, 100),
    "series.entropy": (60, 64, 70),
    "series.1": (60, 64, 70),
    "series.2": (196, 176, 140),
    "series.3": (70, 110, 122),
    "series.4": (206, 178, 198),
    "series.5": (92, 104, 150),
    "series.6": (186, 196, 206),
    "series.7": (104, 98, 80),
    "series.8": (200, 196, 220),
    "notice": (130, 64, 0),
}

_COLORS: Mapping[str, Mapping[str, Rgb]] = {"light": _LIGHT, "dark": _DARK, "talk": _TALK, "paper": _PAPER}

#: Pixels at the reference height; `_LEAST` where a size may not shrink below some number of pixels.
_SIZES: Mapping[str, int] = {
    "frame.margin": 36,
    "frame.edge": 22,
    "frame.gap": 28,
    "frame.row_gap": 12,
    "panel.padding": 26,
    "panel.border": 2,
    "gutter.width": 5,
    "tag.rim": 2,
    "map.width": 34,
    "map.gap": 14,
    "map.least_row": 4,
    "map.segment": 5,
    "map.window": 2,
    "title.text": 38,
    "caption.text": 28,
    "small.text": 24,
    "text.largest": 42,
    "text.least": 28,
    "token.padding": 4,
    "token.seam": 2,
    "token.radius": 6,
    "token.bar": 9,
    "token.outline": 4,
    "images.least_width": 620,
    "image.gap": 24,
    "image.least": 12,
    "image.border": 2,
    "grid.line": 1,
    "tile.line": 3,
    "unseen.period": 16,
    "unseen.stroke": 2,
    "box.line": 3,
    "box.rim": 1,
    "box.dash": 12,
    "box.padding": 5,
    "peak.ring": 3,
    "sink.radius": 7,
    "share.bar": 10,
    "ramp.height": 20,
    "ramp.width": 300,
    "progress.height": 6,
    "strip.row": 40,
    "strip.only_row": 64,
    "strip.gap": 8,
    "strip.gutter": 14,
    "strip.line": 3,
    "strip.tick": 8,
    "strip.cursor": 4,
    "strip.halo": 2,
    "strip.seam": 2,
    "hatch.period": 12,
    "hatch.stroke": 3,
}
_LEAST: Mapping[str, int] = {
    "title.text": 13,
    "caption.text": 11,
    "small.text": 10,
    "text.largest": 12,
    "text.least": 11,
    "sink.radius": 3,
}

#: Sizes that a theme has for itself.
_OWN_SIZES: Mapping[str, Mapping[str, int]] = {
    "talk": {
        "frame.edge": 26,
        "title.text": 54,
        "caption.text": 40,
        "small.text": 34,
        "text.largest": 60,
        "text.least": 42,
        "token.bar": 12,
        "token.outline": 6,
        "token.padding": 6,
        "panel.border": 3,
        "image.border": 3,
        "peak.ring": 5,
        "sink.radius": 9,
        "share.bar": 14,
        "ramp.height": 30,
        "progress.height": 10,
        "strip.row": 58,
        "strip.line": 5,
        "strip.cursor": 8,
        "strip.halo": 3,
    },
    "paper": {
        "panel.border": 1,
        "image.border": 1,
        "token.radius": 2,
        "token.outline": 3,
        "token.bar": 7,
        "share.bar": 8,
        "progress.height": 3,
        "strip.line": 2,
        "strip.cursor": 3,
    },
}

#: The small print a frame can carry; what a theme leaves out is not needed to read its picture.
DETAILS = frozenset({"candidates", "entropy", "own keys"})
_LEFT_OUT: Mapping[str, frozenset[str]] = {"talk": DETAILS}


@dataclass(frozen=True)
class Theme:
    """The look of one frame size: colours by name, sizes in pixels by name."""

    name: str
    colors: Mapping[str, Rgb]
    #: Frame pixels per reference pixel.
    scale: float
    #: Which small print is shown, of `DETAILS`.
    details: frozenset[str] = DETAILS

    def color(self, name: str) -> Rgb:
        return self.colors[name]

    def px(self, name: str) -> int:
        """The size called `name`, in whole pixels of this frame, at least 1."""
        size = _OWN_SIZES.get(self.name, {}).get(name, _SIZES[name])
        return max(_LEAST.get(name, 1), int(size * self.scale + 0.5))


def theme(name: str, width: int = REFERENCE[0], height: int = REFERENCE[1]) -> Theme:
    """The theme `name` for a frame of `width` × `height` pixels.

    Raises:
        UsageError: there is no theme of that name.
    """
    if name not in _COLORS:
        raise UsageError(f"unknown theme '{name}'; choose one of {', '.join(sorted(_COLORS))} with --theme")
    # A frame that is far from 16:9 either way has as much room as its area says, but never more than its short side.
    area = (width * height / (REFERENCE[0] * REFERENCE[1])) ** 0.5
    scale = min(area, min(width, height) / REFERENCE[1])
    return Theme(name, _COLORS[name], scale, DETAILS - _LEFT_OUT.get(name, frozenset()))


def luminance(color: Rgb) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.1, "relative luminance")."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio of two sRGB colours, 1 to 21 (WCAG 2.1, "contrast ratio")."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
