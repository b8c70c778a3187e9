"""Composes the settings of all stages; YAML, flags and Python values go through one strict coercion."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.config.compose import from_mapping, parse, replace_settings
from attnviz_video.config.fields import to_mapping
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.plots.settings import PlotSettings
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.settings import ExportSettings
from attnviz_video.models.settings import ModelSettings
from attnviz_video.render.settings import RenderSettings
from attnviz_video.sources.settings import SourceSettings
from attnviz_video.tracefile.settings import TraceSettings

__all__ = [
    "FigureConfig", "PlotConfig", "RenderConfig", "ReportConfig", "RunConfig", "from_mapping", "parse",
    "replace_settings", "to_mapping",
]  # fmt: skip


@dataclass(frozen=True)
class RunConfig:
    """Everything `run` needs, stage by stage."""

    source: SourceSettings = field(default_factory=SourceSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    trace: TraceSettings = field(default_factory=TraceSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


@dataclass(frozen=True)
class RenderConfig:
    """Everything `render` needs."""

    layer_idx: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "recorded layers to show, one video each (default: those the trace was made for)"},
    )
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    render: RenderSettings = field(default_factory=RenderSettings)
    export: ExportSettings = field(default_factory=ExportSettings)


#: What of a frame's look a figure has too; its size, typefaces and layout are its own.
FIGURE_LOOK = (
    "colormap", "theme", "token_style", "show_prompt", "heat_alpha", "alpha", "smooth", "grid_lines", "boxes",
    "title", "caption",
)  # fmt: skip


@dataclass(frozen=True)
class FigureConfig:
    """Everything `figure` needs."""

    layer_idx: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "recorded layers to show, one figure each (default: those the trace was made for)"},
    )
    figure: FigureSettings = field(default_factory=FigureSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    render: RenderSettings = field(default_factory=RenderSettings, metadata={"only": FIGURE_LOOK})


#: What of a frame's look a plot has too; its colour map is its own.
PLOT_LOOK = (
    "theme", "token_style", "show_prompt", "heat_alpha", "alpha", "smooth", "grid_lines", "boxes", "title", "caption",
)  # fmt: skip


@dataclass(frozen=True)
class PlotConfig:
    """Everything `plot` needs."""

    layer_idx: tuple[int, ...] | Literal["all"] | None = field(
        default=None,
        metadata={"help": "recorded layers to plot, or all of them (default: those that the trace was made for)"},
    )
    plot: PlotSettings = field(default_factory=PlotSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    render: RenderSettings = field(default_factory=RenderSettings, metadata={"only": PLOT_LOOK})


#: What of a frame's look a report has too; its reader chooses the rest in the page.
REPORT_LOOK = ("colormap", "show_prompt", "heat_alpha", "alpha", "grid_lines", "title")


@dataclass(frozen=True)
class ReportConfig:
    """Everything `report` needs."""

    report: ReportSettings = field(default_factory=ReportSettings)
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    render: RenderSettings = field(default_factory=RenderSettings, metadata={"only": REPORT_LOOK})
