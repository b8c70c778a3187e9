"""A filmstrip: some steps side by side, each with the images as on its frame and its token among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attnviz_video.analysis.scores import Scores
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.legend import draw_caption, draw_keys, draw_legend, legend_height, line_height
from attnviz_video.export.figures.look import WIDTHS, pt
from attnviz_video.export.figures.pictures import (
    PictureRoom,
    PictureSettings,
    draw_pictures,
    picture_rooms,
    shown_pictures,
)
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.step_figure import Drawn, about, draw_own_words, draw_title
from attnviz_video.export.figures.text import TextSetter
from attnviz_video.export.figures.tokens import TokenLook, context_of, current_unit, draw_token, units_of
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import Theme, theme

#: Lines of text under each panel.
_CONTEXT_LINES = 2
#: The images of a panel are at most this much higher than the panel is wide.
_TALLEST = 1.5


@dataclass(frozen=True)
class StripPlan:
    """Where the panels of a filmstrip stand, in points."""

    per_row: int
    panel_width: float
    rooms: tuple[PictureRoom, ...]
    pictures_height: float
    #: Of a panel with its token, without the gap to the next row.
    panel_height: float


def draw_filmstrip(
    scores: Scores, frames: Sequence[int], settings: FigureSettings, render: RenderSettings, chosen_by: str = ""
) -> Drawn:
    """The panels of `frames` (counted from 0) in that order, with one legend for all of them.

    `chosen_by` says how the steps were found, where the program found them.

    Raises:
        UsageError: the trace has no image, or its frames have a scale each.
        ImageError: an image of the trace cannot be read.
    """
    refuse_filmstrip(scores)
    look = theme(render.theme)
    sheet = Sheet(WIDTHS[settings.columns], look.color("panel.background"), FigureFonts(), settings.dpi)
    margin = pt("margin")
    width = sheet.width - 2 * margin
    plan = plan_strip(sheet, scores, len(frames), width)
    top = margin + draw_title(sheet, scores, render, look, margin, margin, width)
    pictures = PictureSettings(render, look, names=False)
    for place, number in enumerate(frames):
        row, column = divmod(place, plan.per_row)
        corner = (margin + column * (plan.panel_width + pt("panel.gap")), top + row * (plan.panel_height + pt("gap")))
        _draw_panel(sheet, scores, number, plan, pictures, look, corner)
    n_rows = -(-len(frames) // plan.per_row)
    top += n_rows * plan.panel_height + (n_rows - 1) * pt("gap") + pt("row_gap")
    top = _draw_explanation(sheet, scores, frames, pictures, look, top)
    extra = [*([chosen_by] if chosen_by else []), f"{scores.n_frames} steps in all"]
    top += draw_caption(sheet, scores, look, extra, margin, top, width)
    top += draw_own_words(sheet, render, look, margin, top, width)
    names = ", ".join(str(number + 1) for number in frames)
    return Drawn(sheet, top + margin, *about(scores, f"steps {names} of {scores.n_frames}"))


def refuse_filmstrip(scores: Scores) -> None:
    """Refuse what has no filmstrip, before any long work.

    Raises:
        UsageError: the trace has no image, or its frames have a scale each.
    """
    if not scores.trace.layout.images:
        raise UsageError("a filmstrip shows images and this trace has none; draw one step of its text with --step N")
    if scores.shared_scale is None:
        raise UsageError(
            "a filmstrip has one scale for all of its panels; leave out --scale per_frame, "
            "or draw one step with --step N"
        )


def plan_strip(sheet: Sheet, scores: Scores, count: int, width: float) -> StripPlan:
    """As few rows as the least width of a panel allows, the panels spread evenly over them."""
    gap = pt("panel.gap")
    most = max(1, int((width + gap) // (pt("panel.least") + gap)))
    n_rows = -(-count // most)
    per_row = -(-count // n_rows)
    panel_width = min(pt("panel.widest"), (width - (per_row - 1) * gap) / per_row)
    sizes = [picture.size for picture in shown_pictures(scores)]
    rooms, height = picture_rooms(sheet, sizes, panel_width, panel_width * _TALLEST)
    header = line_height(sheet, "label.text") + pt("line_gap")
    setter = TextSetter(sheet.fonts, pt("label.text"), boxed=0)
    panel_height = header + height + pt("line_gap") + _CONTEXT_LINES * setter.pitch
    return StripPlan(per_row, panel_width, tuple(rooms), height, panel_height)


def _draw_panel(
    sheet: Sheet, scores: Scores, number: int, plan: StripPlan, pictures: PictureSettings, look: Theme,
    corner: tuple[float, float],
) -> None:  # fmt: skip
    left, top = corner
    size = pt("label.text")
    name = f"step{number + 1}"
    baseline = top + sheet.fonts.ascent * size
    sheet.words(left, baseline, f"step {number + 1}", size, look.color("ink"), bold=True, name=name)
    top += line_height(sheet, "label.text") + pt("line_gap")
    draw_pictures(sheet, scores, number, plan.rooms, (left, top), pictures, name)
    top += plan.pictures_height + pt("line_gap")
    _draw_context(sheet, scores, number, look, (left, top), plan.panel_width)


def _draw_context(
    sheet: Sheet, scores: Scores, number: int, look: Theme, corner: tuple[float, float], width: float
) -> None:
    """The token in blue among its neighbours; what was not yet written is fainter."""
    units = units_of(scores)
    current = current_unit(units, scores.trace.n_prompt + scores.steps[number])
    setter = TextSetter(sheet.fonts, pt("label.text"), boxed=current)
    placed = context_of(units, scores.trace.n_prompt, current, setter, width, _CONTEXT_LINES)
    blue = TokenLook(look.color("token.current"), look.color("token.current.ink"), current=True)
    own = next(place for place, part in enumerate(placed) if part.part.unit == current)
    for place, part in enumerate(placed):
        ink = look.color("ink" if place < own else "ink.faint")
        looks = blue if part.part.unit == current else TokenLook(None, ink)
        place_of_line = (corner[0], corner[1] + part.line * setter.pitch)
        draw_token(sheet, part, looks, setter, look, place_of_line, f"step{number + 1}-")


def _draw_explanation(
    sheet: Sheet, scores: Scores, frames: Sequence[int], pictures: PictureSettings, look: Theme, top: float
) -> float:
    """The legend of the images and what the marks mean, side by side where there is room; returns where they end."""
    margin, gap = pt("margin"), pt("gap")
    width = sheet.width - 2 * margin
    legend = min(pt("ramp.width"), (width - gap) / 2)
    draw_legend(
        sheet, scores, scores.scale(frames[0]), "image", pictures.heat, look, margin, top, legend,
        smooth=pictures.render.smooth,
    )  # fmt: skip
    start = margin + legend + gap
    keys = draw_keys(sheet, scores, pictures.render, look, start, top, width - legend - gap)
    return top + max(legend_height(sheet), keys) + pt("line_gap")
