"""What is taken away from a run: its report, its trace as a ZIP file, its pictures as thumbnails."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

from attnviz_video.config import RunConfig
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import write_report
from attnviz_video.files import write_atomic
from attnviz_video.progress import Silent
from attnviz_video.serve.runs import Run
from attnviz_video.sources.images import open_image, thumbnail_bytes
from attnviz_video.tracefile.read import open_trace

_BLOCK = 1 << 20
#: Pixels of the longer side of a thumbnail: twice what it takes in the page, for finer screens.
_THUMBNAIL = 96
#: One report is made at a time: two pages that ask at once must not make it twice.
_MAKING = threading.Lock()


def report_of(run: Run, config: RunConfig) -> Path:
    """The report of a run that has ended; made when it is first asked for.

    Raises:
        TraceError, EnvironmentFault: see `write_report`.
    """
    with _MAKING:
        if not run.report.is_file():
            folder = run.trace_folder
            trace = open_trace(folder)
            settings = ReportSettings(output=run.report, overwrite=True)
            layers = trace.header.shown_layers
            write_report(trace, folder, layers, config.analysis, config.render, settings, Silent())
        return run.report


def thumbnail_of(run: Run, number: int) -> Path:
    """A small copy of a picture of a run, for a list; made when it is first asked for.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    path = run.folder / f"thumbnail-{number}.jpg"
    if not path.is_file():
        write_atomic(path, thumbnail_bytes(open_image(run.image(number)), _THUMBNAIL))
    return path


class _Pipe(io.RawIOBase):
    """A file that only forgets: what was written is taken out at once."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        """Everything written since it was last taken."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def zipped(folder: Path, name: str) -> Iterator[bytes]:
    """The files of a trace as a ZIP file with one folder `name`, block by block; nothing is held in memory or on disk.

    Stored, not compressed: rows in float16 hardly become smaller.
    """
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo.from_file(
                path, f"{name}/{path.relative_to(folder).as_posix()}", strict_timestamps=False
            )
            with path.open("rb") as file, archive.open(entry, "w", force_zip64=entry.file_size > 1 << 31) as target:
                while block := file.read(_BLOCK):
                    target.write(block)
                    yield pipe.take()
    yield pipe.take()
