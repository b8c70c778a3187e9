"""Benchmarks: the arithmetic of their tables, and one run of each on a very small model."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def measuring(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("measuring")


def test_ratio_is_that_of_the_medians_and_the_spread_that_of_the_rounds(measuring: Any) -> None:
    row = measuring.ratio_row("section", "measure", [2.0, 3.0, 8.0], [1.0, 2.0, 2.0], reach=1.6)
    assert (row.value, row.low, row.high, row.met) == (1.5, 1.5, 4.0, True)
    assert "at most 1.6" in row.line()


def test_what_is_to_be_reached_may_be_a_least_or_a_most(measuring: Any) -> None:
    def met(value: float | None, reach: float | None) -> bool | None:
        found: bool | None = measuring.Row("s", "m", value, reach=reach).met
        return found

    assert (met(1.0, 1.1), met(1.2, 1.1), met(9.0, -8), met(7.0, -8)) == (True, False, True, False)
    assert (met(None, 1.1), met(1.0, None)) == (None, None)
    assert "MISSED" in measuring.Row("s", "m", 7.0, reach=-8).line()


def test_slope_of_a_line_is_exact_and_has_no_error(measuring: Any) -> None:
    found, error = measuring.slope([3 + 0.25 * step for step in range(40)])
    assert found == pytest.approx(250)
    assert error == pytest.approx(0, abs=1e-6)
    assert measuring.slope([1, 2] * 20)[1] > 1


def test_works_take_turns(measuring: Any) -> None:
    order: list[str] = []
    works = {name: lambda name=name: order.append(name) for name in ("a", "b")}
    seconds = measuring.interleaved(works, 2, measuring.Clock("cpu"))
    assert order == ["a", "b"] * 3, "the first turn is not measured"
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}


@pytest.mark.slow
def test_the_recording_benchmark_runs_and_writes_its_table(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/recording.py", "--size", "tiny", "--prompt_tokens", "160", "--new_tokens",
               "4,8", "--rounds", "1", "--growth_to", "96", "--results", str(tmp_path)]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (file,) = tmp_path.glob("recording-*.json")
    result = json.loads(file.read_text())
    assert {row["section"].split(",")[0].split(" ")[0] for row in result["rows"]} == {
        "time", "the", "peak", "replay", "batch", "cost",
    }  # fmt: skip
    assert result["machine"]["threads"] == 1
    assert all(row["measure"] in run.stdout for row in result["rows"])


@pytest.mark.slow
def test_the_rendering_benchmark_runs_and_writes_its_table(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/rendering.py", "--size", "480x270", "--tokens", "6", "--growth_to", "20",
               "--memory_tokens", "6,12", "--old_tokens", "2", "--worker_tokens", "4", "--rounds", "1", "--results",
               str(tmp_path)]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (file,) = tmp_path.glob("rendering-*.json")
    result = json.loads(file.read_text())
    assert {row["section"].split(",")[0].split(" ")[0] for row in result["rows"]} == {
        "trace", "painting", "peak", "the", "--render_workers",
    }  # fmt: skip
    assert all(row["value"] > 0 for row in result["rows"])
    assert all(row["measure"] in run.stdout for row in result["rows"])
