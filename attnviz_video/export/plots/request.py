"""`PlotRequest`: what every kind of plot is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.look import WIDTHS
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.figures.steps import frame_of_step
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.export.plots.settings import PlotSettings
from attnviz_video.progress import Progress
from attnviz_video.render.settings import RenderSettings


@dataclass(frozen=True, eq=False)
class PlotRequest:
    """One plot that is wanted: of which trace and layers, with which settings, in which look."""

    trace: TraceData
    folder: Path
    #: All layers asked for, counted from 0; a plot of one layer takes `layer`.
    layers: tuple[int, ...]
    layer: int
    #: Whether `layers` were named, or are those that the trace was made for.
    layers_named: bool
    analysis: AnalysisSettings
    render: RenderSettings
    settings: PlotSettings
    look: PlotLook
    progress: Progress

    def sheet(self) -> Sheet:
        """An empty sheet of the asked width."""
        fonts = FigureFonts(self.look.fonts)
        return Sheet(WIDTHS[self.settings.columns], self.look.color("panel.background"), fonts, self.settings.dpi)

    @property
    def step(self) -> int | None:
        """The answer token (`StepInfo.index`) that `--step` names, in an encoding the query; None without it.

        Raises:
            UsageError: a step that the video does not have.
        """
        if self.settings.step is None:
            return None
        steps = shown_steps(as_steps(self.trace))
        return steps[frame_of_step(self.settings.step, len(steps))]

    @property
    def step_number(self) -> int:
        """The number of `--step` as the video counts, from 1.

        Raises:
            UsageError: a step that the video does not have.
        """
        return frame_of_step(self.settings.step or 1, len(shown_steps(as_steps(self.trace)))) + 1

    @property
    def picture_render(self) -> RenderSettings:
        """How pictures are painted: with the colour map asked for, else that of the video."""
        return replace(self.render, colormap=self.settings.colormap or RenderSettings().colormap)

    def drawn(self, sheet: Sheet, height: float, what: str) -> Drawn:
        """The finished plot; `what` says in the file's own description what it shows."""
        header = self.trace.header
        title = f"Attention of {header.model.short_name}, {what}, sample {header.sample.id}"
        return Drawn(sheet, height, title, title)


def layer_words(layers: Sequence[int]) -> str:
    """`layer20`, `layers3-8`: for names of files."""
    return f"layer{'s' if len(layers) > 1 else ''}{'-'.join(map(str, layers))}"
