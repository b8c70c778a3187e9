"""Runs of fake work: datasets, settings, processes, and what is left in the folder of a run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.batch.run import BatchReport, ToDo, run_batch, what_to_do
from attnviz_video.batch.settings import BatchSettings
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.errors import Interrupted
from attnviz_video.progress import Silent
from attnviz_video.stopping import StopRequest, stop_on_signals
from attnviz_video.testing.fake_work import BUILDER, executions

ROOT = Path(__file__).resolve().parent.parent.parent
ARGV = ("batch", "--benchmark_json", "data.json")


class Heard(Silent):
    """Keeps what the user would be told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)


def write_dataset(folder: Path, fakes: Sequence[Mapping[str, object]], name: str = "data.json") -> Path:
    """A dataset with one sample for each of `fakes` (see `FakeWork`)."""
    file = folder / name
    items = [
        {"id": f"item {number}", "problem": f"question {number}", "answer": "yes", "fake": dict(fake)}
        for number, fake in enumerate(fakes)
    ]
    file.write_text(json.dumps(items), encoding="utf-8")
    return file


def settings_of(dataset: Path, out: Path, **settings: object) -> RunConfig:
    return replace_settings(RunConfig(), {"benchmark_json": str(dataset), "output_dir": str(out), **settings})


def run(
    dataset: Path,
    out: Path,
    progress: Any = None,
    stop: StopRequest | None = None,
    settings: Mapping[str, object] | None = None,
    **batch: Any,
) -> BatchReport:
    """A run of fake work; in this process unless an engine is named."""
    config = settings_of(dataset, out, **(settings or {}))
    chosen = BatchSettings(**{"engine": "in_process", **batch})
    return run_batch(config, chosen, progress or Silent(), stop, ARGV, builder=BUILDER)


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The rows of results.jsonl, torn lines left out."""
    rows = []
    for line in (out / "results.jsonl").read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def statuses(out: Path) -> list[tuple[int, str]]:
    """Index and status of every attempt, by index, in the order of the attempts."""
    return sorted(((row["index"], row["status"]) for row in rows_of(out)), key=lambda pair: pair[0])


def done_in(out: Path, index: int) -> list[str]:
    """The stages of a sample that came to their end."""
    (home,) = out.glob(f"{index:06d}-*")
    return executions(home)


def start_driver(dataset: Path, out: Path, **batch: object) -> subprocess.Popen[str]:
    """A run in a process group of its own, as a shell starts it."""
    program = "import sys; from tests.batch.running import main; sys.exit(main(*sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, str(dataset), str(out), json.dumps({"engine": "local", **batch})],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


def main(dataset: str, out: str, batch: str) -> int:
    """What `start_driver` runs: the command line's way with signals, errors and exit codes."""
    try:
        with stop_on_signals() as stop:
            report = run(Path(dataset), Path(out), Heard(), stop, **json.loads(batch))
    except Interrupted as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(report.sentence)
    return 3 if report.n_failed else 0


def wait_until(true: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def children_of(process: int) -> list[int]:
    """Processes that have `process` as their parent."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(folder.name))
    return found


def workers_of(process: int) -> list[int]:
    """The spawned workers among the children of a driver, in the order they were started."""
    found = []
    for child in children_of(process):
        with contextlib.suppress(OSError):
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
    return sorted(found)


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that nobody has waited for counts as ended."""
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def gone_when_work_begins(monkeypatch: pytest.MonkeyPatch, processes: Sequence[int]) -> list[bool]:
    """Whether all of `processes` had ended when a run of this process looked at what is to be done; one entry each."""
    found: list[bool] = []
    look = what_to_do

    def noted(*arguments: Any, **more: Any) -> ToDo:
        found.append(all(map(is_gone, processes)))
        return look(*arguments, **more)

    monkeypatch.setattr("attnviz_video.batch.run.what_to_do", noted)
    return found


def kill(process: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)
