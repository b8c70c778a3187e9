"""A fault of one sample is a row of that sample wherever it is met; it ends neither the run nor its page."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.batch import names, work
from attnviz_video.batch.jobs import SampleTask
from attnviz_video.batch.markers import read_marker
from attnviz_video.batch.results import line_of, row_of
from attnviz_video.batch.run_page import card_or_note
from attnviz_video.capture import batch as capture_batch
from attnviz_video.core.sample import Sample
from attnviz_video.errors import DatasetError, EnvironmentFault, TraceError
from attnviz_video.progress import Silent
from attnviz_video.sources.dataset import Dataset
from attnviz_video.stopping import StopRequest
from attnviz_video.tracefile.write import TraceWriter
from tests.batch.running import Heard, rows_of, run, start_driver, statuses, write_dataset
from tests.batch.test_together import config, tasks_in, worker_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def sentence_of(out: Path, index: int) -> str:
    (row,) = [row for row in rows_of(out) if row["index"] == index and row["status"] == "failed"]
    return str(row["error"]["sentence"])


# --- faults of the work ----------------------------------------------------------------------------------------------


def test_a_bug_while_several_are_recorded_fails_those_and_no_others(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"bug": "together"}, {}, {}])
    report = run(dataset, out, batch_size=2)
    assert (report.counts.done, report.counts.failed) == (2, 2)
    assert statuses(out) == [(0, "failed"), (1, "failed"), (2, "done"), (3, "done")]
    assert sentence_of(out, 0).startswith(
        "ZeroDivisionError: a bug of the whole batch, as was asked for; this is a bug"
    )
    assert "ZeroDivisionError" in (out / "000001-item_1/error.txt").read_text()


def test_a_bug_while_a_sample_is_read_fails_that_sample(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Dataset.load

    def load_or_fail(dataset: Dataset, index: int) -> Any:
        if index == 1:
            raise RecursionError("maximum recursion depth exceeded")
        return load(dataset, index)

    monkeypatch.setattr(Dataset, "load", load_or_fail)
    run(write_dataset(tmp_path, [{}, {}, {}]), out)
    assert statuses(out) == [(0, "done"), (1, "failed"), (2, "done")]
    assert sentence_of(out, 1).startswith("RecursionError: maximum recursion depth exceeded")


@pytest.fixture
def samples() -> list[Sample]:
    return [Sample(0, "a", "What is it?", ()), Sample(1, "b", "And this?", ())]


def test_a_fault_while_facts_are_gathered_fails_that_sample(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = work.image_share

    def share_or_fail(trace: Any, layer: int) -> float | None:
        if trace.header.sample.id == "b":
            raise IndexError("index 7 is out of bounds")
        return share(trace, layer)

    monkeypatch.setattr(work, "image_share", share_or_fail)
    worker = worker_of(tiny_model("qwen2_vl"), config())
    one, two = worker.record(tasks_in(tmp_path, samples), Silent(), lambda: False)
    assert isinstance(one, dict)
    assert isinstance(two, IndexError)


def test_a_trace_that_cannot_be_read_again_fails_that_sample(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = TraceWriter.complete

    def complete_and_damage(writer: TraceWriter, *arguments: Any) -> None:
        complete(writer, *arguments)
        if writer.folder.name == "trace_sample0":
            (writer.folder / "manifest.json").write_text("{")

    monkeypatch.setattr(TraceWriter, "complete", complete_and_damage)
    worker = worker_of(tiny_model("qwen2_vl"), config())
    one, two = worker.record(tasks_in(tmp_path, samples), Silent(), lambda: False)
    assert isinstance(one, TraceError)
    assert isinstance(two, dict)


def test_a_batch_that_breaks_is_recorded_one_by_one(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object, **more: object) -> None:
        raise RuntimeError("The size of tensor a (3)\nmust match the size of tensor b (4)")

    monkeypatch.setattr(capture_batch, "generate_batch", broken)
    heard = Heard()
    facts = worker_of(tiny_model("qwen2_vl"), config()).record(tasks_in(tmp_path, samples), heard, lambda: False)
    assert all(isinstance(one, dict) for one in facts)
    assert (
        "recorded one by one: the batch failed with RuntimeError: The size of tensor a (3) must match the size of "
        "tensor b (4)"
    ) in heard.notices


def test_a_bug_in_writing_one_trace_of_a_batch_is_none_of_the_others(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = TraceWriter.add

    def add_or_fail(writer: TraceWriter, step: Any) -> None:
        if writer.folder.name == "trace_sample1":
            raise ValueError("a bug")
        add(writer, step)

    monkeypatch.setattr(TraceWriter, "add", add_or_fail)
    heard = Heard()
    one, two = worker_of(tiny_model("qwen2_vl"), config()).record(tasks_in(tmp_path, samples), heard, lambda: False)
    assert isinstance(one, dict)
    assert isinstance(two, ValueError)
    assert not any(notice.startswith("recorded one by one") for notice in heard.notices)


@pytest.mark.parametrize(
    "image", ["absent.png", "../../etc/passwd", "/etc/passwd", "http://host/a.png", "a\0.png", ["a.png", "link.png"]]
)
def test_a_sample_whose_image_cannot_be_used_keeps_its_question_and_answer(
    tmp_path: Path, out: Path, image: object
) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to("/etc/passwd")
    items = [{"problem": "<image>How many?", "solution": "<answer>4</answer>", "image": image}, {"problem": 3}]
    dataset = tmp_path / "data.json"
    dataset.write_text(json.dumps(items))
    assert run(dataset, out).counts.failed == 2
    row, other = rows_of(out)
    assert (row["error"]["kind"], row["question"], row["answer"]) == ("ImageError", "How many?", "<answer>4</answer>")
    assert (other["error"]["kind"], "question" in other) == ("DatasetError", False)
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert next(csv.DictReader(file))["question"] == "How many?"
    card = card_or_note(row)
    assert (card.outcome, card.question, card.reference) == ("failed", "How many?", "4")


def test_a_response_that_is_none_is_told_with_flags_that_a_batch_has(tmp_path: Path) -> None:
    task = tasks_in(tmp_path, [Sample(0, "a", "What is it?", (), extra={"pred": {"x": 1}})])[0]
    error = work.RecordAndRender(config())._ask(task, Silent())
    assert isinstance(error, DatasetError)
    assert str(error).endswith(
        "; name its field with --response_field, or use --answer generate (a single run also takes --response)"
    )


# --- what stands where a sample's folder goes ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_in_the_way_of_a_folder_fails_that_sample(tmp_path: Path, out: Path, kind: str) -> None:
    dataset = write_dataset(tmp_path, [{}, {}, {}])
    run(dataset, out, samples="0")
    place = out / "000001-item_1"
    if kind == "file":
        place.write_text("somebody's")
    else:
        place.symlink_to(tmp_path / "nowhere")
    report = run(dataset, out, batch_size=2)
    assert statuses(out) == [(0, "done"), (1, "failed"), (2, "done")]
    what = {"file": "a file", "link": "a link to something that is not there"}[kind]
    assert sentence_of(out, 1) == (
        f"cannot write {place}: where the folder of this sample goes there is {what} (File exists); remove it, or give "
        "it another name"
    )
    assert report.sentence.endswith("--retry_failed")
    place.unlink()
    assert run(dataset, out, retry_failed=True).counts.done == 1


def test_a_run_whose_folder_takes_no_folders_ends(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mkdir = Path.mkdir

    def refuse(path: Path, *arguments: Any, **more: Any) -> None:
        if path.parent == out:
            raise PermissionError(13, "Permission denied", str(path))
        mkdir(path, *arguments, **more)

    dataset = write_dataset(tmp_path, [{}, {}])
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EnvironmentFault, match="cannot write .*000000-item_0: Permission denied"):
        run(dataset, out)
    assert rows_of(out) == []


# --- books that somebody has edited ----------------------------------------------------------------------------------


def edited(path: Path, **changes: object) -> None:
    table = json.loads(path.read_text())
    path.write_text(json.dumps({**table, **changes}))


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": [{"path": 5, "bytes": 1, "mtime_ns": 1, "crc32": "0"}]},
        {"outputs": [{"path": "a\0b", "bytes": 1, "mtime_ns": 1, "crc32": "0"}]},
        {"outputs": [{"path": "a", "bytes": None, "mtime_ns": 1, "crc32": "0"}]},
        {"outputs": 3},
        {"facts": 3},
    ],
)
def test_an_edited_marker_counts_for_nothing(tmp_path: Path, out: Path, change: dict[str, object]) -> None:
    dataset = write_dataset(tmp_path, [{}])
    run(dataset, out)
    edited(out / "000000-item_0" / names.DONE, **change)
    assert run(dataset, out).counts.done == 1


def test_an_edited_marker_ends_no_run_of_the_program_itself(tmp_path: Path, out: Path) -> None:
    """In a process of its own, where no types are checked as tests have them checked."""
    dataset = write_dataset(tmp_path, [{}])
    run(dataset, out)
    entry = {"path": 5, "bytes": 1, "mtime_ns": 1, "crc32": "0"}
    edited(out / "000000-item_0" / names.DONE, outputs=[entry])
    driver = start_driver(dataset, out, engine="in_process")
    stdout, stderr = driver.communicate(timeout=60)
    assert (driver.returncode, stdout.partition(",")[0]) == (0, "1 sample: 1 done"), stderr


def test_facts_that_make_no_sense_fail_their_sample(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {}])
    run(dataset, out, trace_only=True)
    marker = read_marker(out / "000000-item_0" / names.RECORDED)
    assert marker is not None
    edited(out / "000000-item_0" / names.RECORDED, facts={**marker.facts, "peak_memory_mb": "much"})
    run(dataset, out)
    assert statuses(out)[-2:] == [(1, "recorded"), (1, "done")]
    assert sentence_of(out, 0).startswith("ValueError: could not convert string to float: 'much'; this is a bug")


def test_a_fact_that_json_cannot_hold_is_written_as_text() -> None:
    line = line_of({"index": 1, "status": "done", "image_share": float("nan"), "other": {1}, "fine": [1]})
    assert row_of(line) == {"index": 1, "status": "done", "image_share": "nan", "other": "{1}", "fine": [1]}


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": {"record": 10**400}}, {"image_share": float("inf")}, {"image_share": "half"}, {"kind": ["replay"]},
        {"videos": 3}, {"outputs": [3, {"path": None}]}, {"correct_by": 3, "notices": None}, {"folder": 3},
    ],
)  # fmt: skip
def test_an_edited_row_ends_no_run_and_no_page(tmp_path: Path, out: Path, change: dict[str, object]) -> None:
    dataset = write_dataset(tmp_path, [{}, {}])
    run(dataset, out, samples="0")
    row = {**rows_of(out)[0], **change}
    (out / "results.jsonl").write_text(json.dumps(row) + "\n")
    assert run(dataset, out).counts.done == 1
    (found,) = re.findall(r'"cards":(\[.*?\])\}?</script>', (out / "index.html").read_text(), re.DOTALL)
    cards = json.loads(found)
    assert [(card["index"], card["id"], card["outcome"]) for card in cards] == [
        (0, "item 0", "unjudged"), (1, "item 1", "unjudged"),
    ]  # fmt: skip


def test_a_row_that_makes_no_card_says_so() -> None:
    card = card_or_note({"index": 4, "id": "x", "status": "done", "kind": ["replay"]})
    assert (card.index, card.outcome) == (4, "unjudged")
    assert card.error == "the last line of this sample in results.jsonl is damaged (TypeError)"


class Vandal(StopRequest):
    """Is asked while the run goes, and deletes what the page is made of."""

    def __init__(self, out: Path) -> None:
        super().__init__()
        self._out = out

    def __call__(self) -> bool:
        (self._out / "run.json").unlink(missing_ok=True)
        return False


def test_a_run_json_that_somebody_deletes_ends_no_run(tmp_path: Path, out: Path) -> None:
    assert run(write_dataset(tmp_path, [{}, {}]), out, stop=Vandal(out)).counts.done == 2
    assert (out / "index.html").exists()


def test_a_sample_without_a_task_is_told_what_to_do(tmp_path: Path) -> None:
    task = SampleTask(0, "a", tmp_path, None, "hash")
    worker = work.RecordAndRender(config())
    worker._loaded = object()  # type: ignore[assignment]
    (error,) = worker.record([task], Silent(), lambda: False)
    assert str(error) == f"{tmp_path} has no trace any more; run the batch command again to record it"
