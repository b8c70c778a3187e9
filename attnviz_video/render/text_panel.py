"""The text panel: every token so far with its weight as colour and bar, the current one in blue."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from jaxtyping import Int, UInt8

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import ColorScale, FrameWeights
from attnviz_video.core.units import DisplayUnit, unit_edges, unit_sums
from attnviz_video.render.brush import fill, frame_box, mark_sink
from attnviz_video.render.mini_map import MiniMap
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.text_colors import BARE, CHIP, CURRENT, HATCHED, HIDDEN, TextColors
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.render.text_raster import PageRaster, rasterise
from attnviz_video.render.text_structure import TextStructure
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme

#: Pages kept rasterised: frames come in order, so the current one and its neighbour.
_PAGES_KEPT = 2


class TextPanel:
    """Paints the text of `scores` into `box` of a frame; one thread at a time may use it."""

    def __init__(self, scores: Scores, box: PixelBox, settings: RenderSettings, look: Theme, faces: Faces) -> None:
        trace, padding = scores.trace, look.px("panel.padding")
        self.box = box
        self._theme = look
        self._n_prompt = trace.n_prompt
        left, top, right, bottom = box[0] + padding, box[1] + padding, box[2] - padding, box[3] - padding
        self.layout: TextLayout = layout_text(
            trace, right - left, bottom - top, look, show_prompt=scores.show_prompt, fonts=settings.fonts
        )
        self._area = (left, top, max(left + 1, right - self.layout.map_room), bottom)
        self._edges = unit_edges(self.layout.units)
        self._is_chip = np.array([unit.image >= 0 for unit in self.layout.units], dtype=bool)
        self._colors = TextColors(settings.colormap, settings.token_style, look, self.layout.metrics.bar)
        self._structure = TextStructure(self.layout, box, self._area, look, faces.small)
        map_box = (self._area[2] + look.px("map.gap"), top, right, bottom)
        self._map = MiniMap(self.layout, map_box, self._colors.ramp, look) if self.layout.map_room else None
        self._sink_units = [self.layout.unit_of(sink.position) for sink in scores.sinks if sink.image < 0]
        self._pages: OrderedDict[int, PageRaster] = OrderedDict()

    def paint_background(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """What never changes: the sheet that the text stands on."""
        fill(frame, self.box, self._theme.color("panel.background"))
        frame_box(frame, self.box, self._theme.color("panel.border"), self._theme.px("panel.border"))

    def paint(self, frame: UInt8[np.ndarray, "height width 3"], weights: FrameWeights, scale: ColorScale) -> None:
        """The units up to the current one, on the page that holds it."""
        current = self.layout.unit_at(self._n_prompt + weights.step)
        if current < 0:
            return
        page = self.page_of_unit(current)
        raster = self._raster(page)
        sums = unit_sums(weights.text, self._edges[: current + 1])
        levels = level(sums, scale, "text")
        shown = int(np.searchsorted(raster.units, current, side="right"))
        if shown:
            of_piece = np.full(raster.units.size, np.nan, dtype=np.float32)
            of_piece[:shown] = levels[raster.units[:shown]]
            special = np.where(np.isnan(of_piece), HATCHED if weights.has_row else BARE, -1)
            special[self._is_chip[raster.units]] = CHIP
            special[shown:] = HIDDEN
            special[raster.units == current] = CURRENT
            n_rows = min((int(raster.lines[shown - 1]) + 1) * raster.pitch, frame.shape[0] - self._area[1])
            area = frame[self._area[1] : self._area[1] + n_rows, self._area[0] : self._area[2]]
            raster.paint(area, self._colors.of(of_piece, special, raster.faint, raster.carried))
            self._structure.paint(frame, page, current)
            self._paint_marks(frame, raster, shown, current)
        if self._map is not None:
            self._map.paint(frame, sums, levels, page)

    def page_of_unit(self, unit: int) -> int:
        """The page on which `unit` is the current one: the first that shows all of it."""
        return self.layout.page_of_line(int(self.layout.last_lines[unit]))

    def visible_boxes(self, step: int) -> list[tuple[DisplayUnit, PixelBox]]:
        """Units on the frame of answer token `step` with their boxes in frame pixels (bars not included)."""
        current = self.layout.unit_at(self._n_prompt + step)
        if current < 0:
            return []
        raster = self._raster(self.page_of_unit(current))
        shown = int(np.searchsorted(raster.units, current, side="right"))
        return [
            (self.layout.units[int(unit)], (int(box[0]), int(box[1]), int(box[2]), int(box[3])))
            for unit, box in zip(raster.units[:shown], self._in_frame(raster.boxes[:shown]), strict=True)
        ]

    def _raster(self, page: int) -> PageRaster:
        if page not in self._pages:
            self._pages[page] = rasterise(self.layout, page, self._area[2] - self._area[0], self._theme)
            while len(self._pages) > _PAGES_KEPT:
                self._pages.popitem(last=False)
        self._pages.move_to_end(page)
        return self._pages[page]

    def _in_frame(self, boxes: Int[np.ndarray, "pieces 4"]) -> Int[np.ndarray, "pieces 4"]:
        moved: Int[np.ndarray, "pieces 4"] = boxes + np.array([self._area[0], self._area[1]] * 2)
        return moved

    def _paint_marks(
        self, frame: UInt8[np.ndarray, "height width 3"], raster: PageRaster, shown: int, current: int
    ) -> None:
        """The outline of the current token and the marks of sinks."""
        theme, outline = self._theme, self.layout.metrics.outline
        units = raster.units[:shown]
        for left, top, right, bottom in self._in_frame(raster.boxes[:shown][units == current]).tolist():
            box = (left - outline, top - outline, right + outline, bottom + outline)
            frame_box(frame, box, theme.color("token.current.outline"), outline)
        radius, color, rim = theme.px("sink.radius"), theme.color("sink.fill"), theme.color("sink.rim")
        for left, top, right, _ in self._in_frame(raster.boxes[:shown][np.isin(units, self._sink_units)]).tolist():
            mark_sink(frame, max(left + radius, right - radius), top, radius, color, rim)
