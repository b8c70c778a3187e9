"""The benchmark of batches on a few samples: it writes its table, and finds nothing lost and nothing done twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.batch.running import ROOT


@pytest.mark.slow
def test_a_thousand_samples_survive_every_fault(tmp_path: Path) -> None:
    command = [sys.executable, "benchmarks/batch.py", "--sections", "ledger,endurance", "--engines", "local",
               "--samples", "1600", "--rounds", "1", "--results", str(tmp_path)]  # fmt: skip
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (file,) = tmp_path.glob("batch-*.json")
    rows = {row["measure"]: row for row in json.loads(file.read_text())["rows"]}
    found = rows["samples lost, done twice, or wrongly failed"]
    assert (found["value"], found["note"]) == (0, "")
    assert rows["a sample"]["value"] < 50, "the books cost milliseconds"
