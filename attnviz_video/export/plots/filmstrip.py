"""Plot `filmstrip`: the figure of that name, from the same command."""

from __future__ import annotations

from dataclasses import replace

from attnviz_video.analysis.scores import score, shown_steps
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.files import figure_name
from attnviz_video.export.figures.filmstrip import draw_filmstrip, refuse_filmstrip
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.figures.steps import frames_of_steps
from attnviz_video.export.figures.write import check_asked, chosen_frames
from attnviz_video.export.plots.request import PlotRequest

#: Panels where no number is given.
PANELS = 5


def filmstrip_name(request: PlotRequest) -> str:
    """The name that `figure` gives: `attention_filmstrip5_layer20`, `attention_steps3-17_layer20`.

    Raises:
        UsageError: the trace has no image.
    """
    if not request.trace.layout.images:
        raise UsageError("a filmstrip shows images and this trace has none; choose another plot with --what")
    settings = strip_settings(request)
    steps, count = settings.steps, len(shown_steps(request.trace))
    frames = () if steps is None else frames_of_steps(steps, count)
    return figure_name(settings, request.layer, frames, "pdf").removesuffix(".pdf")


def draw_strip(request: PlotRequest) -> Drawn:
    """The filmstrip of one layer, as `figure --filmstrip` draws it.

    Raises:
        UsageError, TraceError, ImageError: as `figure`.
    """
    settings = strip_settings(request)
    check_asked(request.trace, settings)
    scores = score(request.trace, request.layer, request.analysis, show_prompt=request.render.show_prompt)
    refuse_filmstrip(scores)
    frames, chosen_by = chosen_frames(scores, settings)
    if scores.report.sentence():
        request.progress.notice(scores.report.sentence())
    return draw_filmstrip(scores, frames, settings, request.picture_render, chosen_by)


def strip_settings(request: PlotRequest) -> FigureSettings:
    """What `figure` would be asked for."""
    settings = request.settings
    count = settings.filmstrip if settings.steps is not None else settings.filmstrip or PANELS
    return replace(FigureSettings(), steps=settings.steps, filmstrip=count, columns=settings.columns, dpi=settings.dpi)
