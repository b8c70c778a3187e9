"""An opened trace, and what is made of it: one recording, many views. Nothing here needs the model or torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from attnviz_video.config import FigureConfig, RenderConfig, ReportConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.pipeline import render_outputs
from attnviz_video.progress import Progress, StandardError

if TYPE_CHECKING:
    import pandas as pd

    from attnviz_video.analysis.tables import Queries, Table, TableName
    from attnviz_video.export.report.write import Report


@dataclass(frozen=True, eq=False)
class Trace:
    """A recorded generation, opened for reading; nothing here needs the model or torch."""

    folder: Path
    data: TraceData

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
    ) -> Table:
        """The numbers of one layer as named columns; see `analysis.tables.TABLES` for what there is.

        Without `layer`, the first that the trace was made for. `queries="all"` takes the prompt's rows as well.

        Raises:
            UsageError, TraceError: a layer or head that the model does not have or the trace does not hold.
        """
        from attnviz_video.analysis.tables import LayerRows, make_table

        chosen = shown_layers(self, None if layer is None else (layer,))[0]
        return make_table(what, LayerRows(self.data, chosen, str(head), queries), top_keys)

    def to_pandas(self, what: TableName = "given", layer: int | None = None, **more: Any) -> pd.DataFrame:
        """The same as a pandas DataFrame (extra `tables`).

        Raises:
            UsageError, TraceError: as `table`.
            EnvironmentFault: pandas is not installed.
        """
        from attnviz_video.export.table_files import to_pandas

        return to_pandas(self.table(what, layer, **more))

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


def report_beside(trace: Trace, config: ReportConfig, progress: Progress) -> Report:
    """The interactive page of a trace, beside its folder unless `-o` says otherwise.

    Raises:
        AttnVizError: as `Trace.report`.
    """
    from attnviz_video.export.report.write import write_report

    layers = shown_layers(trace, config.report.layer_idx)
    return write_report(trace.data, trace.folder, layers, config.analysis, config.render, config.report, progress)
