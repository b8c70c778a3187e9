"""Where everything stands on a frame; the parts of a frame never overlap."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz_video.core.layout import PixelBox
from attnviz_video.errors import UsageError
from attnviz_video.render.arrange import split
from attnviz_video.render.settings import LEAST_SIZE, RenderSettings
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme

#: Shares of text and images in the width.
_TEXT_SHARE, _IMAGE_SHARE = 52, 48


@dataclass(frozen=True)
class FramePlan:
    """Boxes (left, top, right, bottom) of the parts of a frame, in pixels."""

    title: PixelBox
    text: PixelBox
    #: One line below the text.
    text_caption: PixelBox
    #: Of no width when there are no images.
    images: PixelBox
    text_legend: PixelBox
    image_legend: PixelBox
    progress: PixelBox
    status: PixelBox
    footer: PixelBox


def even_size(settings: RenderSettings) -> tuple[int, int]:
    """Width and height of the frames as asked for, padded to even numbers (4:2:0 video needs them), never scaled.

    Raises:
        UsageError: too small to hold all parts.
    """
    width, height = settings.width + settings.width % 2, settings.height + settings.height % 2
    if width < LEAST_SIZE[0] or height < LEAST_SIZE[1]:
        raise UsageError(
            f"frames of {settings.width}x{settings.height} pixels are too small to read; "
            f"give --width {LEAST_SIZE[0]} and --height {LEAST_SIZE[1]} at least"
        )
    return width, height


def plan_frame(size: tuple[int, int], look: Theme, faces: Faces, *, n_images: int, title: bool) -> FramePlan:
    """Divide a frame of `size` (width, height): title, text beside images, legends, progress, status, footer."""
    width, height = size
    margin, gap, row_gap = look.px("frame.margin"), look.px("frame.gap"), look.px("frame.row_gap")
    small = faces.small.height
    left, right, bottom = margin, width - margin, height - margin // 2
    title_height = faces.title.height if title else 0
    footer = (left, bottom - small, right, bottom)
    status = (left, footer[1] - row_gap // 2 - small, right, footer[1] - row_gap // 2)
    progress = (left, status[1] - row_gap - look.px("progress.height"), right, status[1] - row_gap)
    legend_height = look.px("ramp.height") + row_gap // 2 + small
    legend_top = progress[1] - row_gap - legend_height
    top = margin // 2 + title_height + row_gap if title else margin
    body = (top, legend_top - row_gap)
    caption_top = body[1] - small
    (x0, x1), (x2, x3) = split(right - left, [_TEXT_SHARE, _IMAGE_SHARE], gap) if n_images else [(0, right - left)] * 2
    images = (left + x2, body[0], left + x3, body[1]) if n_images else (right, body[0], right, body[1])
    return FramePlan(
        title=(left, margin // 2, right, margin // 2 + title_height),
        text=(left + x0, body[0], left + x1, caption_top - row_gap // 2),
        text_caption=(left + x0, caption_top, left + x1, body[1]),
        images=images,
        text_legend=(left + x0, legend_top, left + x1, legend_top + legend_height),
        image_legend=(images[0], legend_top, images[2], legend_top + legend_height),
        progress=progress,
        status=status,
        footer=footer,
    )
