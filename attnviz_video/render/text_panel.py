"""The text panel: every token so far with its weight as colour and bar, the current one in blue."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from attnviz_video.analysis.scale import level
from attnviz_video.colormaps import level_steps
from attnviz_video.core.layout import PixelBox
from attnviz_video.core.scores import ColorScale, FrameWeights, Sink
from attnviz_video.core.trace import TraceData
from attnviz_video.core.units import DisplayUnit, unit_edges, unit_sums
from attnviz_video.render.brush import fill, frame_box, hatch, mark_sink, write
from attnviz_video.render.heat import token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.render.text_raster import COVERAGES, KEYS, PageRaster, rasterise
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme, luminance

#: Pages kept rasterised: frames come in order, so the current one and its neighbour.
_PAGES_KEPT = 2
#: How much of the ink is left for marks and special tokens.
_FAINT = 0.7


@dataclass(frozen=True, eq=False)
class _Look:
    """How the pieces of one frame are coloured."""

    fills: UInt8[np.ndarray, "pieces 3"]
    inks: UInt8[np.ndarray, "pieces 3"]
    #: NaN where there is nothing to show.
    levels: Float[np.ndarray, "pieces"]
    hatched: np.ndarray
    current: np.ndarray


class TextPanel:
    """Paints the text of a trace into `box` of a frame."""

    def __init__(
        self,
        trace: TraceData,
        sinks: Sequence[Sink],
        box: PixelBox,
        settings: RenderSettings,
        look: Theme,
        faces: Faces,
    ) -> None:
        padding = look.px("panel.padding")
        self.box = box
        self._theme = look
        self._settings = settings
        self._face = faces.small
        self._area = (box[0] + padding, box[1] + padding, box[2] - padding, box[3] - padding)
        self._n_prompt = trace.n_prompt
        self.layout: TextLayout = layout_text(trace, self._area[2] - self._area[0], self._area[3] - self._area[1], look)
        self._line_of_unit = _last_lines(self.layout)
        sheet = look.color("panel.background")
        self._ramp = token_heat(settings.colormap, settings.token_style, sheet).ramp(sheet)
        self._ink_of_step = _readable_inks(self._ramp, look)
        self._sink_units = [self.layout.unit_of(sink.position) for sink in sinks if sink.image < 0]
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
        raster = self._raster(page, frame.shape[1])
        shown = int(np.searchsorted(raster.units, current, side="right"))
        look = self._look(raster, shown, current, weights, scale)
        if shown:
            self._paint_boxes(frame, raster, shown, look)
            self._paint_letters(frame, raster, shown, look)
            self._paint_marks(frame, raster, shown, look)
        self._paint_separator(frame, page, current)
        self._paint_position(frame, page)

    def page_of_unit(self, unit: int) -> int:
        """The page on which `unit` is the current one: the first that shows all of it."""
        return self.layout.page_of_line(int(self._line_of_unit[unit]))

    def visible_boxes(self, step: int, frame_width: int) -> list[tuple[DisplayUnit, PixelBox]]:
        """Units on the frame of answer token `step` with their boxes in frame pixels (bars not included)."""
        current = self.layout.unit_at(self._n_prompt + step)
        if current < 0:
            return []
        raster = self._raster(self.page_of_unit(current), frame_width)
        shown = int(np.searchsorted(raster.units, current, side="right"))
        return [
            (self.layout.units[int(unit)], (int(box[0]), int(box[1]), int(box[2]), int(box[3])))
            for unit, box in zip(raster.units[:shown], raster.boxes[:shown], strict=True)
        ]

    def _raster(self, page: int, frame_width: int) -> PageRaster:
        if page not in self._pages:
            self._pages[page] = rasterise(self.layout, page, self._area, frame_width, self._theme.px("token.radius"))
            while len(self._pages) > _PAGES_KEPT:
                self._pages.popitem(last=False)
        self._pages.move_to_end(page)
        return self._pages[page]

    def _look(self, raster: PageRaster, shown: int, current: int, weights: FrameWeights, scale: ColorScale) -> _Look:
        """Colours of the first `shown` pieces of a page."""
        units = raster.units[:shown]
        first = int(units[0]) if shown else 0
        sums = unit_sums(weights.text, unit_edges(self.layout.units[first : current + 1]))
        levels = level(sums, scale, "text")[units - first]
        steps = level_steps(levels)
        is_current = units == current
        hatched = np.isnan(levels) & ~is_current & weights.has_row
        bare = np.isnan(levels) | (self._settings.token_style == "text")
        color = self._theme.color
        fills = np.where(bare[:, None], np.array(color("panel.background"), np.uint8), self._ramp[steps])
        as_letters = self._ramp[steps] if self._settings.token_style == "text" else self._ink_of_step[steps]
        inks = np.where(np.isnan(levels)[:, None], np.array(color("ink"), np.uint8), as_letters)
        fills[hatched] = color("nan.ground")
        fills[is_current] = color("token.current")
        inks[is_current] = color("token.current.ink")
        return _Look(fills, inks, np.where(is_current, np.nan, levels), hatched, is_current)

    def _paint_boxes(
        self, frame: UInt8[np.ndarray, "height width 3"], raster: PageRaster, shown: int, look: _Look
    ) -> None:
        """Boxes, hatching, and the bar under each token whose height is its level."""
        theme, bar = self._theme, self.layout.metrics.bar
        heights = np.floor(np.nan_to_num(look.levels) * bar + 0.5).astype(np.int64)
        bar_color = theme.color("token.bar")
        for (left, top, right, bottom), color, height in zip(
            raster.boxes[:shown].tolist(), look.fills, heights.tolist(), strict=True
        ):
            frame[top:bottom, left:right] = color
            if height:
                frame[bottom : bottom + height, left + 1 : right - 1] = bar_color
        for left, top, right, bottom in raster.boxes[:shown][look.hatched].tolist():
            strokes = hatch(right - left, bottom - top, theme.px("hatch.period"), theme.px("hatch.stroke"))
            frame[top:bottom, left:right][strokes] = theme.color("nan.stroke")

    def _paint_letters(
        self, frame: UInt8[np.ndarray, "height width 3"], raster: PageRaster, shown: int, look: _Look
    ) -> None:
        """Letters and round corners, all at once by table."""
        # Coloured letters are not softened: their colour is their weight, and it has to be readable.
        faint = raster.faint[:shown] & (self._settings.token_style == "box")
        fills, inks = look.fills.astype(np.float32), look.inks.astype(np.float32)
        inks = np.where((faint & ~look.current)[:, None], fills + (inks - fills) * _FAINT, inks)
        around = np.array(self._theme.color("panel.background"), dtype=np.float32)
        outline = np.array(self._theme.color("token.current.outline"), dtype=np.float32)
        grounds = np.where(look.current[:, None], outline, around)
        part = (np.arange(COVERAGES, dtype=np.float32) / (COVERAGES - 1))[None, :, None]
        table = np.empty((shown, KEYS, 3), dtype=np.float32)
        table[:, :COVERAGES] = fills[:, None] + (inks - fills)[:, None] * part
        table[:, COVERAGES:] = fills[:, None] + (grounds - fills)[:, None] * part
        stop = int(raster.ends[shown - 1])
        colors = (table + 0.5).astype(np.uint8).reshape(-1, 3)
        frame.reshape(-1, 3)[raster.pixels[:stop]] = colors[raster.keys[:stop]]

    def _paint_marks(
        self, frame: UInt8[np.ndarray, "height width 3"], raster: PageRaster, shown: int, look: _Look
    ) -> None:
        """The outline of the current token and the marks of sinks."""
        theme, outline = self._theme, self.layout.metrics.outline
        for left, top, right, bottom in raster.boxes[:shown][look.current].tolist():
            box = (left - outline, top - outline, right + outline, bottom + outline)
            frame_box(frame, box, theme.color("token.current.outline"), outline)
        radius = theme.px("sink.radius")
        for number in np.flatnonzero(np.isin(raster.units[:shown], self._sink_units)).tolist():
            left, top, right, _ = raster.boxes[number].tolist()
            x = max(left + radius, right - radius)
            mark_sink(frame, x, top, radius, theme.color("sink.fill"), theme.color("sink.rim"))

    def _paint_separator(self, frame: UInt8[np.ndarray, "height width 3"], page: int, current: int) -> None:
        """A thin line with a word where the prompt ends and the answer begins."""
        line = self.layout.separator - self.layout.first_line(page)
        answer_began = self.layout.units[current].stop > self._n_prompt
        if self.layout.separator < 0 or not 0 <= line < self.layout.lines_per_page or not answer_began:
            return
        metrics, theme = self.layout.metrics, self._theme
        face = self._face
        top = self._area[1] + line * metrics.pitch + (metrics.pitch - face.height) // 2
        end = write(frame, self._area[0], top, "answer", face, theme.color("ink.faint"))
        middle = top + face.height // 2
        rule = (end + theme.px("frame.row_gap"), middle, self._area[2], middle + theme.px("grid.line"))
        fill(frame, rule, theme.color("panel.border"))

    def _paint_position(self, frame: UInt8[np.ndarray, "height width 3"], page: int) -> None:
        """Where on the whole text this page is, when there are several: a thin bar in the right margin."""
        layout, theme = self.layout, self._theme
        if layout.n_pages == 1:
            return
        width = theme.px("progress.height")
        right = self.box[2] - (theme.px("panel.padding") - width) // 2
        top, bottom = self._area[1], self._area[3]
        fill(frame, (right - width, top, right, bottom), theme.color("track"))
        first = layout.first_line(page)
        stop = min(layout.n_lines, first + layout.lines_per_page)
        edges = [top + (bottom - top) * line // layout.n_lines for line in (first, stop)]
        fill(frame, (right - width, edges[0], right, max(edges[1], edges[0] + width)), theme.color("ink.faint"))


def _last_lines(layout: TextLayout) -> Int[np.ndarray, "units"]:
    """The line on which each unit ends."""
    lines = np.zeros(len(layout.units), dtype=np.int64)
    for piece in layout.pieces:
        lines[piece.unit] = piece.line
    return lines


def _readable_inks(ramp: UInt8[np.ndarray, "256 3"], look: Theme) -> UInt8[np.ndarray, "256 3"]:
    """For each colour of the ramp, black or white letters, whichever contrasts more."""
    dark, light = look.color("token.dark_letters"), look.color("token.light_letters")
    inks = np.empty((256, 3), dtype=np.uint8)
    for step, color in enumerate(ramp):
        bright = luminance((int(color[0]), int(color[1]), int(color[2])))
        inks[step] = dark if (bright + 0.05) / (luminance(dark) + 0.05) >= 1.05 / (bright + 0.05) else light
    return inks
