"""`FramePainter`: Scores to frames. What never changes is painted once; a frame is a copy with the rest on it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from attnviz_video.analysis.scores import Scores, showing
from attnviz_video.analysis.timeline import segment_stretches, timeline
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.units import DisplayUnit
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.render.brush import canvas, fill
from attnviz_video.render.footer import Footer
from attnviz_video.render.headline import paint_headline
from attnviz_video.render.heat import token_heat
from attnviz_video.render.image_panel import ImagePanel
from attnviz_video.render.keys import told_keys
from attnviz_video.render.legend import Legend
from attnviz_video.render.plan import FrameContent, arrangement, even_size, plan_frame
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.status import StatusLine
from attnviz_video.render.strip import Strip, has_lane, n_rows
from attnviz_video.render.text_caption import TextCaption, row_name
from attnviz_video.render.text_panel import TextPanel
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme, theme


class FramePainter:
    """Paints the frames of one layer of a trace; frames can be asked for in any order and are always the same.

    Raises:
        UsageError: the frame is too small; an unknown theme or colour map.
        TraceError: there is no frame to paint.
        ImageError: an image of the trace cannot be read.
    """

    def __init__(self, scores: Scores, settings: RenderSettings) -> None:
        if scores.n_frames == 0:
            raise TraceError(
                "nothing to render: the trace has no recorded token; record it again with another --start_phrase"
            )
        scores = showing(scores, settings.show_prompt)
        self.size = even_size(settings)
        width, height = self.size
        look = theme(settings.theme, width, height)
        trace = scores.trace
        faces = Faces(look, settings.fonts)
        stretches = segment_stretches(scores)
        content = FrameContent(
            image_sizes=tuple((info.width, info.height) for info in trace.layout.images),
            title=settings.title if settings.title is not None else trace.header.sample.problem,
            caption=settings.caption,
            curves=n_rows(look, len(trace.layout.images)) if settings.strip else 0,
            lane=has_lane(stretches),
            keys=bool(told_keys(scores, look, settings.boxes)),
        )
        self.plan = plan_frame(self.size, look, faces, content, arrangement(settings.layout, self.size))
        self._scores = scores
        self._text = TextPanel(scores, self.plan.text, settings, look, faces)
        self.images = ImagePanel(
            trace, scores.sinks, self.plan.images, settings, look, faces, row_name(scores), scores.settings.areas
        )
        self._status = StatusLine(scores, self.plan, look, faces, settings.boxes)
        self._caption = TextCaption(scores, self.plan.text_caption, look, faces)
        self._strip: Strip | None = None
        if self.plan.strip[1] < self.plan.strip[3]:
            self._strip = Strip(timeline(scores), stretches, self.plan.strip, look, faces.small)
        self._progress = (look.color("track"), look.color("accent"))
        heat = token_heat(settings.colormap, settings.token_style, look.color("panel.background"))
        self._legends = [Legend("text", heat, scores.settings, self.plan.text_legend, look, faces)]
        if trace.layout.images:
            self._legends.append(self._image_legend(look, faces))
        self._background = canvas(width, height, look.color("frame.background"))
        paint_headline(self._background, self.plan, look, faces)
        footer = Footer(scores, self.plan, look, faces)
        for part in (self._text, self.images, self._status, footer, *self._legends, self._strip):
            if part is not None:
                part.paint_background(self._background)
        self._static_scale = scores.scale(0) if scores.settings.scale == "shared" else None
        if self._static_scale is not None:
            for legend in self._legends:
                legend.paint(self._background, self._static_scale)
        self._faces = (self._text.layout.metrics.face, faces.small, faces.title, faces.caption)

    def _image_legend(self, look: Theme, faces: Faces) -> Legend:
        """The legend of the images: right below them it stands in line with them, if that shortens no word of it."""
        left, top, right, bottom = self.plan.image_legend
        legend, in_line = (
            Legend(
                "image",
                self.images.heat,
                self._scores.settings,
                (x, top, right, bottom),
                look,
                faces,
                smooth=self.images.smooth,
            )
            for x in (left, self.images.left)
        )
        return in_line if self.plan.arrangement != "stacked" and in_line.wording == legend.wording else legend

    @property
    def n_frames(self) -> int:
        return self._scores.n_frames

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know about the picture: characters that no shipped font has, one sentence per script."""
        found = (notice for face in self._faces for notice in face.notices())
        return tuple(dict.fromkeys(found))

    def frame(self, number: int) -> UInt8[np.ndarray, "height width 3"]:
        """Frame `number` as RGB.

        Raises:
            UsageError: there is no such frame.
        """
        picture = np.empty_like(self._background)
        self.paint(picture, number)
        return picture

    def paint(self, picture: UInt8[np.ndarray, "height width 3"], number: int) -> None:
        """Paint frame `number` over all of `picture`, an array as `frame` returns: faster where one is used again.

        What was on it before makes no difference.

        Raises:
            UsageError: there is no such frame, or `picture` is of another size, or not contiguous.
        """
        self._check(number)
        if picture.shape != self._background.shape or not picture.flags.c_contiguous:
            raise UsageError(
                f"expected a contiguous picture of {self.size[0]}x{self.size[1]} pixels to paint on, "
                f"got {picture.shape[1]}x{picture.shape[0]}; make it with np.empty((height, width, 3), np.uint8)"
            )
        weights, scale = self._scores.frame(number), self._scores.scale(number)
        np.copyto(picture, self._background)
        self._text.paint(picture, weights, scale)
        shares = self._scores.shares(number)
        self._caption.paint(picture, shares)
        self.images.paint(picture, weights, scale, shares)
        if self._static_scale is None and weights.has_row:
            for legend in self._legends:
                legend.paint(picture, scale)
        self._paint_time(picture, number)
        self._status.paint(picture, number, has_row=weights.has_row)

    def _paint_time(self, picture: UInt8[np.ndarray, "height width 3"], number: int) -> None:
        """How far the video is: the cursor of the strip, or a bar where there is none."""
        if self._strip is not None:
            self._strip.paint(picture, number)
            return
        left, top, right, bottom = self.plan.progress
        track, accent = self._progress
        fill(picture, (left, top, right, bottom), track)
        fill(picture, (left, top, left + (right - left) * (number + 1) // self.n_frames, bottom), accent)

    def patch_cells(self, image: int) -> Int[np.ndarray, "patches 4"]:
        """Box (left, top, right, bottom) of each patch of `image` in frame pixels.

        With `--areas side_by_side` or `separate`: of picture number `image` of the panel.
        """
        return self.images.views[image].cells.copy()

    def unit_boxes(self, number: int) -> list[tuple[DisplayUnit, PixelBox]]:
        """The units visible on frame `number` with their boxes in frame pixels; a unit cut in two comes twice."""
        self._check(number)
        return self._text.visible_boxes(self._scores.steps[number])

    def _check(self, number: int) -> None:
        if not 0 <= number < self.n_frames:
            raise UsageError(f"frame {number} was asked for; this video has frames 0 to {self.n_frames - 1}")
