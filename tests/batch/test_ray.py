"""The Ray engine on a real cluster of this machine: killed actors come back, the books decide what is tried again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.errors import EnvironmentFault, UsageError
from tests.batch.running import done_in, rows_of, run, start_driver, statuses, wait_until, write_dataset

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
def test_a_cluster_that_is_not_there(tmp_path: Path, out: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EnvironmentFault, match="no Ray cluster at 127.0.0.1:1: .*; check --ray_address"):
        run(write_dataset(tmp_path, [{}]), out, engine="ray", ray_address="127.0.0.1:1")
