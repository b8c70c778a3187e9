"""How benchmarks measure and report: interleaved rounds, ratios of medians and their spread, a table, a JSON file."""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    section: str
    measure: str
    value: float | None
    #: Smallest and largest of the single rounds.
    low: float | None = None
    high: float | None = None
    unit: str = "x"
    #: What is to be reached: at most (negative: at least) this.
    reach: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value reaches what it should; None where nothing is asked, or nothing was measured."""
        if self.reach is None or self.value is None:
            return None
        return self.value <= self.reach if self.reach >= 0 else self.value >= -self.reach

    def line(self) -> str:
        """The row as text."""
        value = "-" if self.value is None else f"{self.value:.3g} {self.unit}"
        spread = "" if self.low is None or self.high is None else f"({self.low:.3g} to {self.high:.3g})"
        reach = "" if self.reach is None else f"{'at most' if self.reach >= 0 else 'at least'} {abs(self.reach):g}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met]
        return f"{self.measure:<58} {value:>12} {spread:<20} {reach:<14} {verdict:<7} {self.note}".rstrip()


class Clock:
    """Seconds of a piece of work: CPU time of this process, so that other programs do not count; on a GPU wall time."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def now(self) -> float:
        """Seconds since some point in the past."""
        if not self._cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes."""
        start = self.now()
        work()
        return self.now() - start


def interleaved(works: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of every work in every round; a round runs all works, so that drifts of the machine hit all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()  # not measured: caches fill, memory is taken from the system
    for _ in range(rounds):
        for name, work in works.items():
            seconds[name].append(clock.seconds(work))
    return seconds


def ratio_row(
    section: str,
    measure: str,
    seconds: Sequence[float],
    base: Sequence[float],
    reach: float | None = None,
    note: str = "",
) -> Row:
    """Ratio of the medians, and the smallest and largest ratio of a round."""
    each = [mine / its for mine, its in zip(seconds, base, strict=True)]
    value = statistics.median(seconds) / statistics.median(base)
    return Row(section, measure, round(value, 4), round(min(each), 4), round(max(each), 4), "x", reach, note)


def slope(milliseconds: Sequence[float]) -> tuple[float, float]:
    """Growth of the cost of a step by least squares, and its standard error, in milliseconds per 1000 steps."""
    n = len(milliseconds)
    mean_x, mean_y = (n - 1) / 2, statistics.fmean(milliseconds)
    spread = sum((x - mean_x) ** 2 for x in range(n))
    found = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(milliseconds)) / spread
    left = sum((y - mean_y - found * (x - mean_x)) ** 2 for x, y in enumerate(milliseconds))
    return found * 1000, (left / (n - 2) / spread) ** 0.5 * 1000


def machine(device: str) -> dict[str, object]:
    """Where this was measured."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "cpu": model,
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def commit() -> str:
    """The commit of the working tree, with "+" where it holds changes; empty outside a repository."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return run.stdout.strip() if run.returncode == 0 else ""

    found = git("rev-parse", "HEAD")
    return found + ("+" if found and git("status", "--porcelain", "--untracked-files=no") else "")


#: Asked when the run starts: the tree may have moved on by the time the figures are written.
COMMIT = commit()


def report(name: str, setup: Mapping[str, object], rows: Sequence[Row], device: str, folder: Path = RESULTS) -> Path:
    """Print the table, write `<name>-<date>.json` into `folder`, and return its path."""
    section = ""
    for row in rows:
        if row.section != section:
            section = row.section
            print(f"\n{section}")
        print(f"  {row.line()}")
    now = datetime.datetime.now(datetime.UTC)
    content = {
        "measured": now.isoformat(timespec="seconds"), "commit": COMMIT, "machine": machine(device),
        "setup": dict(setup),
        "rows": [{**asdict(row), "met": row.met} for row in rows],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{now:%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"\n{path}")
    return path
