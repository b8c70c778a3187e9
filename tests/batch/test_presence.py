"""Workers that outlive their run: another run waits for them, and what comes late writes nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from attnviz_video.batch import presence
from attnviz_video.batch.carry_out import Worker
from attnviz_video.batch.jobs import Job, SampleTask, Stage, WorkPlan
from attnviz_video.batch.presence import Badge, Presence, wait_until_gone
from attnviz_video.core.sample import Sample
from attnviz_video.errors import UsageError
from attnviz_video.testing.fake_work import BUILDER
from attnviz_video.tracefile.lock import FolderLock
from tests.batch.running import (
    ROOT,
    Heard,
    done_in,
    gone_when_work_begins,
    run,
    settings_of,
    start_driver,
    statuses,
    wait_until,
    workers_of,
    write_dataset,
)

TWICE = ["record", "render"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def lock(out: Path) -> FolderLock:
    return FolderLock(out / "run.lock")


def badge_of(lock: FolderLock) -> Badge:
    return Badge(lock.path, lock.token)


def worker_of(lock: FolderLock, out: Path) -> Worker:
    return Worker(WorkPlan(BUILDER, {"config": settings_of(out / "data.json", out)}, badge_of(lock)), 0)


def job_of(out: Path, stage: Stage = "record", **fake: object) -> Job:
    sample = Sample(0, "a", "?", (), extra={"fake": fake})
    return Job(1, stage, (SampleTask(0, "a", out / "000000-a", sample, "hash", facts={"fake": fake}),))


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_nobody_is_waited_for_where_nobody_is(out: Path, lock: FolderLock) -> None:
    wait_until_gone(out / "run.workers", patience=0.0)
    Presence(badge_of(lock)).leave()
    assert (out / "run.workers").exists()
    wait_until_gone(out / "run.workers", patience=0.0)
    assert not (out / "run.workers").exists()


def test_a_worker_is_waited_for_until_it_is_gone(out: Path, lock: FolderLock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "TELL_AFTER", 0.1)
    there, heard = Presence(badge_of(lock)), Heard()
    threading.Timer(0.4, there.leave).start()
    begin = time.monotonic()
    wait_until_gone(out / "run.workers", heard.notice)
    assert time.monotonic() - begin > 0.3
    assert heard.notices == [
        f"waiting for the workers of a run that was killed to end: process {os.getpid()} on {socket.gethostname()}"
    ]


def test_workers_that_do_not_end_are_named(out: Path, lock: FolderLock) -> None:
    there = Presence(badge_of(lock))
    with pytest.raises(UsageError) as caught:
        wait_until_gone(out / "run.workers", patience=0.1)
    assert str(caught.value) == (
        f"workers of a run that was killed still work in {out} after 0 s: process {os.getpid()} on "
        f"{socket.gethostname()}; end them, or wait, and run the same command again"
    )
    there.leave()


def test_a_run_is_refused_while_workers_of_a_killed_one_work(
    tmp_path: Path, out: Path, lock: FolderLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "PATIENCE", 0.2)
    there = Presence(badge_of(lock))
    lock.release()
    dataset = write_dataset(tmp_path, [{}])
    for shard in (None, "1/2"):
        with pytest.raises(UsageError, match=r"another run works in .*/run \(workers of a run that was killed still"):
            run(dataset, out, shard=shard)
    assert not list(out.glob("*.lock"))
    there.leave()
    assert run(dataset, out).counts.done == 1
    assert not list(out.glob("*.workers"))


# --- coming late -----------------------------------------------------------------------------------------------------


def test_a_worker_that_comes_late_does_nothing(out: Path, lock: FolderLock) -> None:
    worker = worker_of(lock, out)
    lock.release()
    another = FolderLock(out / "run.lock")
    ended = worker.carry_out(job_of(out))
    assert ended.outcomes == ()
    assert ended.fatal is not None
    assert (ended.fatal.kind, ended.fatal.exit_code) == ("UsageError", 2)
    assert ended.fatal.sentence == (
        f"{out}/run.lock is not that of this run any more: it was deleted, or another run has taken the folder; see "
        "that one run works there, and run the same command again"
    )
    assert not (out / "000000-a").exists()
    wait_until_gone(out / "run.workers", patience=0.0)
    another.release()


@pytest.mark.parametrize("stage", ["record", "render"])
def test_a_worker_that_is_overtaken_writes_no_marker(out: Path, lock: FolderLock, stage: Stage) -> None:
    worker, asked = worker_of(lock, out), job_of(out, stage, seconds=0.05)
    asked.tasks[0].home.mkdir()

    def overtake(description: str, done: int, total: int | None) -> None:
        if done and done == total:
            lock.path.write_text("1 elsewhere another")

    ended = worker.carry_out(asked, overtake)
    assert done_in(out, 0) == [stage], "it was overtaken while it worked"
    assert (ended.outcomes, ended.fatal is not None) == ((), True)
    assert not list(out.glob("*/*.json"))
    lock.release()


def test_the_lock_of_a_run_may_not_be_deleted_while_it_works(tmp_path: Path, out: Path) -> None:
    driver = start_driver(write_dataset(tmp_path, [{"seconds": 0.5}] * 20), out)
    wait_until(lambda: (out / "000001-item_1").exists())
    (out / "run.lock").unlink()
    _, stderr = driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert "is not that of this run any more" in stderr
    assert len(list(out.glob("*/done.json"))) < 20


# --- real processes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["record", "render"])
def test_a_run_that_is_gone_on_with_at_once_works_beside_nobody(
    tmp_path: Path, out: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_dataset(tmp_path, [{}, {"seconds": 3.0}, {}])
    driver = start_driver(dataset, out)
    marker = out / "000001-item_1/recorded.json"
    begun = marker.parent if stage == "record" else marker
    wait_until(lambda: begun.exists() and (out / "000000-item_0/done.json").exists())
    assert len((out / "run.workers").read_text().splitlines()) == 2
    gone = gone_when_work_begins(monkeypatch, workers_of(driver.pid))
    driver.kill()
    driver.wait()
    report = run(dataset, out, engine="local")
    assert gone == [True]
    assert report.counts.total == 3
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3
    assert [pair for pair in statuses(out) if pair[1] != "done"] == []
    assert not list(out.glob("run.*k*"))
    driver.communicate()


def test_an_orphan_is_waited_for(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that outlives its driver as an actor of a cluster does: it is no child that dies with it."""
    lock = FolderLock(out / "run.lock")
    program = (
        "import sys, time; from pathlib import Path; from attnviz_video.batch.presence import Badge, Presence; "
        "there = Presence(Badge(Path(sys.argv[1]), sys.argv[2])); print('there', flush=True); time.sleep(60)"
    )
    orphan = subprocess.Popen(
        [sys.executable, "-c", program, str(lock.path), lock.token], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert orphan.stdout is not None
    assert orphan.stdout.readline() == b"there\n"
    lock.release()
    gone = gone_when_work_begins(monkeypatch, [orphan.pid])
    threading.Timer(1.5, orphan.kill).start()
    assert run(write_dataset(tmp_path, [{}]), out).counts.done == 1
    assert gone == [True]
    orphan.communicate()
