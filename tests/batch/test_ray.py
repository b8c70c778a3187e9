"""The Ray engine on a real cluster of this machine: killed actors come back, the books decide what is tried again."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.errors import EnvironmentFault, UsageError
from tests.batch.running import (
    done_in,
    gone_when_work_begins,
    is_gone,
    rows_of,
    run,
    start_driver,
    statuses,
    wait_until,
    write_dataset,
)

TWICE = ["record", "render"]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_without_ray_the_extra_is_named(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"--engine ray needs Ray: pip install 'attnviz-video\[ray\]'"):
        run(write_dataset(tmp_path, [{}]), out, engine="ray")
    assert not list(out.glob("*.lock"))


@pytest.mark.slow
def test_a_run_on_ray_with_every_fault(tmp_path: Path, out: Path) -> None:
    pytest.importorskip("ray")
    fakes: list[dict[str, Any]] = [{} for _ in range(12)]
    fakes[2], fakes[5], fakes[7] = {"kill": "record"}, {"kill_once": "render"}, {"fail": "record"}
    dataset = write_dataset(tmp_path, fakes)
    report = run(dataset, out, engine="ray", settings={"device": "cpu"}, num_workers=2)
    assert (report.counts.done, report.n_failed) == (10, 2)
    last = dict(statuses(out))
    assert {index for index, status in last.items() if status == "failed"} == {2, 7}
    assert [status for index, status in statuses(out) if index == 2] == ["killed", "failed"]
    (failed,) = [row for row in rows_of(out) if row["index"] == 2 and row["status"] == "failed"]
    assert failed["error"]["sentence"].startswith("its worker was lost by Ray (Actor")
    good = [index for index in range(12) if index not in (2, 7)]
    assert [done_in(out, index) for index in good] == [TWICE] * 10
    assert run(dataset, out, engine="ray", settings={"device": "cpu"}).counts.before == 10


@pytest.mark.slow
def test_a_killed_driver_on_ray_is_gone_on_with(tmp_path: Path, out: Path) -> None:
    pytest.importorskip("ray")
    dataset = write_dataset(tmp_path, [{}, {}, {"seconds": 2}, {}, {}])
    driver = start_driver(dataset, out, engine="ray")
    try:
        wait_until(lambda: len(list(out.glob("*/done.json"))) == 2 and (out / "000002-item_2").exists(), 180)
    finally:
        driver.kill()
        driver.communicate()
    report = run(dataset, out, engine="ray")
    assert (report.counts.before, report.counts.done) == (2, 3)
    assert [pair for pair in statuses(out) if pair[1] == "done"] == [(index, "done") for index in range(5)]
    assert [done_in(out, index).count("render") for index in range(5)] == [1] * 5


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["record", "render"])
def test_actors_that_outlive_their_driver_are_waited_for(
    tmp_path: Path, out: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    # An actor outlives its driver by a second or two; with more to do, none comes to an end in that time.
    dataset = write_dataset(tmp_path, [{}, {"seconds": 8}, {}])
    driver = start_driver(dataset, out, engine="ray")
    marker = out / "000001-item_1/recorded.json"
    try:
        wait_until(lambda: (marker.parent if stage == "record" else marker).exists(), 180)
        time.sleep(0.5)  # in the middle of the stage
    finally:
        driver.kill()
        driver.wait()
    announced = (out / "run.workers").read_text().splitlines()
    workers = [int(line.split()[1]) for line in announced]
    assert not all(map(is_gone, workers)), "they outlive it"
    gone = gone_when_work_begins(monkeypatch, workers)
    report = run(dataset, out, engine="local")
    driver.communicate()
    assert gone == [True]
    assert report.counts.total == 3
    assert [done_in(out, index) for index in range(3)] == [TWICE] * 3
    assert {status for _, status in statuses(out)} == {"done"}
    assert not list(out.glob("*.workers"))


@pytest.mark.slow
def test_a_cluster_that_is_not_there(tmp_path: Path, out: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EnvironmentFault, match="no Ray cluster at 127.0.0.1:1: .*; check --ray_address"):
        run(write_dataset(tmp_path, [{}]), out, engine="ray", ray_address="127.0.0.1:1")
