"""An opened trace, and what is made of it: one recording, many views. Nothing here needs the model or torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from attnviz_video.config import FigureConfig, PlotConfig, RenderConfig, ReportConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.pipeline import render_outputs
from attnviz_video.progress import Progress, StandardError

if TYPE_CHECKING:
    import pandas as pd

    from attnviz_video.analysis.tables import Queries, Table, TableName
    from attnviz_video.export.displayed import DisplayedFiles
    from attnviz_video.export.report.write import Report


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded generation, opened for reading; nothing here needs the model or torch."""

    folder: Path
    #: Everything the trace knows.
    data: TraceData

    def __repr__(self) -> str:
        """One line: tokens and rows of a trace would fill the screen."""
        kept = "complete" if self.data.status == "complete" else "incomplete"
        return f"Trace({str(self.folder)!r}: {self.data.header.model.short_name}, {self.n_steps} steps, {kept})"

    @property
    def answer(self) -> str:
        """The generated text, special tokens included."""
        return self.data.answer_text

    @property
    def pieces(self) -> list[str]:
        """The text of every position of prompt and answer (see `core.units` for pieces of one character)."""
        return [token.piece for token in self.data.tokens]

    @property
    def layers(self) -> tuple[int, ...]:
        """Layers whose heads were recorded one by one; `render_video` can show each."""
        return self.data.header.head_layers

    @property
    def n_steps(self) -> int:
        """Number of generated tokens."""
        return len(self.data.steps)

    def weights(self, step: int, layer: int, head: str | int = "mean") -> Float[np.ndarray, "keys"]:
        """Attention of the query that produced answer token `step`: one weight per position before it.

        `step` counts answer tokens from 0. A video's footer, and so `figure`, `plot` and `table(steps=…)`, count what
        is shown from 1: `weights(24)` is the row of `figure(step=25)` where everything is shown.

        Raises:
            TraceError: the layer, head or step was not recorded.
        """
        from attnviz_video.analysis.heads import parse_head, reduce_heads

        return reduce_heads(self.data, step, layer, parse_head(str(head)))

    def image_weights(
        self, step: int, layer: int, image: int = 0, head: str | int = "mean"
    ) -> list[Float[np.ndarray, "rows columns"]]:
        """The same weights on the patches of one image: an array [rows, columns] for each of its grids.

        Raises:
            UsageError: the trace has no such image.
            TraceError: as `weights`.
        """
        n_images = len(self.data.layout.images)
        if not 0 <= image < n_images:
            there = f"images 0 to {n_images - 1}" if n_images else "no images"
            raise UsageError(f"image {image}: the trace has {there}")
        row = self.weights(step, layer, head)[self.data.layout.patch_positions(image)]
        return [
            row[grid.first_patch : grid.first_patch + grid.n_patches].reshape(grid.rows, grid.columns)
            for grid in self.data.layout.grids_of(image)
        ]

    def table(
        self,
        what: TableName = "given",
        layer: int | None = None,
        head: str | int = "mean",
        *,
        queries: Queries = "answer",
        top_keys: int = 5,
        words: bool = False,
        steps: Sequence[int] | None = None,
    ) -> Table:
        """The numbers of one layer as named columns; see `analysis.tables.TABLES` for what there is.

        Without `layer`, the first that the trace was made for. `queries="all"` takes the prompt's rows as well.
        `words` merges word pieces: summed as keys, averaged as queries (see `analysis.word_tables`). `steps` are
        numbers of the video's footer, from 1 or, negative, from the end; without them, all rows are taken.

        Raises:
            UsageError, TraceError: a layer, head or step that there is not, or that the trace does not hold.
        """
        from attnviz_video.analysis.tables import LayerRows, make_table
        from attnviz_video.analysis.word_tables import make_word_table

        chosen = shown_layers(self, None if layer is None else (layer,))[0]
        only = None if steps is None else self._queries_of(steps, queries)
        rows = LayerRows(self.data, chosen, str(head), queries, only)
        merged = words and what != "masked"
        return make_word_table(what, rows, top_keys) if merged else make_table(what, rows, top_keys)

    def _queries_of(self, steps: Sequence[int], queries: Queries) -> frozenset[int]:
        """Positions of the queries of steps that are numbered as in the video's footer."""
        from attnviz_video.analysis.encoding import as_steps
        from attnviz_video.analysis.scores import shown_steps
        from attnviz_video.export.figures.steps import frames_of_steps

        if queries == "all" and not self.data.is_encoding:
            raise UsageError(
                "--steps names rows of the answer, and --queries all asks for the prompt's too; leave one out"
            )
        shown = shown_steps(as_steps(self.data))
        first = 0 if self.data.is_encoding else self.data.n_prompt - 1
        return frozenset(first + shown[frame] for frame in frames_of_steps(steps, len(shown)))

    def to_pandas(self, what: TableName = "given", layer: int | None = None, **more: Any) -> pd.DataFrame:
        """The same as a pandas DataFrame (extra `tables`).

        Raises:
            UsageError, TraceError: as `table`.
            EnvironmentFault: pandas is not installed.
        """
        from attnviz_video.export.table_files import to_pandas

        return to_pandas(self.table(what, layer, **more))

    def video(
        self, path: str | Path | None = None, *, progress: Progress | None = None, **settings: object
    ) -> DisplayedFiles:
        """Make the side-by-side video; the result shows itself in a notebook and names its `path`.

        Without `path` it stands beside the trace. `settings` are the long flags of `render` by name (`layer_idx=20`,
        `colormap="cividis"` …); a list of layers gives a video each (`paths`).

        Raises:
            TraceError, UsageError, EnvironmentFault: see `pipeline.render_outputs`.
        """
        from attnviz_video.export.displayed import DisplayedFiles

        # A path given in Python is meant: what stands there is replaced.
        named = {} if path is None else {"output": str(path), "overwrite": True}
        config = replace_settings(RenderConfig(), {**settings, **named})
        return DisplayedFiles(tuple(videos_beside(self, config, progress or StandardError())))

    def figure(
        self, path: str | Path | None = None, *, progress: Progress | None = None, **settings: object
    ) -> DisplayedFiles:
        """Draw one step (`step=12`) or a filmstrip (`filmstrip=5`, `steps=[3, 17]`); a notebook shows the result.

        Without `path` it is a PNG beside the trace, or what `format` names. `settings` are the long flags of `figure`
        by name.

        Raises:
            TraceError, UsageError, EnvironmentFault: see `export.figures.write.write_figures`.
        """
        from attnviz_video.export.displayed import DisplayedFiles

        config = replace_settings(FigureConfig(), drawn_as(path, settings))
        return DisplayedFiles(tuple(figures_beside(self, config, progress or StandardError())))

    def plot(
        self, what: str = "matrix", path: str | Path | None = None, *, progress: Progress | None = None,
        **settings: object,
    ) -> DisplayedFiles:  # fmt: skip
        """Plot this trace (see `export.plots.settings` for what there is); a notebook shows the result.

        Without `path` it is a PNG beside the trace, or what `format` names. `settings` are the long flags of `plot` by
        name (`layer_idx=20`, `words=True` …); of several layers there may be a plot each (`paths`).

        Raises:
            UsageError, TraceError, EnvironmentFault: see `export.plots.write.write_plots`.
        """
        from attnviz_video.export.displayed import DisplayedFiles

        config = replace_settings(PlotConfig(), {**drawn_as(path, settings), "what": what})
        return DisplayedFiles(tuple(plots_beside(self, config, progress or StandardError())))

    def report(self, path: str | Path | None = None, *, progress: Progress | None = None, **settings: object) -> Report:
        """Make the interactive page of this trace; the result shows itself in a notebook and names its `path`.

        Without `path` it stands beside the trace. `settings` are the long flags of `report` by name
        (`layer_idx=20`, `report_layers="all"` …).

        Raises:
            UsageError, TraceError, EnvironmentFault: see `export.report.write.write_report`.
        """
        # A path given in Python is meant: what stands there is replaced.
        named = {} if path is None else {"output": str(path), "overwrite": True}
        config = replace_settings(ReportConfig(), {**settings, **named})
        return report_beside(self, config, progress or StandardError())

    def _repr_html_(self) -> str:
        from attnviz_video.export.trace_card import trace_card

        return trace_card(self.data, self.folder)


