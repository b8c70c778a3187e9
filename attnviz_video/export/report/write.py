"""Trace → report: one self-contained page that opens from disk."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.heads import check_recorded, parse_head, resolve_layer
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.displayed import link, named
from attnviz_video.export.report.blocks import coding_of, held_rows, row_blocks
from attnviz_video.export.report.data import asked_text, report_data
from attnviz_video.export.report.page import MARK, page
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.files import megabytes, write_atomic
from attnviz_video.progress import Progress
from attnviz_video.render.settings import RenderSettings

#: A report of more bytes opens slowly; the user is told.
LARGE_BYTES = 50_000_000
#: A report is put into a notebook up to so many bytes.
_NOTEBOOK_BYTES = 20_000_000
#: … in a frame of so many pixels.
_NOTEBOOK_HEIGHT = 820
#: The mark stands within so many bytes of the start.
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Report:
    """A report on disk; shows itself in a notebook."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        if not self.path.exists():
            return f"{named(self.path)} is not there any more"
        if self.path.stat().st_size > _NOTEBOOK_BYTES:
            return f"{link(self.path)} is too large for a notebook; open it in a browser"
        # In double quotes these two are all that means something; escaping more would make the notebook larger.
        text = self.path.read_text(encoding="utf-8").replace("&", "&amp;").replace('"', "&quot;")
        # The page runs its own program in an origin of its own, so it can reach nothing of the notebook.
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{text}" title="{html.escape(self.path.name)}" width="100%" '
            f'height="{_NOTEBOOK_HEIGHT}" style="border:0"></iframe><br>{link(self.path)}'
        )


def write_report(
    trace: TraceData,
    trace_folder: Path,
    layers: Sequence[int],
    analysis: AnalysisSettings,
    render: RenderSettings,
    settings: ReportSettings,
    progress: Progress,
) -> Report:
    """Write the report of `trace`, beside its folder unless the settings say otherwise; it opens with the first layer.

    Raises:
        UsageError: a layer or head that cannot be, or a name that must not be used.
        TraceError: rows that were not recorded, or nothing to show.
        EnvironmentFault: the disk.
    """
    path = report_path(settings, trace_folder)
    studied = [resolve_layer(trace.header, layer) for layer in layers]
    layer = studied[0]
    check_recorded(trace.header, layer, parse_head(analysis.head))
    if trace.is_encoding:
        # Every token of the text is current once, with the row of its own query.
        trace, analysis = as_steps(trace), replace(analysis, convention="predicting")
    held = held_rows(trace, studied, settings)
    scores = score(trace, layer, analysis, show_prompt=render.show_prompt)
    coding = coding_of(trace, held, settings)
    blocks = list(row_blocks(trace, held, coding))
    data = report_data(scores, render, held)
    data["coding"] = {block.name: block.coding for block in blocks}
    title = render.title or asked_text(trace.header.sample) or trace.header.sample.id
    text = page(title, data, ((block.name, block.text) for block in blocks)).encode("utf-8", "replace")
    write_atomic(path, text)
    if len(text) > LARGE_BYTES:
        progress.notice(f"{path} has {megabytes(len(text))} and opens slowly; {_how_to_shrink(settings)}")
    return Report(path)


def _how_to_shrink(settings: ReportSettings) -> str:
    if settings.report_weights == "exact":
        return "--report_weights short halves it"
    return "name fewer layers with --report_layers"


def report_path(settings: ReportSettings, trace_folder: Path) -> Path:
    """Where the report goes: `-o`, else `NAME_report.html` beside the folder NAME of the trace.

    Raises:
        UsageError: another ending, a place that cannot be written, or a file of somebody else.
        EnvironmentFault: the file that is there cannot be read.
    """
    folder = trace_folder if trace_folder.name not in ("", "..") else trace_folder.resolve()
    path = settings.output if settings.output is not None else folder.with_name(f"{folder.name}_report.html")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {path}: expected a file name that ends in .html")
    if path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it")
    place = path.parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        why = "is a file" if not place.is_dir() else "cannot be written to"
        raise UsageError(f"{path} cannot be written: {place} {why}; choose another place with -o")
    if path.exists() and not settings.overwrite and not is_our_report(path):
        raise UsageError(
            f"{path} was not written by this program; choose another name with -o, or replace it with --overwrite"
        )
    return path


def is_our_report(path: Path) -> bool:
    """Whether the file at `path` says in its head that it is a report of this program.

    Raises:
        EnvironmentFault: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return f'content="{MARK}"'.encode("ascii") in file.read(_HEAD_BYTES)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror or error}; choose another name with -o") from error
