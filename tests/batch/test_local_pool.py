"""Worker processes: killed ones are replaced, and a sample that kills them is a failed row."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.batch.jobs import Advanced, Died, Finished, Job, SampleTask, WorkPlan
from attnviz_video.batch.local_pool import LocalPool
from attnviz_video.core.sample import Sample
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.testing.fake_work import BUILDER
from tests.batch.running import done_in, is_gone, rows_of, run, settings_of, statuses, wait_until, write_dataset

TWICE = ["record", "render"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def local(dataset: Path, out: Path, **more: Any) -> Any:
    return run(dataset, out, engine="local", **more)


def test_samples_are_recorded_and_rendered_by_different_processes(tmp_path: Path, out: Path) -> None:
    report = local(write_dataset(tmp_path, [{}] * 4), out)
    assert report.counts.done == 4
    assert [done_in(out, index) for index in range(4)] == [TWICE] * 4


def test_one_worker_per_device_with_a_model_each(tmp_path: Path, out: Path) -> None:
    local(write_dataset(tmp_path, [{"seconds": 0.3}] * 6), out, devices=(0, 2))
    assert {(row["worker"], row["device"]) for row in rows_of(out)} == {(0, "cuda:0"), (1, "cuda:2")}


def test_more_workers_than_devices_are_refused(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}])
    with pytest.raises(UsageError, match="--num_workers 3 is more than the 2 --devices"):
        local(dataset, out, devices=(0, 1), num_workers=3)
    with pytest.raises(UsageError, match="--devices: expected numbers of GPUs from 0, got -1"):
        local(dataset, out, devices=(0, -1))


@pytest.mark.parametrize("stage", ["record", "render"])
def test_a_sample_that_kills_its_worker_twice_is_a_failed_row(tmp_path: Path, out: Path, stage: str) -> None:
    report = local(write_dataset(tmp_path, [{}, {"kill": stage}, {}]), out)
    assert (report.counts.done, report.n_failed) == (2, 1)
    assert statuses(out) == [(0, "done"), (1, "killed"), (1, "failed"), (2, "done")]
    killed, failed = [row for row in rows_of(out) if row["index"] == 1]
    assert killed["error"]["sentence"] == f"its worker was killed by SIGKILL while it was {stage}ed"
    assert failed["error"] == {
        "kind": "WorkerDied",
        "sentence": f"its worker was killed by SIGKILL while it was {stage}ed, 2 times; "
        "out of memory is the usual reason",
    }
    assert failed["attempt"] == 2
    assert failed["question"] == "question 1"
    assert (done_in(out, 0), done_in(out, 2)) == (TWICE, TWICE)


@pytest.mark.parametrize("stage", ["record", "render"])
def test_a_sample_whose_worker_is_killed_once_is_done(tmp_path: Path, out: Path, stage: str) -> None:
    report = local(write_dataset(tmp_path, [{}, {"kill_once": stage}, {}]), out)
    assert report.counts.done == 3
    assert statuses(out) == [(0, "done"), (1, "killed"), (1, "done"), (2, "done")]
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3, "nothing is done twice"


def test_kills_are_remembered_by_the_next_run(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"kill": "record"}])
    local(dataset, out)
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    (out / "results.jsonl").write_text(lines[0])  # as if the driver had died before the second attempt
    local(dataset, out)
    assert statuses(out) == [(0, "killed"), (0, "failed")]


def test_samples_that_are_recorded_together_are_tried_alone_after_a_kill(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {}, {"kill": "record"}, {}, {}])
    report = local(dataset, out, batch_size=4)
    assert (report.counts.done, report.n_failed) == (4, 1)
    rows = {row["index"]: row for row in rows_of(out)}
    assert (rows[0]["status"], rows[0]["together"], rows[2]["status"]) == ("done", 1, "failed")
    assert rows_of(out)[0]["error"]["sentence"].endswith("while it was recorded together with 3 others")
    assert all(done_in(out, index).count("render") == 1 for index in (0, 1, 3, 4))


def test_batches_are_as_large_as_asked_for(tmp_path: Path, out: Path) -> None:
    local(write_dataset(tmp_path, [{}] * 5), out, batch_size=2)
    assert sorted(row["together"] for row in rows_of(out)) == [1, 2, 2, 2, 2]


def test_workers_that_die_again_and_again_end_the_run(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"kill": "record"}] * 12)
    with pytest.raises(EnvironmentFault, match=r"5 samples killed their workers and none came to an end \(killed by"):
        local(dataset, out)
    assert len({row["index"] for row in rows_of(out)}) == 5


def test_a_worker_that_is_killed_from_outside_is_replaced(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"seconds": 1.0}, {}])
    pool_of: list[LocalPool] = []
    killed = []

    def shoot() -> None:
        wait_until(lambda: (out / "000000-item_0").exists())
        killed.extend(pool_of[0].processes())
        os.kill(killed[0], signal.SIGKILL)

    shooter = threading.Thread(target=shoot)
    with pytest.MonkeyPatch.context() as patch:
        start = LocalPool.__init__

        def remembered(pool: LocalPool, *arguments: Any, **more: Any) -> None:
            start(pool, *arguments, **more)
            pool_of.append(pool)

        patch.setattr(LocalPool, "__init__", remembered)
        shooter.start()
        report = local(dataset, out)
    shooter.join()
    assert report.counts.done == 2
    assert statuses(out) == [(0, "killed"), (0, "done"), (1, "done")]


# --- the engine by itself --------------------------------------------------------------------------------------------


def pool_for(tmp_path: Path) -> LocalPool:
    config = settings_of(tmp_path / "data.json", tmp_path)
    return LocalPool(WorkPlan(BUILDER, {"config": config}), n_record=1, n_render=1)


def job(tmp_path: Path, number: int, **fake: object) -> Job:
    sample = Sample(number, str(number), "?", (), extra={"fake": fake})
    return Job(number, "record", (SampleTask(number, str(number), tmp_path / str(number), sample, "hash"),))


def events_of(pool: LocalPool) -> list[Any]:
    """What a pool tells until a job has come to an end."""
    events: list[Any] = []
    while not any(isinstance(event, Finished | Died) for event in events):
        events += pool.wait(1.0)
    return events


def test_workers_start_when_they_are_needed_and_end_with_the_pool(tmp_path: Path) -> None:
    pool = pool_for(tmp_path)
    assert pool.processes() == []
    pool.submit(job(tmp_path, 0))
    assert (pool.free("record"), pool.free("render")) == (0, 1)
    (process,) = pool.processes()
    (finished,) = (event for event in events_of(pool) if isinstance(event, Finished))
    assert finished.outcomes[0].status == "recorded"
    pool.close()
    assert is_gone(process)
    pool.close()


def test_a_recording_that_is_interrupted_finishes_its_step(tmp_path: Path) -> None:
    pool = pool_for(tmp_path)
    pool.submit(job(tmp_path, 0, seconds=60))
    while not any(isinstance(event, Advanced) and event.description == "fake record" for event in pool.wait(1.0)):
        pass  # the first word of its progress, after that of loading the model
    pool.interrupt()
    (finished,) = (event for event in events_of(pool) if isinstance(event, Finished))
    assert finished.outcomes[0].status == "interrupted"
    assert not (tmp_path / "0/recorded.json").exists()
    pool.close()


def test_closing_ends_workers_in_the_middle_of_a_job(tmp_path: Path) -> None:
    pool = pool_for(tmp_path)
    pool.submit(job(tmp_path, 0, seconds=60))
    (process,) = pool.processes()
    while not pool.wait(1.0):
        pass
    begin = time.monotonic()
    pool.close()
    assert is_gone(process)
    assert time.monotonic() - begin < 5


def test_a_dead_worker_tells_its_job(tmp_path: Path) -> None:
    pool = pool_for(tmp_path)
    asked = job(tmp_path, 0, kill="record")
    pool.submit(asked)
    (died,) = (event for event in events_of(pool) if isinstance(event, Died))
    assert (died.job, died.how) == (asked, "killed by SIGKILL")
    assert pool.free("record") == 1
    pool.submit(job(tmp_path, 1))
    assert any(isinstance(event, Finished) for event in events_of(pool)), "another worker takes its place"
    pool.close()
