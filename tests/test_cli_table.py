"""`table`: the numbers of a trace on the terminal and in files."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from attnviz_video import cli
from attnviz_video.api import open_trace

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "samples/demo_trace"


def listed(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert cli.main(["table", str(DEMO), *flags]) == 0
    return capsys.readouterr().out


def test_the_heaviest_keys_are_listed_without_torch() -> None:
    program = (
        "import sys; from attnviz_video.cli import main\n"
        f"code = main(['table', {str(DEMO)!r}, '--top_keys', '2'])\n"
        "sys.exit(code or ('torch' in sys.modules) or ('pandas' in sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == "heaviest keys of every query, layer 20, mean over heads"
    assert lines[1].split() == ["query", "produced", "token", "rank", "key", "key_token", "weight"]
    assert len(lines) == 2 + 2 * len(open_trace(DEMO).data.steps)


def test_rows_and_columns_have_different_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "received_sum" in listed(capsys, "--what", "received", "--queries", "all").splitlines()[1]
    assert "image_1_share" in listed(capsys, "--what", "shares").splitlines()[1]
    assert "columns of less weight are left out; -o FILE.csv" in listed(capsys, "--what", "weights")


def test_words_merge_pieces_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, "--words", "--what", "received", "--queries", "all").splitlines()
    assert lines[0].endswith("word pieces merged: summed over keys, averaged over queries")
    assert lines[1].split()[:5] == ["key", "key_word", "key_tokens", "role", "words_that_see_it"]
    table = open_trace(DEMO).table("received", 20, queries="all", words=True)
    assert len(lines) == 2 + table.n_lines


def test_files_hold_the_whole_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for ending, read in ((".csv", pd.read_csv), (".parquet", pd.read_parquet)):
        path = tmp_path / f"matrix{ending}"
        assert listed(capsys, "--what", "weights", "--queries", "all", "-o", str(path)) == f"{path}\n"
        frame = read(path)
        assert frame.shape == (166, 169)
        expected = open_trace(DEMO).to_pandas("weights", 20, queries="all")
        assert (frame["query"] == expected["query"]).all()
        assert float(frame.iloc[150, 30]) == pytest.approx(float(expected.iloc[150, 30]), rel=1e-6)


def test_one_table_for_each_layer(capsys: pytest.CaptureFixture[str]) -> None:
    text = listed(capsys, "--layer_idx", "3,-1", "--what", "shares")
    titles = [line for line in text.splitlines() if line.startswith("shares of")]
    assert titles == [f"shares of every row, layer {layer}, mean over heads" for layer in (3, 21)]


def test_json_on_the_terminal_and_for_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(json.loads(listed(capsys, "--what", "shares", "--json"))) == {"title", "columns"}
    path = tmp_path / "t.txt"
    assert json.loads(listed(capsys, "--json", "-o", str(path))) == {"trace": str(DEMO), "tables": [str(path)]}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--what", "nothing"],
            "error: --what: expected one of given, weights, received, shares, masked, got 'nothing'",
        ),
        (["--layer_idx", "99"], "error: --layer_idx 99: the model has layers 0 to 21 (or -22 to -1)"),
        (["--head", "99"], "error: --head 99 is out of range: the model has query heads 0 to"),
        (["--top_keys", "0"], "error: --top_keys: expected a whole number of at least 1, got 0"),
        (["-o", "t.xls"], "error: -o t.xls: expected a file name that ends in one of .txt, .csv, .parquet, .json"),
    ],
)
def test_what_cannot_be_listed(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["table", str(DEMO), *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)


def test_rows_of_some_steps_only_numbered_as_in_the_video(capsys: pytest.CaptureFixture[str]) -> None:
    whole = list(csv.reader(io.StringIO(listed(capsys, "--what", "shares", "--format", "csv"))))
    some = list(csv.reader(io.StringIO(listed(capsys, "--what", "shares", "--format", "csv", "--steps", "17,-1"))))
    assert some == [whole[0], whole[17], whole[-1]]
    assert len(listed(capsys, "--steps", "17", "--top_keys", "4").splitlines()) == 2 + 4
    assert cli.main(["table", str(DEMO), "--steps", "54"]) == 2
    assert "--steps 54: this video has steps 1 to 53 (or -53 to -1 from the end)" in capsys.readouterr().err
    assert cli.main(["table", str(DEMO), "--steps", "5", "--queries", "all"]) == 2
    said = "--steps names rows of the answer, and --queries all asks for the prompt's too; leave one out"
    assert said in capsys.readouterr().err
