"""Trace → figure on disk: the steps chosen, drawn and written; what cannot be drawn is refused before long work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attnviz_video.analysis.scores import Scores, score, shown_steps
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.files import figure_format, figure_path
from attnviz_video.export.figures.filmstrip import draw_filmstrip, refuse_filmstrip
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import refuse_without_matplotlib
from attnviz_video.export.figures.step_figure import draw_step
from attnviz_video.export.figures.steps import frame_of_step, frames_of_steps, frames_with_most_image
from attnviz_video.progress import Progress
from attnviz_video.render.settings import RenderSettings


def write_figures(
    trace: TraceData,
    trace_folder: Path,
    layers: Sequence[int],
    analysis: AnalysisSettings,
    render: RenderSettings,
    settings: FigureSettings,
    progress: Progress,
) -> list[Path]:
    """One figure per layer of `trace`, beside its folder unless the settings say otherwise.

    Raises:
        UsageError: no step or a wrong one is asked for, or a name that must not be used.
        TraceError: the layer or head was not recorded, or there is nothing to show.
        EnvironmentFault: matplotlib is missing, or the disk is full.
    """
    check_asked(trace, settings)
    figure_format(settings)
    refuse_without_matplotlib()
    return [_write(trace, trace_folder, layers, layer, analysis, render, settings, progress) for layer in layers]


def check_asked(trace: TraceData, settings: FigureSettings) -> None:
    """Refuse what can be refused before rows are read: no figure named, several, steps that the video does not have.

    Raises:
        UsageError: as said.
        TraceError: there is no step to show.
    """
    asked = [f"--{name}" for name in ("step", "steps", "filmstrip") if getattr(settings, name) is not None]
    if not asked:
        raise UsageError(
            "which steps? give --step N for one step, --filmstrip K for the K steps with most image attention, "
            "or --steps N,N,… for a strip of your own"
        )
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} each name a figure; give one of them")
    n_frames = len(shown_steps(trace))
    if settings.step is not None:
        frame_of_step(settings.step, n_frames)
    if settings.steps is not None:
        frames_of_steps(settings.steps, n_frames)


def _write(
    trace: TraceData,
    trace_folder: Path,
    layers: Sequence[int],
    layer: int,
    analysis: AnalysisSettings,
    render: RenderSettings,
    settings: FigureSettings,
    progress: Progress,
) -> Path:
    scores = score(trace, layer, analysis, show_prompt=render.show_prompt)
    if settings.step is None:
        refuse_filmstrip(scores)
    frames, chosen_by = chosen_frames(scores, settings)
    path = figure_path(settings, trace_folder, layer, frames, n_layers=len(layers))
    if settings.step is not None:
        drawn = draw_step(scores, frames[0], settings, render)
    else:
        drawn = draw_filmstrip(scores, frames, settings, render, chosen_by)
    for notice in (scores.report.sentence(), *drawn.notices):
        if notice:
            progress.notice(notice)
    return drawn.save(path, figure_format(settings))


def chosen_frames(scores: Scores, settings: FigureSettings) -> tuple[tuple[int, ...], str]:
    """The frames (from 0) that the settings ask for, and in words how they were found where nobody named them.

    Raises:
        UsageError: a step that the video does not have, or more steps than it has.
    """
    if settings.step is not None:
        return (frame_of_step(settings.step, scores.n_frames),), ""
    if settings.steps is not None:
        return frames_of_steps(settings.steps, scores.n_frames), ""
    frames, distance = frames_with_most_image(scores, settings.filmstrip or 1)
    apart = f", at least {distance} apart" if distance > 1 else ""
    return frames, f"steps with most image attention{apart}"
