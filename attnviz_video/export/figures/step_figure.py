"""One step as a figure for a paper: text and images as on the frame of that step, their scales, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnviz_video.analysis.scores import Scores
from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.legend import (
    draw_caption,
    draw_keys,
    draw_legend,
    legend_height,
    line_height,
)
from attnviz_video.export.figures.look import WIDTHS, pt
from attnviz_video.export.figures.pictures import (
    PictureRoom,
    PictureSettings,
    caption_baseline,
    caption_height,
    draw_pictures,
    picture_rooms,
    shown_pictures,
)
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import Format, Sheet
from attnviz_video.export.figures.text import TextSetter, wrapped
from attnviz_video.export.figures.tokens import TokenLook, draw_text, set_text, sink_units, token_looks
from attnviz_video.render.heat import token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.status import probability_words
from attnviz_video.render.text_caption import caption_wordings, row_name
from attnviz_video.theme import Theme, theme

#: Lines of text that a figure shows at most: with its caption, half a page.
_MOST_LINES = 26
#: Share of the width that the text takes beside images.
_TEXT_SHARE = 0.52


@dataclass(frozen=True)
class Drawn:
    """A figure that has been drawn and not yet written."""

    sheet: Sheet
    height: float
    title: str
    description: str

    def save(self, path: Path, kind: Format) -> Path:
        """Write it.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        return self.sheet.save(path, kind, self.height, title=self.title, description=self.description)

    @property
    def notices(self) -> tuple[str, ...]:
        """Characters that no shipped font has, one sentence per script."""
        return self.sheet.fonts.notices()


@dataclass(frozen=True)
class Wording:
    """What a figure says of rows that are not recorded ones but computed from them."""

    #: In place of layer, heads, convention and sinks.
    caption: tuple[str, ...]
    #: What the numbers are.
    measure: str
    #: Whether one token is the current one; of a mean over steps none is.
    has_current: bool = True


@dataclass(frozen=True)
class _Column:
    """Part of the width, in points."""

    left: float
    right: float

    @property
    def width(self) -> float:
        return self.right - self.left


def draw_step(
    scores: Scores, number: int, settings: FigureSettings, render: RenderSettings, wording: Wording | None = None
) -> Drawn:
    """The figure of frame `number` (from 0): the weights, the scale and the colours are those of the video.

    Over two columns the text stands beside the images, over one below them. `wording` is for rows that were computed.

    Raises:
        ImageError: an image of the trace cannot be read.
    """
    look = theme(render.theme)
    sheet = Sheet(WIDTHS[settings.columns], look.color("panel.background"), FigureFonts(), settings.dpi)
    margin, gap = pt("margin"), pt("gap")
    whole = _Column(margin, sheet.width - margin)
    has_images = bool(scores.trace.layout.images)
    beside = has_images and settings.columns == 2
    middle = whole.left + whole.width * _TEXT_SHARE
    text = _Column(whole.left, middle - gap / 2) if beside else whole
    pictures = _Column(middle + gap / 2, whole.right) if beside else whole
    top = margin + draw_title(sheet, scores, render, look, whole.left, margin, whole.width)
    rooms, pictures_height = _rooms(sheet, scores, pictures.width)
    pictures_top = top
    text_top = top if beside or not has_images else top + pictures_height + pt("row_gap")
    text_height = _draw_text_sheet(
        sheet, scores, number, render, look, text, text_top, pictures_height if beside else 0.0, wording
    )
    if has_images:
        picture_settings = PictureSettings(render, look)
        corner = (pictures.left, pictures_top)
        draw_pictures(sheet, scores, number, rooms, corner, picture_settings, f"step{number + 1}")
    top = max(text_top + text_height, pictures_top + (pictures_height if has_images else 0.0)) + pt("row_gap")
    top = _draw_legends(sheet, scores, number, render, look, (text, pictures), top, wording) + pt("row_gap")
    left_out = ("current token",) if wording is not None and not wording.has_current else ()
    top += draw_keys(sheet, scores, render, look, whole.left, top, whole.width, left_out) + pt("line_gap")
    info = next(info for info in scores.trace.steps if info.index == scores.steps[number])
    probability = probability_words(info)[0]
    extra = [step_words(scores, number), probability] if wording is None else []
    if not scores.frame(number).has_row:
        extra.append("no row: nothing was written after this token")
    own = None if wording is None else wording.caption
    top += draw_caption(sheet, scores, look, extra, whole.left, top, whole.width, own)
    top += draw_own_words(sheet, render, look, whole.left, top, whole.width)
    return Drawn(sheet, top + margin, *about(scores, step_words(scores, number)))


def step_words(scores: Scores, number: int) -> str:
    """The number of a step as the video's footer gives it."""
    return f"step {number + 1}/{scores.n_frames}"


def about(scores: Scores, what: str) -> tuple[str, str]:
    """Title and description for the file's own use."""
    header = scores.trace.header
    title = f"Attention of {header.model.short_name}, layer {scores.layer}, sample {header.sample.id}"
    return title, f"{title}, {what}"


def draw_title(
    sheet: Sheet, scores: Scores, render: RenderSettings, look: Theme, left: float, top: float, width: float
) -> float:
    """The title, or the question; returns the height with the space below, 0 without one."""
    words = " ".join((render.title if render.title is not None else scores.trace.header.sample.problem).split())
    if not words:
        return 0.0
    size = pt("title.text")
    shown = sheet.fonts.fit(sheet.fonts.visible(words), size, width, bold=True)
    sheet.words(left, top + sheet.fonts.ascent * size, shown, size, look.color("ink"), bold=True, name="title")
    return sheet.fonts.height * size + pt("row_gap") * 0.75


