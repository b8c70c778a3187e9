"""`results.jsonl`, one line per attempt, only ever appended to; and `summary.csv`, made of it."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from attnviz_video.export.csv_cells import plain_cell
from attnviz_video.files import os_errors, write_atomic

Row = dict[str, object]
#: What is made of all books is made anew so often at most; who adds rows without end makes it again himself.
AGAIN = 5

#: Columns of summary.csv, and where in a row their values stand.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "index": ("index",),
    "id": ("id",),
    "status": ("status",),
    "attempts": ("attempt",),
    "error_kind": ("error", "kind"),
    "error": ("error", "sentence"),
    "question": ("question",),
    "answer": ("answer",),
    "response": ("response",),
    "correct": ("correct",),
    "score": ("score",),
    "image_share": ("image_share",),
    "n_tokens": ("n_tokens",),
    "seconds_record": ("seconds", "record"),
    "seconds_render": ("seconds", "render"),
    "peak_memory_mb": ("peak_memory_mb",),
    "folder": ("folder",),
    "trace": ("trace",),
    "videos": ("videos",),
    "poster": ("poster",),
    "notices": ("input_notices",),
}


class ResultsWriter:
    """Appends rows; a line that a killed run left half-written stays as it is, on a line of its own."""

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            EnvironmentFault: it cannot be written.
        """
        self.path = path
        with os_errors(path):
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            size = os.fstat(self._handle).st_size
            if size and os.pread(self._handle, 1, size - 1) != b"\n":
                os.write(self._handle, b"\n")

    def append(self, row: Row) -> None:
        """One more line, in one write: no signal comes between its bytes.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        line = line_of(row)
        with os_errors(self.path, len(line)):
            written = os.write(self._handle, line)
            while written < len(line):  # the disk took a part; the rest fails, or follows
                written += os.write(self._handle, line[written:])

    def close(self) -> None:
        """Wait until all lines are on the disk."""
        if self._handle >= 0:
            with os_errors(self.path):
                os.fsync(self._handle)
                os.close(self._handle)
            self._handle = -1


def line_of(row: Row) -> bytes:
    """A row as a line of strict JSON; what JSON cannot hold (NaN, other objects) stands there as text."""
    try:
        text = json.dumps(row, ensure_ascii=True, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        text = json.dumps({str(name): held(value) for name, value in row.items()}, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def held(value: object) -> object:
    """A value that JSON can hold, or its text."""
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, TypeError, RecursionError):
        return repr(value)
    return value


def read_rows(files: Sequence[Path]) -> list[Row]:
    """The rows of several files in the order they were written; lines that are no rows are left out.

    Raises:
        EnvironmentFault: a file cannot be read.
    """
    rows: list[Row] = []
    for file in files:
        with os_errors(file):
            lines = file.read_bytes().split(b"\n")
        rows += [row for row in map(row_of, lines) if row is not None]
    return sorted(rows, key=lambda row: str(row.get("ended", ""))) if len(files) > 1 else rows


def row_of(line: bytes) -> Row | None:
    """The row in a line; None for an empty line, a torn one, or something else."""
    if not line.strip():
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and type(row.get("index")) is int and "status" in row else None


def latest(rows: Iterable[Row]) -> dict[int, Row]:
    """The row of the last attempt at every sample, by index; of one attempt, the row that was written last.

    Attempts are counted over all books of a run, while the clocks of its machines may differ.
    """
    found: dict[int, Row] = {}
    for row in rows:
        index = int(str(row["index"]))
        if index not in found or attempt_of(row) >= attempt_of(found[index]):
            found[index] = row
    return found


def attempt_of(row: Row) -> int:
    """The number of an attempt, from 1; 0 where a row does not tell it."""
    attempt = row.get("attempt")
    return attempt if isinstance(attempt, int) else 0


def of_all_books(files: Callable[[], Sequence[Path]], make: Callable[[list[Row]], None]) -> None:
    """Make something of the rows in `files`, and again where rows were added meanwhile.

    Shards that end at the same time make the same summary and the same page: so the one that is made last holds
    everything.

    Raises:
        DiskFullError, EnvironmentFault: a file cannot be read, or what `make` raises.
    """
    for _ in range(AGAIN):
        before = sizes_of(files())
        make(read_rows(files()))
        if sizes_of(files()) == before:
            return


def sizes_of(files: Sequence[Path]) -> dict[Path, int]:
    """The bytes of each file.

    Raises:
        EnvironmentFault: one is not there any more.
    """
    sizes = {}
    for file in files:
        with os_errors(file):
            sizes[file] = file.stat().st_size
    return sizes


def write_summary(path: Path, rows: Iterable[Row]) -> None:
    """One line per sample: its last attempt.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for _, row in sorted(latest(rows).items()):
        writer.writerow([cell(value_at(row, place)) for place in COLUMNS.values()])
    write_atomic(path, text.getvalue().encode("utf-8", "replace"))


def value_at(row: Mapping[str, object], place: Sequence[str]) -> object:
    """The value under nested keys; None where there is none."""
    value: object = row
    for key in place:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def cell(value: object) -> object:
    """A value as a cell: text, or a number; no spreadsheet takes it for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return value
    return plain_cell("; ".join(map(str, value)) if isinstance(value, list) else str(value))
