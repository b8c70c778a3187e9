"""Shards in one folder: no sample is ever worked on by two live runs, whatever was selected."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.batch import names
from attnviz_video.batch.ledger import Ledger, RunIdentity, compare, save_run_file
from attnviz_video.batch.results import Row, of_all_books
from attnviz_video.errors import UsageError
from attnviz_video.tracefile.lock import FolderLock
from tests.batch.running import done_in, run, start_driver, wait_until, write_dataset

TWICE = ["record", "render"]
IDENTITY = RunIdentity({}, {}, {})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def shard(out: Path, number: str, selection: tuple[int, ...]) -> Ledger:
    return Ledger.open(out, IDENTITY, shard=number, selection=selection)


# --- who may work beside whom ----------------------------------------------------------------------------------------


def test_shards_of_one_cutting_work_at_once(out: Path) -> None:
    held = [shard(out, f"{number}/3", (5, 1, 2, 7)) for number in (1, 2, 3)]
    assert sorted(path.suffix for path in out.iterdir()).count(".lock") == 3
    for one in held:
        one.close()
    assert not list(out.glob("*.lock"))


@pytest.mark.parametrize(
    ("other", "selection"),
    [
        ("2/2", (0, 1, 2)),  # the cut begins elsewhere
        ("2/2", (0, 1, 2, 3, 4)),
        ("2/2", (3, 2, 1, 0)),  # the same samples in another order are cut otherwise
        ("1/2", (0, 1, 2, 3)),  # the very same
        ("1/2", (0, 2)),  # the same part of another selection
        ("2/3", (0, 1, 2, 3)),
        ("2/02", (3,)),
        (None, (0, 1, 2, 3)),
    ],
)
def test_what_may_share_a_sample_with_a_live_shard_is_refused(
    out: Path, other: str | None, selection: tuple[int, ...]
) -> None:
    held = shard(out, "1/2", (0, 1, 2, 3))
    with pytest.raises(UsageError) as caught:
        Ledger.open(out, IDENTITY, shard=other, selection=selection)
    assert str(caught.value).startswith(f"another run works in {out} (process {os.getpid()} on ")
    rule = "; shards work at once where all have the same --samples and the same number of parts"
    assert str(caught.value).endswith(rule if other else "choose another place with --output_dir)")
    assert len(list(out.glob("*.lock"))) == 1, "who is refused leaves no lock"
    held.close()
    Ledger.open(out, IDENTITY, shard=other, selection=selection).close()
    assert not list(out.glob("*.lock"))


def test_shards_that_begin_at_once_with_other_settings_are_refused(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each looks for the other before either has written its settings down."""
    one, other = RunIdentity({}, {"gamma": 1.0}, {}), RunIdentity({}, {"gamma": 0.5}, {})
    looked: list[str | None] = []

    def look(folder: Path, identity: RunIdentity) -> str | None:
        looked.append(compare(folder, identity))
        if len(looked) == 1:  # the other has looked too, and writes first
            save_run_file(names.run_file(folder, "-2-of-2"), other, other.hash)
        return looked[-1]

    monkeypatch.setattr("attnviz_video.batch.ledger.compare", look)
    with pytest.raises(UsageError, match=r"other settings or input: gamma \(was 0.5, now 1.0\)"):
        Ledger.open(out, one, shard="1/2", selection=(0, 1))
    assert looked == [None]
    assert [path.name for path in names.all_run_files(out)] == ["run-2-of-2.json"], "who is refused leaves no settings"
    Ledger.open(out, other, shard="1/2", selection=(0, 1)).close()


def test_a_shard_is_refused_beside_a_run_of_everything(out: Path) -> None:
    held = Ledger.open(out, IDENTITY, selection=(0, 1))
    with pytest.raises(UsageError, match=r"another run works in .* holds run\.lock; .* the same number of parts$"):
        shard(out, "1/2", (0, 1))
    held.close()


def test_two_ways_of_writing_one_shard_have_one_name() -> None:
    assert names.shard_suffix(" 3/16 ") == names.shard_suffix("03/016") == "-03-of-16"
    assert names.shard_suffix("3/9") == "-3-of-9"
    selected = names.lock_file(Path("run"), "-03-of-16", (1, 2))
    assert selected.name == "run-03-of-16-17f8af97.lock"
    for path in (
        selected,
        names.workers_file(selected),
        Path("run.lock"),
        Path("run.workers"),
        Path("run-1-of-2.lock"),
    ):
        assert names.is_own_name(path.name)
    for name in ("run-03-of-16-24d1ac2d.json", "run.locks", "running.lock", "run-x.lock"):
        assert not names.is_own_name(name)