def draw_own_words(sheet: Sheet, render: RenderSettings, look: Theme, left: float, top: float, width: float) -> float:
    """The caption that the user gave, in as many lines as needed; returns the height, 0 without one."""
    size = pt("label.text")
    words = sheet.fonts.visible(" ".join(render.caption.split())).split(" ") if render.caption.strip() else []
    lines = wrapped(words, " ", sheet.fonts, size, width)
    for number, line in enumerate(lines):
        baseline = top + pt("row_gap") + number * line_height(sheet, "label.text") + sheet.fonts.ascent * size
        sheet.words(left, baseline, line, size, look.color("ink"), name=f"words-{number}")
    return pt("row_gap") + len(lines) * line_height(sheet, "label.text") if lines else 0.0


def _rooms(sheet: Sheet, scores: Scores, width: float) -> tuple[list[PictureRoom], float]:
    sizes = [picture.size for picture in shown_pictures(scores)]
    return picture_rooms(sheet, sizes, width, pt("image.tallest")) if sizes else ([], 0.0)


def _draw_text_sheet(
    sheet: Sheet, scores: Scores, number: int, render: RenderSettings, look: Theme,
    column: _Column, top: float, least_height: float, wording: Wording | None,
) -> float:  # fmt: skip
    """The text in a frame with its share below, at least as high as the images beside it; returns the height."""
    padding = pt("sheet.padding")
    inner = column.width - 2 * padding
    below = caption_height(sheet)
    least_inner = least_height - below - 2 * padding
    for setter in _setters(sheet, beside=least_height > 0):
        n_lines = max(_MOST_LINES, int(least_inner / setter.pitch))
        text = set_text(scores, number, setter, inner, n_lines)
        if not text.first_line and text.n_lines * setter.pitch <= least_inner:
            break
    cut = line_height(sheet) + pt("line_gap") if text.first_line else 0.0
    height = max(text.n_lines * setter.pitch + cut + 2 * padding, least_height - below)
    box = (column.left, top, column.right, top + height)
    sheet.box(box, look.color("panel.background"), rim=look.color("panel.border"), rim_width=pt("sheet.border"))
    if text.first_line:
        baseline = top + padding + sheet.fonts.ascent * pt("small.text")
        words = f"… {text.first_line} line{'s' if text.first_line > 1 else ''} before"
        sheet.words(column.left + padding, baseline, words, pt("small.text"), look.color("ink.soft"))
    corner = (column.left + padding, top + padding + cut)
    looks = token_looks(scores, number, render, look)
    if wording is not None and not wording.has_current:  # seen by no query: neither a weight nor a mark
        looks = {unit: TokenLook(None, look.color("ink")) if own.current else own for unit, own in looks.items()}
    draw_text(sheet, text, looks, sink_units(scores), setter, look, corner, column.right - padding)
    _draw_text_caption(sheet, scores, number, look, column, top + height)
    return height + below


def _setters(sheet: Sheet, *, beside: bool) -> Iterator[TextSetter]:
    """Text sizes to try, the largest first; under images, where the height is free, only the least."""
    largest, least = pt("token.text.largest"), pt("token.text.least")
    sizes = np.arange(largest, least, -0.5).tolist() if beside else []
    yield from (TextSetter(sheet.fonts, size) for size in [*sizes, least])


def _draw_text_caption(sheet: Sheet, scores: Scores, number: int, look: Theme, column: _Column, top: float) -> None:
    """How much of the row lies on the text, as the video says it, in line with the captions of images."""
    size, n_sinks = pt("small.text"), len(scores.hidden_sinks)
    wordings = caption_wordings(scores.shares(number), row_name(scores), hides=scores.has_hidden_text, n_sinks=n_sinks)
    fitting = (words for words in wordings if sheet.fonts.width(words, size) <= column.width)
    words = sheet.fonts.fit(next(fitting, wordings[-1]), size, column.width)
    baseline = caption_baseline(sheet, top)
    sheet.words(column.left, baseline, words, size, look.color("ink"), name="text-share")


def _draw_legends(
    sheet: Sheet, scores: Scores, number: int, render: RenderSettings, look: Theme,
    columns: tuple[_Column, _Column], top: float, wording: Wording | None,
) -> float:  # fmt: skip
    """One legend for the text, one for the images where there are any; returns where they end."""
    text, pictures = columns
    scale, measure = scores.scale(number), None if wording is None else wording.measure
    heat = token_heat(render.colormap, render.token_style, look.color("panel.background"))
    if not scores.trace.layout.images:
        draw_legend(sheet, scores, scale, "text", heat, look, text.left, top, text.width, measure=measure)
        return top + legend_height(sheet)
    if text == pictures:
        half = (text.width - pt("gap")) / 2
        text, pictures = _Column(text.left, text.left + half), _Column(text.right - half, text.right)
    draw_legend(sheet, scores, scale, "text", heat, look, text.left, top, text.width, measure=measure)
    image = PictureSettings(render, look).heat
    draw_legend(
        sheet, scores, scale, "image", image, look, pictures.left, top, pictures.width, smooth=render.smooth,
        measure=measure,
    )  # fmt: skip
    return top + legend_height(sheet)
