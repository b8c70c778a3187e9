"""Where everything stands on a frame; the parts of a frame never overlap."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from attnviz_video.core.layout import PixelBox
from attnviz_video.errors import UsageError
from attnviz_video.render.arrange import split
from attnviz_video.render.image_caption import caption_height
from attnviz_video.render.room import useful_height, useful_width
from attnviz_video.render.settings import LEAST_SIZE, SIZES, RenderSettings
from attnviz_video.render.strip import strip_height
from attnviz_video.render.typefaces import Faces
from attnviz_video.render.wrap import wrap
from attnviz_video.theme import Theme

Arrangement = Literal["side", "stacked", "vertical"]

#: Parts in a hundred of the width that images beside the text take at most; less where they cannot use it.
_MOST_BESIDE = 48
#: Parts in a hundred of the height that images above the text take at most.
_MOST_ABOVE = 55
#: What the panels keep of the height, in parts of a hundred: else a frame does without a line, then without its strip.
_LEAST_BODY = 45
#: Lines that a title or a caption may take.
_MOST_LINES = 2


@dataclass(frozen=True)
class FrameContent:
    """What a frame has to hold, as far as its plan depends on it."""

    #: Width and height of each image.
    image_sizes: tuple[tuple[int, int], ...] = ()
    title: str = ""
    caption: str = ""
    #: Curves of the strip over time; 0 for a plain bar of progress.
    curves: int = 0
    #: Whether the strip has a lane of segments.
    lane: bool = False
    #: Whether there are marks whose meaning is told.
    keys: bool = True


@dataclass(frozen=True)
class FramePlan:
    """Boxes (left, top, right, bottom) of the parts of a frame, in pixels; empty ones are of no height or width."""

    title: PixelBox
    text: PixelBox
    #: One line below the text.
    text_caption: PixelBox
    images: PixelBox
    text_legend: PixelBox
    image_legend: PixelBox
    #: Image share and entropy over time; empty where there is only a bar of progress.
    strip: PixelBox
    #: Empty where there is a strip, whose axis is one.
    progress: PixelBox
    status: PixelBox
    #: What the marks mean: at the right end of the status line, or on a line of its own on a tall frame.
    keys: PixelBox
    #: One line, two on a tall frame.
    footer: PixelBox
    caption: PixelBox
    arrangement: Arrangement
    title_lines: tuple[str, ...]
    caption_lines: tuple[str, ...]


@dataclass(frozen=True)
class _Frame:
    """What all parts are measured with."""

    size: tuple[int, int]
    look: Theme
    faces: Faces
    content: FrameContent
    arrangement: Arrangement

    @property
    def is_tall(self) -> bool:
        return self.size[1] > self.size[0]


def even_size(settings: RenderSettings) -> tuple[int, int]:
    """Width and height of the frames as asked for, padded to even numbers (4:2:0 video needs them), never scaled.

    Raises:
        UsageError: too small to hold all parts.
    """
    named = SIZES[settings.size or ("vertical" if settings.layout == "vertical" else "1080p")]
    width = named[0] if settings.width is None else settings.width
    height = named[1] if settings.height is None else settings.height
    if width < LEAST_SIZE[0] or height < LEAST_SIZE[1]:
        raise UsageError(
            f"frames of {width}x{height} pixels are too small to read; "
            f"give --width {LEAST_SIZE[0]} and --height {LEAST_SIZE[1]} at least"
        )
    return width + width % 2, height + height % 2


def arrangement(layout: Literal["auto", "side", "stacked", "vertical"], size: tuple[int, int]) -> Arrangement:
    """How text and images share a frame of `size` (width, height)."""
    if layout == "auto":
        return "vertical" if size[1] > size[0] else "side"
    return layout


def plan_frame(
    size: tuple[int, int], look: Theme, faces: Faces, content: FrameContent, how: Arrangement = "side"
) -> FramePlan:
    """Divide a frame of `size` (width, height): title, text and images with their legends, strip, lines of words.

    On a frame too low for all of it, long titles and captions lose their second line first, then the strip goes.
    """
    frame = _Frame(size, look, faces, content, how)
    plans = list(_plans(frame))
    return next((plan for plan in plans if 100 * _body_height(plan) >= _LEAST_BODY * size[1]), plans[-1])


def _plans(frame: _Frame) -> Iterator[FramePlan]:
    """Plans from the fullest to the barest."""
    yield _plan(frame, _MOST_LINES, with_strip=True)
    yield _plan(frame, 1, with_strip=True)
    yield _plan(frame, 1, with_strip=False)


def _body_height(plan: FramePlan) -> int:
    tops = [box[1] for box in (plan.text, plan.images) if box[0] < box[2]]
    return plan.text_caption[3] - min(tops)


def _plan(frame: _Frame, most_lines: int, *, with_strip: bool) -> FramePlan:
    look, faces, content = frame.look, frame.faces, frame.content
    (width, height), small, row_gap = frame.size, faces.small.height, look.px("frame.row_gap")
    left, right = look.px("frame.margin"), width - look.px("frame.margin")
    title_lines = wrap(content.title, right - left, faces.title, most_lines)
    caption_lines = wrap(content.caption, right - left, faces.caption, most_lines)

    def above(y: int, gap: int, part_height: int) -> PixelBox:
        """A part of the whole width that ends `gap` above `y`."""
        return left, y - gap - part_height, right, y - gap

    caption = above(height, look.px("frame.edge"), len(caption_lines) * faces.caption.height)
    footer = above(caption[1], row_gap if caption_lines else 0, (2 if frame.is_tall else 1) * small)
    keys = above(footer[1], row_gap // 2, small if content.keys or not frame.is_tall else 0)
    status = above(keys[1], row_gap // 2, small) if frame.is_tall else keys
    has_strip = with_strip and content.curves > 0
    strip_room = strip_height(look, faces.small, rows=content.curves, lane=content.lane) if has_strip else 0
    strip = above(status[1], row_gap if has_strip else 0, strip_room)
    progress = above(strip[1], 0 if has_strip else row_gap, 0 if has_strip else look.px("progress.height"))
    title = (left, look.px("frame.edge"), right, look.px("frame.edge") + len(title_lines) * faces.title.height)
    body = (left, title[3] + (row_gap if title_lines else 0), right, progress[1] - look.px("frame.gap") // 2)
    divide = {"side": _side, "stacked": _stacked, "vertical": _vertical}[frame.arrangement]
    text, images, text_legend, image_legend = divide(frame, body) if content.image_sizes else _text_only(frame, body)
    caption_top = text[3] - small
    return FramePlan(
        title=title,
        text=(*text[:3], caption_top - row_gap // 2),
        text_caption=(text[0], caption_top, text[2], text[3]),
        images=images,
        text_legend=text_legend,
        image_legend=image_legend,
        strip=strip,
        progress=progress,
        status=status,
        keys=keys,
        footer=footer,
        caption=caption,
        arrangement=frame.arrangement,
        title_lines=title_lines,
        caption_lines=caption_lines,
    )


#: Text with its caption, images, legend of the text, legend of the images.
_Parts = tuple[PixelBox, PixelBox, PixelBox, PixelBox]


def _text_only(frame: _Frame, body: PixelBox) -> _Parts:
    left, top, right, bottom = body
    legend_top, text_bottom = _over_legend(frame, bottom)
    text, legend = (left, top, right, text_bottom), (left, legend_top, right, bottom)
    return text, (right, top, right, text_bottom), legend, (right, legend_top, right, bottom)


def _side(frame: _Frame, body: PixelBox) -> _Parts:
    """Text left, images right, as wide as they can use; the legend of each below it."""
    left, top, right, bottom = body
    legend_top, panel_bottom = _over_legend(frame, bottom)
    width, gap = right - left, frame.look.px("frame.gap")
    # Captions of images keep a little room below their words; so these stand on one line with those of the text.
    images_bottom = panel_bottom + frame.look.px("frame.row_gap") // 2 + frame.look.px("image.border")
    most = width * _MOST_BESIDE // 100
    wanted = useful_width(
        frame.content.image_sizes, images_bottom - top, frame.look.px("image.gap"), _image_caption(frame), most
    )
    # Legend and caption of the images have to be read, however narrow the images are.
    beside = max(wanted, min(most, frame.look.px("images.least_width")))
    (x0, x1), (x2, x3) = split(width, [width - gap - beside, beside], gap)
    x0, x1, x2, x3 = left + x0, left + x1, left + x2, left + x3
    return (
        (x0, top, x1, panel_bottom),
        (x2, top, x3, images_bottom),
        (x0, legend_top, x1, bottom),
        (x2, legend_top, x3, bottom),
    )


def _stacked(frame: _Frame, body: PixelBox) -> _Parts:
    """Images above the text; the legends side by side below both."""
    left, top, right, bottom = body
    legend_top, panel_bottom = _over_legend(frame, bottom)
    images_bottom = top + _height_above(frame, right - left, panel_bottom - top)
    text_top = images_bottom + frame.look.px("frame.row_gap")
    (x0, x1), (x2, x3) = split(right - left, [1, 1], frame.look.px("frame.gap"))
    return (
        (left, text_top, right, panel_bottom),
        (left, top, right, images_bottom),
        (left + x0, legend_top, left + x1, bottom),
        (left + x2, legend_top, left + x3, bottom),
    )


def _vertical(frame: _Frame, body: PixelBox) -> _Parts:
    """Images above the text, the legend of each right below it."""
    left, top, right, bottom = body
    legend_top, text_bottom = _over_legend(frame, bottom)
    row_gap, legend = frame.look.px("frame.row_gap"), bottom - legend_top
    images_bottom = top + _height_above(frame, right - left, text_bottom - top - legend - 3 * row_gap)
    image_legend = (left, images_bottom + row_gap, right, images_bottom + row_gap + legend)
    return (
        (left, image_legend[3] + 2 * row_gap, right, text_bottom),
        (left, top, right, images_bottom),
        (left, legend_top, right, bottom),
        image_legend,
    )


def _over_legend(frame: _Frame, bottom: int) -> tuple[int, int]:
    """Where a legend that ends at `bottom` begins, and where the panel above it ends."""
    row_gap = frame.look.px("frame.row_gap")
    top = bottom - frame.look.px("ramp.height") - row_gap // 2 - frame.faces.small.height
    return top, top - row_gap


def _height_above(frame: _Frame, width: int, height: int) -> int:
    """The height of images that stand above the text, both in `height` pixels."""
    most = height * _MOST_ABOVE // 100
    gap = frame.look.px("image.gap")
    return useful_height(frame.content.image_sizes, width, gap, _image_caption(frame), most)


def _image_caption(frame: _Frame) -> int:
    """What an image needs around it: its caption, and its rims."""
    return caption_height(frame.faces.small, frame.look) + 2 * frame.look.px("image.border")
