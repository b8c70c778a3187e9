"""Tables as text for the terminal, as CSV, as JSON lines, and as Parquet and pandas objects (extra `tables`)."""

from __future__ import annotations

import csv
import io
import json
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from attnviz_video.analysis.tables import Table
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.csv_cells import plain_cell
from attnviz_video.export.table_settings import TableSettings
from attnviz_video.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["text", "csv", "parquet", "json"]
_ENDINGS: dict[str, Format] = {".txt": "text", ".csv": "csv", ".parquet": "parquet", ".json": "json"}
#: Characters of a cell on the terminal; longer ones end in "…".
_LONGEST_CELL = 28
#: Columns of a matrix that a terminal line holds, and how many of them name the line.
_MOST_COLUMNS = 14
LINE_NAMES = 3
#: Smaller numbers are written with an exponent.
_LEAST_FIXED = 0.001


def table_format(settings: TableSettings) -> Format:
    """The format that `-o` or `--format` names; text where neither does.

    Raises:
        UsageError: another ending, the two contradict each other, or Parquet without a file.
    """
    asked = settings.format
    if settings.output is None:
        if asked == "parquet":
            raise UsageError("--format parquet is no text; name a file with -o table.parquet")
        return asked or "text"
    ending = settings.output.suffix.lower()
    if ending not in _ENDINGS:
        raise UsageError(f"-o {settings.output}: expected a file name that ends in one of {', '.join(_ENDINGS)}")
    if asked not in (None, _ENDINGS[ending]):
        raise UsageError(f"-o {settings.output} and --format {asked} name two formats; leave one out")
    return _ENDINGS[ending]


def check_table_target(settings: TableSettings, n_layers: int = 1) -> None:
    """Refuse a file that is there already, before any row is read.

    Raises:
        UsageError: it is, and `--overwrite` is not given; it is a folder; or it is one file for several layers.
    """
    path = settings.output
    if path is not None and n_layers > 1:
        raise UsageError(
            f"-o {path} names one file, but {n_layers} layers are asked for; name one layer with --layer_idx"
        )
    if path is not None and path.is_dir():
        raise UsageError(f"-o {path} is a folder; name a file in it")
    if path is not None and path.exists() and not settings.overwrite:
        raise UsageError(f"{path} exists; choose another name with -o, or replace it with --overwrite")


def write_table(table: Table, path: Path, kind: Format) -> Path:
    """Write `table` to `path`; nothing is under that name until the file is whole.

    Raises:
        EnvironmentFault: the disk, or pandas or pyarrow are not installed.
    """
    # A lone surrogate cannot be UTF-8; it is written as a question mark.
    data = parquet_bytes(table) if kind == "parquet" else table_text(table, kind, whole=True).encode("utf-8", "replace")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)
    return path


def table_text(table: Table, kind: Format, *, whole: bool = False) -> str:
    """`table` as text, CSV or JSON; on a terminal (`whole` is False) the text leaves out columns that do not fit."""
    if kind == "csv":
        return csv_text(table)
    if kind == "json":
        return json_text(table)
    return aligned_text(table, None if whole else _MOST_COLUMNS)


def csv_text(table: Table) -> str:
    """RFC 4180 with a header line; a cell that a spreadsheet would take for a formula gets an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([plain_cell(name) for name in table.columns])
    writer.writerows([plain_cell(as_python(value)) for value in line] for line in table.lines())
    return text.getvalue()


def json_text(table: Table) -> str:
    """An object with the title and one array per column; values that are no number are null."""
    columns = {name: [_json_value(value) for value in column] for name, column in table.columns.items()}
    return json.dumps({"title": table.title, "columns": columns}, ensure_ascii=False) + "\n"


def _json_value(value: Any) -> Any:
    plain = as_python(value)
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def aligned_text(table: Table, most_columns: int | None = None) -> str:
    """Title, header and lines in aligned columns, numbers to the right.

    Of a table with more than `most_columns` columns those with the largest sums are shown, in their order, behind the
    columns that name the line; what is left out is said.
    """
    names = _heaviest(table, most_columns) if most_columns is not None else list(table.columns)
    columns = [[_printed(value) for value in table.columns[name]] for name in names]
    heads = [_printed(name) for name in names]
    is_number = [all(_is_number(value) for value in table.columns[name]) for name in names]
    widths = [max(map(_width, [head, *column])) for head, column in zip(heads, columns, strict=True)]
    lines = [table.title, _line(heads, widths, is_number)]
    lines += [_line(cells, widths, is_number) for cells in zip(*columns, strict=True)]
    left_out = len(table.columns) - len(names)
    if left_out:
        lines.append(f"… {left_out} columns of less weight are left out; -o FILE.csv writes all of them")
    return "\n".join(lines) + "\n"


def _heaviest(table: Table, most: int) -> list[str]:
    """Names of at most `most` columns: those that name a line, then those with the largest sums, in their order."""
    names = list(table.columns)
    if len(names) <= most:
        return names
    values = names[LINE_NAMES:]
    sums = [float(np.nansum(np.asarray(table.columns[name], dtype=np.float64))) for name in values]
    kept = sorted(np.argsort([-total for total in sums], kind="stable")[: most - LINE_NAMES].tolist())
    return names[:LINE_NAMES] + [values[number] for number in kept]


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = [
        " " * (width - _width(cell)) + cell if to_right else cell + " " * (width - _width(cell))
        for cell, width, to_right in zip(cells, widths, right, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _printed(value: Any) -> str:
    """A cell on the terminal: numbers short, text with its line breaks and control characters written out."""
    plain = as_python(value)
    if isinstance(plain, float):
        if math.isnan(plain):
            return "-"
        return f"{plain:.4f}" if plain == 0 or abs(plain) >= _LEAST_FIXED else f"{plain:.1e}"
    if isinstance(plain, int):
        return str(plain)
    # A terminal obeys control characters and turns text around for bidirectional marks; here they are only shown.
    shown = "".join(
        character if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else _escaped(character)
        for character in str(plain)
    )
    return _shortened(shown)


def _escaped(character: str) -> str:
    names = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return names.get(character, f"\\u{ord(character):04x}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else text[: _LONGEST_CELL - 1] + "…"


def _width(text: str) -> int:
    """Columns of a terminal that `text` takes: wide characters two, combining marks none (Unicode annex 11)."""
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating)


def as_python(value: Any) -> Any:
    """A numpy number as Python's own; float32 by its own shortest digits, which read back to the same float32."""
    if isinstance(value, np.float32 | np.float16):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def to_pandas(table: Table) -> pd.DataFrame:
    """`table` as a DataFrame; its title is in `.attrs["title"]`.

    Raises:
        EnvironmentFault: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise _missing("pandas", error) from error
    frame = pd.DataFrame(dict(table.columns))
    frame.attrs["title"] = table.title
    return frame


def parquet_bytes(table: Table) -> bytes:
    """`table` as a Parquet file.

    Raises:
        EnvironmentFault: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise _missing("pyarrow", error) from error
    columns = {name: _arrow_ready(column) for name, column in table.columns.items()}
    arrow = pa.table(columns).replace_schema_metadata({"title": table.title})
    file = io.BytesIO()
    pq.write_table(arrow, file)
    return file.getvalue()


def _arrow_ready(column: Sequence[Any] | np.ndarray) -> Any:
    if isinstance(column, np.ndarray):
        return column
    return [value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in column]


def _missing(name: str, error: ImportError) -> EnvironmentFault:
    return EnvironmentFault(
        f"{name} is needed for that and cannot be imported ({error}); pip install 'attnviz-video[tables]'"
    )
