"""The books of a run: what is done is not done again, and what is not the same run is refused."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import traceback
from pathlib import Path

import pytest

from attnviz_video.batch import names
from attnviz_video.batch.markers import read_marker
from attnviz_video.batch.results import cell
from attnviz_video.errors import AttnVizError, DatasetError, DiskFullError, ModelError, UsageError
from tests.batch.running import ARGV, done_in, rows_of, run, statuses, write_dataset

TWICE = ["record", "render"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path, [{}, {}, {}])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def table_of(out: Path) -> list[dict[str, str]]:
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# --- a run -----------------------------------------------------------------------------------------------------------


def test_every_sample_has_a_folder_a_row_and_markers(dataset: Path, out: Path) -> None:
    report = run(dataset, out)
    assert report.sentence.startswith("3 samples: 3 done, in ")
    assert sorted(os.listdir(out)) == [
        "000000-item_0", "000001-item_1", "000002-item_2", "index.html", "results.jsonl", "run.json", "summary.csv",
    ]  # fmt: skip
    assert statuses(out) == [(0, "done"), (1, "done"), (2, "done")]
    row = rows_of(out)[1]
    assert (row["id"], row["folder"], row["attempt"], row["question"]) == (
        "item 1", "000001-item_1", 1, "question 1",
    )  # fmt: skip
    assert row["seconds"].keys() == {"record", "render"}
    assert row["peak_memory_mb"] > 1
    assert [output["path"] for output in row["outputs"]] == ["trace.txt", "video.txt"]
    marker = read_marker(out / "000001-item_1" / names.DONE)
    assert marker is not None
    assert marker.outputs[0].path == "video.txt"
    assert marker.config == json.loads((out / "run.json").read_text())["config_hash"]
    assert [line["status"] for line in table_of(out)] == ["done"] * 3


def test_run_json_says_what_was_asked_for_and_where(dataset: Path, out: Path) -> None:
    run(dataset, out, settings={"seed": 7, "max_new_tokens": 9})
    table = json.loads((out / "run.json").read_text())
    assert table["argv"] == list(ARGV)
    assert (table["seed"], table["config"]["max_new_tokens"], table["config"]["answer"]) == (7, 9, "auto")
    assert table["inputs"].keys() == {"content of benchmark_json"}
    assert {"python", "torch", "transformers"} <= table["versions"].keys()
    assert (table["device"], bool(table["host"])) == ("auto", True)


def test_the_same_command_again_does_nothing(dataset: Path, out: Path) -> None:
    run(dataset, out)
    report = run(dataset, out)
    assert report.sentence == "3 samples: 3 done (3 of them by earlier runs); nothing to do"
    assert len(rows_of(out)) == 3
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3


def test_more_samples_of_the_same_dataset_are_added(dataset: Path, out: Path) -> None:
    run(dataset, out, samples="0")
    assert not (out / "000001-item_1").exists()
    assert run(dataset, out, samples="1,0").counts.before == 1
    assert statuses(out) == [(0, "done"), (1, "done")]


def test_shards_share_a_folder_and_together_do_every_sample_once(dataset: Path, out: Path) -> None:
    run(dataset, out, shard="1/2")
    run(dataset, out, shard="2/2")
    assert sorted(path.name for path in out.glob("*.json*")) == [
        "results-1-of-2.jsonl", "results-2-of-2.jsonl", "run-1-of-2.json", "run-2-of-2.json",
    ]  # fmt: skip
    assert [line["id"] for line in table_of(out)] == ["item 0", "item 1", "item 2"]
    report = run(dataset, out)
    assert report.counts.before == 3
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_failed_sample_is_a_row_and_the_others_are_done(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"fail": "record"}, {"fail": "render"}, {}])
    items = [*json.loads(dataset.read_text()), {"id": "faulty", "image": "nowhere.png", "problem": "?"}]
    dataset.write_text(json.dumps(items))
    report = run(dataset, out)
    assert (report.counts.done, report.n_failed) == (2, 3)
    assert report.sentence.startswith(f"5 samples: 2 done, 3 failed (why: {out}/summary.csv), in ")
    assert report.sentence.endswith(
        "try the failed ones again with: python visualize_heatmap.py batch --benchmark_json data.json --retry_failed"
    )
    rows = {row["index"]: row for row in rows_of(out)}
    assert [rows[index]["stage"] for index in (1, 2, 4)] == ["record", "render", "load"]
    assert rows[1]["error"] == {
        "kind": "ModelError", "sentence": "sample 1 fails while it is recorded, as was asked for",
    }  # fmt: skip
    assert rows[4]["error"]["kind"] == "ImageError"
    assert "nowhere.png" in rows[4]["error"]["sentence"]


def test_failed_samples_are_tried_again_only_when_asked(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"fail": "render"}, {}])
    run(dataset, out)
    report = run(dataset, out)
    assert (report.counts.failed_before, len(rows_of(out))) == (1, 2)
    assert report.sentence.startswith("2 samples: 1 done (1 of them by earlier runs), 1 failed (why: ")
    run(dataset, out, retry_failed=True)
    assert [row["attempt"] for row in rows_of(out) if row["index"] == 0] == [1, 2]
    assert done_in(out, 0) == ["record"], "what was recorded is not recorded again"


def test_a_bug_leaves_its_traceback_beside_the_sample(tmp_path: Path, out: Path) -> None:
    run(write_dataset(tmp_path, [{"bug": "record"}, {}]), out)
    (row,) = [row for row in rows_of(out) if row["status"] == "failed"]
    assert row["error"]["sentence"] == (
        "ZeroDivisionError: a bug, as was asked for; this is a bug of ours; the traceback is in 000000-item_0/error.txt"
    )
    assert "ZeroDivisionError" in (out / "000000-item_0/error.txt").read_text()


def test_a_full_disk_ends_the_run_and_no_sample_has_failed(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"disk_full": "record"}, {}])
    with pytest.raises(DiskFullError) as caught:
        run(dataset, out)
    assert str(caught.value) == (
        "disk full: needs about 1 kB, free 0 B; free some space; then go on with: "
        "python visualize_heatmap.py batch --benchmark_json data.json"
    )
    assert caught.value.exit_code == 4
    assert statuses(out) == [(0, "done"), (1, "interrupted")]
    with pytest.raises(DiskFullError):
        run(dataset, out)
    assert [row["attempt"] for row in rows_of(out) if row["index"] == 1] == [1, 2]
    assert rows_of(out)[-1]["error"]["sentence"] == "disk full: needs about 1 kB, free 0 B; free some space"
    assert not list(out.glob("*.lock"))


def test_a_model_that_cannot_be_loaded_ends_the_run_and_no_sample_has_failed(dataset: Path, out: Path) -> None:
    with pytest.raises(ModelError, match="this model cannot be loaded; choose another --model_path"):
        run(dataset, out, settings={"prompt_template": "no model {problem}"})
    assert rows_of(out) == []


@pytest.mark.parametrize("engine", ["in_process", "local"])
def test_a_bug_that_ends_the_run_says_where_it_was_met(dataset: Path, out: Path, engine: str) -> None:
    with pytest.raises(AttnVizError) as caught:
        run(dataset, out, engine=engine, settings={"prompt_template": "model with a bug {problem}"})
    assert str(caught.value) == (
        "ZeroDivisionError: a bug of the model, as was asked for; this is a bug of ours; run again with --debug and "
        "send us what it prints"
    )
    assert caught.value.exit_code == 1
    printed = "".join(traceback.format_exception(caught.value))
    assert re.search(r'fake_work\.py", line \d+, in start\n', printed), "what --debug prints names the place"


# --- what a killed run leaves ----------------------------------------------------------------------------------------


def test_a_torn_last_line_is_survived(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"fail": "record"}])
    run(dataset, out)
    with (out / "results.jsonl").open("ab") as file:
        file.write(b'{"index": 1, "status": "do')
    run(dataset, out, retry_failed=True)
    text = (out / "results.jsonl").read_text()
    assert '{"index": 1, "status": "do\n{' in text, "the torn line stands on a line of its own"
    assert statuses(out) == [(0, "done"), (1, "failed"), (1, "failed")]


def test_a_sample_whose_row_was_lost_is_not_done_again(dataset: Path, out: Path) -> None:
    run(dataset, out)
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text("".join(lines[:1]))
    assert run(dataset, out).counts.before == 3
    assert statuses(out) == [(0, "done"), (1, "done"), (2, "done")]
    assert rows_of(out)[2]["from_marker"] is True
    assert rows_of(out)[2]["question"] == "question 2"
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3


@pytest.mark.parametrize(
    ("lost", "done_then"),
    [
        (["video.txt"], ["record", "render", "render"]),
        (["done.json"], ["record", "render", "render"]),
        (["video.txt", "trace.txt"], [*TWICE, *TWICE]),
        (["recorded.json", "done.json"], [*TWICE, *TWICE]),
        (["trace.txt"], TWICE),
    ],
)
def test_only_what_was_lost_is_made_again(dataset: Path, out: Path, lost: list[str], done_then: list[str]) -> None:
    run(dataset, out)
    for name in lost:
        (out / "000001-item_1" / name).unlink()
    run(dataset, out)
    assert done_in(out, 1) == done_then
    assert done_in(out, 0) == TWICE


def test_an_empty_marker_counts_for_nothing(dataset: Path, out: Path) -> None:
    run(dataset, out)
    (out / "000001-item_1/done.json").write_text("")
    run(dataset, out)
    assert done_in(out, 1) == ["record", "render", "render"]


def test_verify_reads_every_byte(dataset: Path, out: Path) -> None:
    run(dataset, out)
    video = out / "000001-item_1/video.txt"
    before = video.stat()
    video.write_bytes(video.read_bytes().replace(b"video", b"vIdeo"))
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(dataset, out).counts.before == 3
    assert run(dataset, out, verify=True).counts.done == 1
    assert done_in(out, 1) == ["record", "render", "render"]
    trace = out / "000001-item_1/trace.txt"
    trace.write_text("gone bad")
    assert run(dataset, out).counts.before == 3, "the video is there"
    run(dataset, out, verify=True)
    assert done_in(out, 1)[-2:] == TWICE


def test_a_copy_with_other_dates_is_not_done_again(dataset: Path, out: Path, tmp_path: Path) -> None:
    run(dataset, out)
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    for file in copy.rglob("*.txt"):
        os.utime(file, (5, 5))
    assert run(dataset, copy).counts.before == 3


# --- settings that make no batch -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"benchmark_json": None}, "batch needs --benchmark_json"),
        ({"question": "?"}, "--image and --question are for a single run"),
        ({"sample_idx": 3}, "--sample_idx 3 is for a single run; of a batch, choose with --samples"),
        ({"output": "a.mp4"}, "-o names one file, but a batch makes many"),
        ({"response": "a"}, "--response and --response_ids are for a single run"),
    ],
)
def test_settings_of_a_single_run_are_refused(
    dataset: Path, out: Path, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        run(dataset, out, settings=settings)
    assert not out.exists()


def test_an_empty_dataset_is_refused(tmp_path: Path, out: Path) -> None:
    file = tmp_path / "empty.json"
    file.write_text("[]")
    with pytest.raises(DatasetError, match="empty.json has 0 samples"):
        run(file, out)


# --- names and cells -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sample_id", "name"),
    [
        ("CLEVR_000123", "000004-CLEVR_000123"),
        ("../../etc/passwd", "000004-_.._etc_passwd"),
        ("a/b\\c:d", "000004-a_b_c_d"),
        ("图像", "000004-__"),
        ("..", "000004-"),
        ("x" * 500, f"000004-{'x' * 80}"),
    ],
)
def test_folder_names_are_safe(sample_id: str, name: str) -> None:
    assert names.sample_folder_name(4, sample_id) == name
    assert names.is_sample_folder_name(name)
    assert names.sample_folder_name(4, name.partition("-")[2]) == name


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_other_cells_are_as_they_are() -> None:
    assert [cell(value) for value in (-1.5, None, True, ["a", "b"], "a=b")] == [-1.5, "", "yes", "a; b", "a=b"]