def test_the_lock_of_an_earlier_version_is_respected(out: Path) -> None:
    out.mkdir()
    held = FolderLock(out / "run-1-of-2.lock")  # it does not tell its selection
    with pytest.raises(UsageError, match="holds run-1-of-2.lock"):
        shard(out, "2/2", (0, 1))
    held.release()


# --- real processes --------------------------------------------------------------------------------------------------


def test_live_shards_with_other_selections_never_do_a_sample_twice(tmp_path: Path, out: Path) -> None:
    # Of 0:4, shard 2/2 holds 1 and 3; of 1:5 it would hold 2 and 4, and 2 is in the hands of 1/2 of 0:4.
    dataset = write_dataset(tmp_path, [{"seconds": 2.0}] * 5)
    first = start_driver(dataset, out, samples="0:4", shard="1/2")
    wait_until(lambda: (out / "000000-item_0").exists())
    refused: list[dict[str, Any]] = [
        {"samples": "1:5", "shard": "2/2"}, {"samples": "0:4", "shard": "2/3"}, {"samples": "0:4"},
    ]  # fmt: skip
    for asked in refused:
        _, stderr = start_driver(dataset, out, **asked).communicate(timeout=60)
        assert f"another run works in {out}" in stderr
    second = start_driver(dataset, out, samples="0:4", shard="2/2")
    for driver in (first, second):
        stdout, stderr = driver.communicate(timeout=60)
        assert stdout.startswith("2 samples: 2 done"), stderr
    assert [done_in(out, index) for index in range(4)] == [TWICE] * 4
    assert not (out / "000004-item_4").exists()
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert [line["status"] for line in csv.DictReader(file)] == ["done"] * 4


def test_the_lock_of_a_killed_shard_holds_up_no_other_selection(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"seconds": 3.0}, {}, {}])
    killed = start_driver(dataset, out, samples="0:2", shard="1/2")
    wait_until(lambda: (out / "000000-item_0").exists())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert [path.name for path in out.glob("*.lock")] == [names.lock_file(out, "-1-of-2", (0, 1)).name]
    assert run(dataset, out, samples="1:3", shard="2/2").counts.done == 1
    assert not list(out.glob("*.lock")), "the one that was left is tidied away"
    assert run(dataset, out).counts.done == 2
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3


# --- the books of several --------------------------------------------------------------------------------------------


def test_the_last_attempt_counts_whatever_the_clocks_say(out: Path) -> None:
    Ledger.open(out, IDENTITY).close()
    failed = {"index": 0, "status": "failed", "attempt": 1, "ended": "2026-01-01T00:05:00"}  # on a clock that is fast
    (out / "results-1-of-2.jsonl").write_text(json.dumps(failed) + "\n")
    done = {"index": 0, "status": "done", "attempt": 2, "ended": "2026-01-01T00:01:00"}
    (out / "results.jsonl").write_text(json.dumps(done) + "\n")
    books = Ledger.open(out, IDENTITY)
    assert books.known(0, "a", retry_failed=False, verify=False).standing == "todo", "no marker, but not failed"
    books.close()
    with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
        assert [line["status"] for line in csv.DictReader(file)] == ["done"]


def test_a_number_of_an_attempt_is_not_given_again(out: Path) -> None:
    Ledger.open(out, IDENTITY).close()
    row = {"index": 0, "status": "interrupted", "attempt": 4, "ended": "2026-01-01T00:05:00"}
    (out / "results.jsonl").write_text(json.dumps(row) + "\n")  # the first three were lost
    books = Ledger.open(out, IDENTITY)
    assert books.known(0, "a", retry_failed=False, verify=False).attempts == 4
    books.close()


def test_what_a_shard_adds_while_another_makes_the_summary_is_in_it(tmp_path: Path) -> None:
    """Both end at the same time: whose summary is the last one must not decide what it holds."""
    book = tmp_path / "results-1-of-2.jsonl"
    made: list[list[Any]] = []

    def make(rows: list[Row]) -> None:
        made.append([row["index"] for row in rows])
        if len(made) == 1:
            (tmp_path / "results-2-of-2.jsonl").write_text('{"index": 1, "status": "done"}\n')
        elif len(made) == 2:
            book.write_text(book.read_text() + '{"index": 2, "status": "done"}\n')

    book.write_text('{"index": 0, "status": "done"}\n')
    of_all_books(lambda: names.all_results_files(tmp_path), make)
    assert list(map(sorted, made)) == [[0], [0, 1], [0, 1, 2]]
    of_all_books(lambda: names.all_results_files(tmp_path), make)
    assert len(made) == 4, "once, where nothing is added"
