"""Runs that are killed or stopped, with real processes: nothing is lost, nothing is done twice, nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.batch.running import (
    children_of,
    done_in,
    is_gone,
    kill,
    rows_of,
    run,
    start_driver,
    statuses,
    wait_until,
    workers_of,
    write_dataset,
)

TWICE = ["record", "render"]
AGAIN = "python visualize_heatmap.py batch --benchmark_json data.json"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


def n_done(out: Path) -> int:
    return len(list(out.glob("*/done.json")))


def finish(driver: subprocess.Popen[str]) -> tuple[str, str]:
    """Standard output and standard error of a driver that ends by itself."""
    try:
        return driver.communicate(timeout=60)
    finally:
        driver.kill()


@pytest.mark.parametrize("slow", ["record", "render"])
def test_a_killed_driver_leaves_nobody_and_its_run_goes_on(tmp_path: Path, out: Path, slow: str) -> None:
    # Samples 0 and 1 are quick; with 2 the driver is killed in the middle of a stage.
    slowness = {"seconds": 2.0}
    dataset = write_dataset(tmp_path, [{}, {}, slowness, {}])
    driver = start_driver(dataset, out)
    stage_of_2 = out / "000002-item_2/recorded.json"
    wait_until(lambda: n_done(out) == 2 and (stage_of_2.parent if slow == "record" else stage_of_2).exists())
    workers = workers_of(driver.pid)
    assert len(workers) == 2
    driver.kill()
    driver.communicate()
    wait_until(lambda: all(map(is_gone, workers)), 10)
    report = run(dataset, out, engine="local")
    assert report.counts.before == 2
    assert [done_in(out, index) for index in range(4)] == [TWICE] * 4
    assert [pair for pair in statuses(out) if pair[1] == "done"] == [(index, "done") for index in range(4)]


def test_a_worker_that_is_asked_to_end_costs_one_attempt_of_one_sample(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}, {"seconds": 3}, {}, {}])
    driver = start_driver(dataset, out)
    wait_until(lambda: n_done(out) == 1 and (out / "000001-item_1").exists())
    for worker in workers_of(driver.pid):
        kill(worker, signal.SIGTERM)
    _, stderr = finish(driver)
    assert driver.returncode == 0, stderr
    assert [pair for pair in statuses(out) if pair[1] != "done"] == [(1, "killed")]
    assert sorted(pair for pair in statuses(out) if pair[1] == "done") == [(index, "done") for index in range(4)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_leaves_nobody(tmp_path: Path, out: Path, number: int) -> None:
    dataset = write_dataset(tmp_path, [{}, {"seconds": 60}, {}])
    driver = start_driver(dataset, out)
    wait_until(lambda: n_done(out) == 1 and (out / "000001-item_1").exists())
    processes = children_of(driver.pid)
    os.killpg(driver.pid, number)  # as a terminal does with Ctrl-C: everybody gets it
    begin = time.monotonic()
    stdout, stderr = finish(driver)
    assert time.monotonic() - begin < 10
    assert (driver.returncode, stdout) == (130, "")
    assert stderr == f"error: stopped after 1 of 3 samples; go on with: {AGAIN}\n"
    wait_until(lambda: all(map(is_gone, processes)), 10)
    assert statuses(out) == [(0, "done"), (1, "interrupted")]
    assert (out / "summary.csv").exists()
    assert not list(out.glob("*.lock"))


def test_the_second_signal_ends_a_run_at_once(tmp_path: Path, out: Path) -> None:
    # A worker that hears nothing: it is stopped, and so never comes to the end of its step.
    dataset = write_dataset(tmp_path, [{"seconds": 60}])
    driver = start_driver(dataset, out)
    wait_until(lambda: (out / "000000-item_0").exists())
    (worker,) = workers_of(driver.pid)
    kill(worker, signal.SIGSTOP)
    kill(driver.pid, signal.SIGINT)
    time.sleep(1.0)
    assert driver.poll() is None, "the first one waits for the step"
    kill(driver.pid, signal.SIGINT)
    begin = time.monotonic()
    _, stderr = finish(driver)
    assert time.monotonic() - begin < 8
    assert driver.returncode == 130
    assert "go on with: python visualize_heatmap.py batch" in stderr
    wait_until(lambda: is_gone(worker), 10)
    assert not list(out.glob("*.lock"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["first", "second"])
def test_a_signal_while_a_worker_starts_prints_one_line(tmp_path: Path, out: Path, number: int, moment: str) -> None:
    """Python lets signals through after it has started a process of its own beside the first worker."""
    dataset = write_dataset(tmp_path, [{"seconds": 60}] * 2)
    driver = start_driver(dataset, out, num_workers=2)
    wait_until(lambda: len(workers_of(driver.pid)) >= (1 if moment == "first" else 2))
    processes = children_of(driver.pid)
    os.killpg(driver.pid, number)
    begin = time.monotonic()
    _, stderr = finish(driver)
    assert time.monotonic() - begin < 8
    assert driver.returncode == 130
    assert stderr == f"error: stopped after 0 of 2 samples; go on with: {AGAIN}\n"
    wait_until(lambda: all(map(is_gone, processes)), 10)


def test_a_model_that_is_being_loaded_is_not_waited_for(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{}])
    driver = start_driver(dataset, out, settings={"prompt_template": "slow model {problem}"})
    # Loading begins when the worker has said that it is there.
    wait_until(lambda: any(path.stat().st_size for path in out.glob("run*.workers")))
    time.sleep(0.5)
    os.killpg(driver.pid, signal.SIGINT)
    begin = time.monotonic()
    _, stderr = finish(driver)
    assert time.monotonic() - begin < 2.5, "it is not killed after patience: it ends by itself"
    assert (driver.returncode, stderr) == (130, f"error: stopped after 0 of 1 samples; go on with: {AGAIN}\n")


def test_two_drivers_in_one_folder(tmp_path: Path, out: Path) -> None:
    dataset = write_dataset(tmp_path, [{"seconds": 60}])
    first = start_driver(dataset, out)
    wait_until(lambda: (out / "000000-item_0").exists())
    second = start_driver(dataset, out)
    _, stderr = finish(second)
    assert second.returncode != 0
    assert f"another run works in {out}" in stderr
    first.kill()
    first.communicate()
    third = start_driver(write_dataset(tmp_path, [{"seconds": 60}]), out)  # the lock of a killed run holds nobody up
    wait_until(lambda: len(workers_of(third.pid)) == 1)
    third.kill()
    third.communicate()


def test_exit_code_of_a_run_with_failures(tmp_path: Path, out: Path) -> None:
    driver = start_driver(write_dataset(tmp_path, [{"fail": "record"}, {}]), out)
    stdout, _ = finish(driver)
    assert driver.returncode == 3
    assert stdout.startswith("2 samples: 1 done, 1 failed")
    assert len(rows_of(out)) == 2