def drawn_as(path: str | Path | None, settings: Mapping[str, object]) -> dict[str, object]:
    """The settings of a figure that Python asks for: a PNG where nothing else is said, since notebooks show no PDF."""
    if path is not None:
        # A path given in Python is meant: what stands there is replaced.
        return {**settings, "output": str(path), "overwrite": True}
    return {**settings} if "output" in settings else {"format": "png", **settings}


def open_trace(folder: str | Path, progress: Progress | None = None) -> Trace:
    """Open a recorded trace; one whose recording did not end well is said to be incomplete.

    Raises:
        TraceError: there is none, or it is damaged or too new.
    """
    from attnviz_video.tracefile.read import incomplete_notice
    from attnviz_video.tracefile.read import open_trace as open_folder

    data = open_folder(Path(folder))
    notice = incomplete_notice(data)
    if notice:
        (progress or StandardError()).notice(f"{folder}: {notice}")
    return Trace(Path(folder), data)


def render_video(
    trace: Trace | str | Path,
    path: str | Path | None = None,
    *,
    layer_idx: int | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Path:
    """Make the side-by-side video of one layer of a trace and return its path.

    Without `layer_idx`, the first layer the trace was made for. Without `path`, the file stands
    beside the trace; the path of the first is returned where `format` names several. `settings` are
    the long flags of `render` by name.

    Raises:
        TraceError, UsageError, EnvironmentFault: see `pipeline.render_outputs`.
    """
    from attnviz_video.export.names import output_paths

    told = progress or StandardError()
    opened = trace if isinstance(trace, Trace) else open_trace(trace, told)
    config = replace_settings(RenderConfig(), settings)
    layer = shown_layers(opened, None if layer_idx is None else (layer_idx,))[0]
    # A path given in Python is meant: what stands there is replaced.
    export = config.export if path is None else replace(config.export, output=Path(path), overwrite=True)
    outputs = output_paths(export, layer, trace_folder=opened.folder)
    return render_outputs(opened.data, layer, config, outputs, told)[0]


def draw_figure(
    trace: Trace | str | Path,
    path: str | Path | None = None,
    *,
    layer_idx: int | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Path:
    """Draw one step of a layer (`step=12`) or a filmstrip (`filmstrip=5`, `steps=[3, 17]`) and return its path.

    Without `layer_idx`, the first layer the trace was made for. Without `path`, the figure stands beside the trace.
    `settings` are the long flags of `figure` by name.

    Raises:
        TraceError, UsageError, EnvironmentFault: see `export.figures.write.write_figures`.
    """
    told = progress or StandardError()
    opened = trace if isinstance(trace, Trace) else open_trace(trace, told)
    # A path given in Python is meant: what stands there is replaced.
    named = {} if path is None else {"output": str(path), "overwrite": True}
    config = replace_settings(FigureConfig(), {**settings, **named})
    layer = shown_layers(opened, None if layer_idx is None else (layer_idx,))[0]
    return figures_beside(opened, replace(config, layer_idx=(layer,)), told)[0]


def shown_layers(trace: Trace, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The layers to show, counted from 0, each once: those asked for (negative from the end), else the trace's own.

    Raises:
        UsageError: a layer that the model does not have.
    """
    header = trace.data.header
    n_layers = header.model.n_layers
    layers = (header.shown_layers or header.head_layers) if asked is None else tuple(asked)
    for layer in layers:
        if not -n_layers <= layer < n_layers:
            raise UsageError(f"--layer_idx {layer}: the model has layers 0 to {n_layers - 1} (or -{n_layers} to -1)")
    return tuple(dict.fromkeys(layer % n_layers for layer in layers))


def videos_beside(trace: Trace, config: RenderConfig, progress: Progress) -> list[Path]:
    """One video for each asked layer of a trace, beside the trace's folder unless `-o` or `--output_dir` say otherwise.

    Raises:
        AttnVizError: as `render_video`.
    """
    from attnviz_video.export.names import output_paths

    layers = shown_layers(trace, config.layer_idx)
    targets = [output_paths(config.export, layer, len(layers), trace.folder) for layer in layers]
    return [
        path
        for layer, outputs in zip(layers, targets, strict=True)
        for path in render_outputs(trace.data, layer, config, outputs, progress)
    ]


def figures_beside(trace: Trace, config: FigureConfig, progress: Progress) -> list[Path]:
    """One figure for each asked layer, beside the trace's folder unless `-o` or `--output_dir` say otherwise.

    Raises:
        AttnVizError: as `draw_figure`.
    """
    from attnviz_video.export.figures.write import write_figures

    layers = shown_layers(trace, config.layer_idx)
    return write_figures(trace.data, trace.folder, layers, config.analysis, config.render, config.figure, progress)


def plots_beside(trace: Trace, config: PlotConfig, progress: Progress) -> list[Path]:
    """The plots that are asked for, beside the trace's folder unless `-o` or `--output_dir` say otherwise.

    Raises:
        AttnVizError: as `Trace.plot`.
    """
    from attnviz_video.export.plots.write import write_plots

    header = trace.data.header
    recorded = tuple(sorted({*header.head_layers, *header.mean_layers}))
    layers = recorded if config.layer_idx == "all" else shown_layers(trace, config.layer_idx)
    return write_plots(
        trace.data, trace.folder, layers, config.analysis, config.render, config.plot, progress,
        layers_named=config.layer_idx is not None,
    )  # fmt: skip


def report_beside(trace: Trace, config: ReportConfig, progress: Progress) -> Report:
    """The interactive page of a trace, beside its folder unless `-o` says otherwise.

    Raises:
        AttnVizError: as `Trace.report`.
    """
    from attnviz_video.export.report.write import write_report

    layers = shown_layers(trace, config.report.layer_idx)
    return write_report(trace.data, trace.folder, layers, config.analysis, config.render, config.report, progress)
