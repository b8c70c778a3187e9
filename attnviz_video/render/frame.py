"""`FramePainter`: Scores to frames. What never changes is painted once; a frame is a copy with the rest on it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.units import DisplayUnit
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.render.brush import canvas
from attnviz_video.render.footer import Footer
from attnviz_video.render.heat import token_heat
from attnviz_video.render.image_panel import ImagePanel
from attnviz_video.render.legend import Legend
from attnviz_video.render.plan import even_size, plan_frame
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.text_caption import TextCaption, row_name
from attnviz_video.render.text_panel import TextPanel
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme


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
        self.size = even_size(settings)
        width, height = self.size
        look = theme(settings.theme, width, height)
        trace = scores.trace
        title = settings.title if settings.title is not None else trace.header.sample.problem
        faces = Faces(look)
        self.plan = plan_frame(self.size, look, faces, n_images=len(trace.layout.images), title=bool(title.strip()))
        self._scores = scores
        self._text = TextPanel(trace, scores.sinks, self.plan.text, settings, look, faces)
        self.images = ImagePanel(trace, scores.sinks, self.plan.images, settings, look, faces, row_name(scores))
        self._footer = Footer(scores, self.plan, title, look, faces)
        self._caption = TextCaption(scores, self.plan.text_caption, look, faces)
        heat = token_heat(settings.colormap, settings.token_style, look.color("panel.background"))
        self._legends = [Legend("text", heat, scores.settings, self.plan.text_legend, look, faces)]
        if trace.layout.images:
            box = (self.images.left, *self.plan.image_legend[1:])
            self._legends.append(Legend("image", self.images.heat, scores.settings, box, look, faces))
        self._background = canvas(width, height, look.color("frame.background"))
        for part in (self._text, self.images, self._footer):
            part.paint_background(self._background)
        self._static_scale = scores.scale(0) if scores.settings.scale == "shared" else None
        if self._static_scale is not None:
            for legend in self._legends:
                legend.paint(self._background, self._static_scale)
        self._faces = (self._text.layout.metrics.face, faces.small, faces.title)

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
        self._check(number)
        weights, scale = self._scores.frame(number), self._scores.scale(number)
        picture = self._background.copy()
        self._text.paint(picture, weights, scale)
        shares = self._scores.shares(number)
        self._caption.paint(picture, shares)
        self.images.paint(picture, weights, scale, shares)
        if self._static_scale is None:
            for legend in self._legends:
                legend.paint(picture, scale)
        self._footer.paint(picture, number, has_row=weights.has_row)
        return picture

    def patch_cells(self, image: int) -> Int[np.ndarray, "patches 4"]:
        """Box (left, top, right, bottom) of each patch of `image` in frame pixels."""
        return self.images.views[image].cells.copy()

    def unit_boxes(self, number: int) -> list[tuple[DisplayUnit, PixelBox]]:
        """The units visible on frame `number` with their boxes in frame pixels; a unit cut in two comes twice."""
        self._check(number)
        return self._text.visible_boxes(self._scores.steps[number], self.size[0])

    def _check(self, number: int) -> None:
        if not 0 <= number < self.n_frames:
            raise UsageError(f"frame {number} was asked for; this video has frames 0 to {self.n_frames - 1}")
