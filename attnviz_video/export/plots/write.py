"""Trace → plots on disk: what cannot be drawn or written is refused before long work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.files import check_figure_target, figure_format
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import refuse_without_matplotlib
from attnviz_video.export.plots.kinds import KINDS, refuse_unused
from attnviz_video.export.plots.look import plain_look
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.export.plots.settings import PlotSettings
from attnviz_video.export.plots.style import styled_look
from attnviz_video.progress import Progress
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import theme


def write_plots(
    trace: TraceData,
    folder: Path,
    layers: Sequence[int],
    analysis: AnalysisSettings,
    render: RenderSettings,
    settings: PlotSettings,
    progress: Progress,
    *,
    layers_named: bool = False,
) -> list[Path]:
    """The plots that the settings ask for, beside the trace's `folder` unless they say otherwise.

    One per layer, or one in all, as its kind is. `layers_named`: somebody asked for just these layers.

    Raises:
        UsageError: a step, layer or name that cannot be.
        TraceError: the rows that the plot needs were not recorded, or there is nothing to plot.
        EnvironmentFault: matplotlib is missing, or the disk is full.
    """
    refuse_unused(settings)
    kind, written_as = KINDS[settings.what], figure_format(figure_settings(settings))
    refuse_without_matplotlib()
    look = plain_look(theme(render.theme), settings.colormap)
    if settings.style is not None:
        look = styled_look(look, settings.style, progress, has_colormap=settings.colormap is not None)
    chosen = tuple(layers)
    requests = [
        PlotRequest(trace, folder, chosen, layer, layers_named, analysis, render, settings, look, progress)
        for layer in (chosen if kind.each_layer else chosen[:1])
    ]
    if settings.output is not None and len(requests) > 1:
        raise UsageError(
            f"-o {settings.output} names one file, but {len(requests)} layers are asked for; "
            "name one layer with --layer_idx, or give a folder with --output_dir"
        )
    paths = []
    for request in requests:
        path = plot_path(request, f"{kind.name(request)}.{written_as}")
        drawn = kind.draw(request)
        for notice in drawn.notices:
            progress.notice(notice)
        paths.append(drawn.save(path, written_as))
    return paths


def figure_settings(settings: PlotSettings) -> FigureSettings:
    """What a figure of the same size, format and place would be asked for."""
    names = ("step", "steps", "filmstrip", "columns", "format", "dpi", "output_dir", "output", "overwrite")
    return replace(FigureSettings(), **{name: getattr(settings, name) for name in names})


def plot_path(request: PlotRequest, name: str) -> Path:
    """Where a plot goes: `-o`, or `name` in `--output_dir`, or beside the trace.

    Raises:
        UsageError: a place that cannot be written, or a file of somebody else.
    """
    settings, folder = request.settings, request.folder
    beside = folder if folder.name not in ("", "..") else folder.resolve()
    path = settings.output or (settings.output_dir or beside.parent) / name
    check_figure_target(path, overwrite=settings.overwrite)
    return path
