"""Tables as text, CSV, JSON, Parquet and DataFrames: what is written is what the table holds."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from attnviz_video.analysis.tables import Table
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.table_files import (
    aligned_text,
    check_table_target,
    csv_text,
    table_format,
    table_text,
    to_pandas,
    write_table,
)
from attnviz_video.export.table_settings import TableSettings

HOSTILE = ["=cmd()", "a\nb\x1b[2J", "红色", "\u202eabc", "-1"]
TABLE = Table(
    "weights of a test",
    {
        "query": [10, 11, 12, 13, 14],
        "token": HOSTILE,
        "weight": np.array([0.5, np.nan, 0.1, 3e-5, 0.0], np.float32),
    },
)


def test_text_is_aligned_also_where_characters_are_wide_and_never_moves_the_terminal() -> None:
    lines = aligned_text(TABLE).splitlines()
    assert lines[0] == "weights of a test"
    assert lines[1:] == [
        "query  token           weight",
        "   10  =cmd()          0.5000",
        "   11  a\\nb\\u001b[2J        -",
        "   12  红色            0.1000",
        "   13  \\u202eabc      3.0e-05",
        "   14  -1              0.0000",
    ]


def test_of_a_wide_matrix_the_heaviest_columns_are_shown() -> None:
    rows = np.arange(40, dtype=np.float32).reshape(2, 20)
    names = {"query": [0, 1], "produced": [1, 2], "token": ["a", "b"]}
    wide = Table("matrix", names | {f"{key} k": rows[:, key] for key in range(20)})
    shown = table_text(wide, "text").splitlines()
    assert shown[1].split() == [
        "query",
        "produced",
        "token",
        *(word for key in range(9, 20) for word in (str(key), "k")),
    ]
    assert shown[-1] == "… 9 columns of less weight are left out; -o FILE.csv writes all of them"
    assert "0 k" in table_text(wide, "text", whole=True)
    assert "0 k" in table_text(wide, "csv")


def test_csv_reads_back_and_starts_no_formula() -> None:
    read = list(csv.reader(io.StringIO(csv_text(TABLE))))
    assert read[0] == ["query", "token", "weight"]
    assert [line[1] for line in read[1:]] == ["'=cmd()", "a\nb\x1b[2J", "红色", "\u202eabc", "'-1"]
    assert [np.float32(line[2]) for line in read[1:2] + read[3:]] == [
        np.float32(0.5),
        np.float32(0.1),
        np.float32(3e-5),
        0,
    ]


def test_json_has_null_where_there_is_no_number() -> None:
    read = json.loads(table_text(TABLE, "json"))
    assert read["title"] == "weights of a test"
    assert read["columns"]["weight"][:3] == [0.5, None, 0.1]
    assert read["columns"]["token"] == HOSTILE


def test_pandas_and_parquet_hold_the_same(tmp_path: Path) -> None:
    frame = to_pandas(TABLE)
    assert frame.attrs["title"] == "weights of a test"
    path = write_table(TABLE, tmp_path / "new/t.parquet", "parquet")
    assert pq.read_table(path).schema.metadata[b"title"] == b"weights of a test"
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame, check_dtype=False)


def test_a_lone_surrogate_does_not_stop_a_file(tmp_path: Path) -> None:
    table = Table("t", {"token": ["\ud83d"]})
    assert write_table(table, tmp_path / "t.csv", "csv").read_text("utf-8") == "token\n?\n"
    assert pq.read_table(write_table(table, tmp_path / "t.parquet", "parquet")).to_pylist() == [{"token": "?"}]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({}, "text"),
        ({"format": "csv"}, "csv"),
        ({"output": Path("a.CSV")}, "csv"),
        ({"output": Path("a.txt")}, "text"),
        ({"output": Path("a.json"), "format": "json"}, "json"),
    ],
)
def test_the_format_is_that_of_the_name(settings: dict[str, Any], found: str) -> None:
    assert table_format(TableSettings(**settings)) == found


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": Path("a.xls")}, r"expected a file name that ends in one of \.txt, \.csv, \.parquet, \.json"),
        ({"output": Path("a.csv"), "format": "json"}, "-o a.csv and --format json name two formats; leave one out"),
        ({"format": "parquet"}, r"--format parquet is no text; name a file with -o table\.parquet"),
    ]
    for settings, message in cases:
        with pytest.raises(UsageError, match=message):
            table_format(TableSettings(**settings))
    there = tmp_path / "t.csv"
    there.write_text("mine")
    with pytest.raises(UsageError, match=r"t\.csv exists; choose another name with -o, or replace it with --overwrite"):
        check_table_target(TableSettings(output=there))
    check_table_target(TableSettings(output=there, overwrite=True))
    with pytest.raises(UsageError, match=r"-o new\.csv names one file, but 2 layers are asked for; name one layer"):
        check_table_target(TableSettings(output=Path("new.csv")), n_layers=2)
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        check_table_target(TableSettings(output=tmp_path))


@pytest.mark.parametrize("name", ["pandas", "pyarrow"])
def test_a_missing_library_is_named_with_its_extra(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentFault, match=rf"{name} is needed .* pip install 'attnviz-video\[tables\]'"):
        _ = to_pandas(TABLE) if name == "pandas" else write_table(TABLE, tmp_path / "t.parquet", "parquet")
