"""Composes the settings of all stages; YAML, flags and Python values go through one strict coercion."""

from __future__ import annotations

from dataclasses import dataclass, field

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.config.compose import from_mapping, parse, replace_settings
from attnviz_video.config.fields import to_mapping
from attnviz_video.export.settings import ExportSettings
from attnviz_video.models.settings import ModelSettings
from attnviz_video.render.settings import RenderSettings
from attnviz_video.sources.settings import SourceSettings
from attnviz_video.tracefile.settings import TraceSettings

__all__ = ["RenderConfig", "RunConfig", "from_mapping", "parse", "replace_settings", "to_mapping"]


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
