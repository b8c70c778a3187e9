"""What the books of a batch cost, what overlapping gains, and whether ten thousand samples survive everything.

    OMP_NUM_THREADS=1 python benchmarks/batch.py
    python benchmarks/batch.py --sections resume,ledger
    python benchmarks/batch.py --sections endurance --engines local,ray --samples 10000

Prints a table and writes it as JSON into benchmarks/results. `resume`, `ledger` and `endurance` use fake work, which
writes two small files for a sample: what is measured is the engine and the books. `overlap` is a run of the shipped
demo model and needs two cores. Seconds are those on the clock.

`endurance`: of the samples 1 % raise and 0.1 % kill their worker whenever they are tried; the driver is killed once on
the way. Then nothing may be lost, nothing done twice, and exactly the planted samples may have failed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from batch_driver import fake_run
from measuring import RESULTS, ROOT, Row, report

from attnviz_video.batch.jobs import SampleTask
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.progress import Silent
from attnviz_video.testing.fake_work import build, executions

SECTIONS = ("resume", "ledger", "overlap", "endurance")
#: Of so many samples one raises, and one kills its worker.
RAISES, KILLS = 100, 1000
#: Samples that an engine may have in its hands when the driver is killed: they may be worked on twice.
IN_HANDS = 16


def write_dataset(folder: Path, count: int, *, faults: bool) -> Path:
    """A dataset of `count` samples of fake work."""
    items: list[dict[str, object]] = [
        {"id": f"s{index}", "problem": f"question {index}", "answer": "yes"} for index in range(count)
    ]
    if faults:
        for index in raising(count):
            items[index]["fake"] = {"fail": "record" if index % 200 < 100 else "render"}
        for index in killing(count):
            items[index]["fake"] = {"kill": "record" if index % 2000 < 1000 else "render"}
    file = folder / "data.json"
    file.write_text(json.dumps(items), encoding="utf-8")
    return file


def raising(count: int) -> range:
    """The samples that raise an error whenever they are tried."""
    return range(7, count, RAISES)


def killing(count: int) -> range:
    """The samples that kill their worker whenever they are tried."""
    return range(513, count, KILLS)


def driver(dataset: Path, out: Path, **batch: object) -> subprocess.Popen[bytes]:
    """A run of fake work in a process of its own."""
    program = ROOT / "benchmarks" / "batch_driver.py"
    return subprocess.Popen([sys.executable, str(program), str(dataset), str(out), json.dumps(batch)], cwd=ROOT)


def seconds_of(command: Sequence[str]) -> float:
    """How long a command takes.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    begin = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def resume(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """A run of 1,000 samples that is finished, started again: Python and its imports included."""
    dataset = write_dataset(folder, 1000, faults=False)
    out = folder / "run"
    fake_run(dataset, out)
    rows = []
    for measure, batch, reach in (("nothing to do", {}, 3.0), ("nothing to do, --verify", {"verify": True}, None)):
        seconds = []
        for _ in range(asked.rounds):
            begin = time.perf_counter()
            if driver(dataset, out, **batch).wait():
                raise RuntimeError("the run failed")
            seconds.append(time.perf_counter() - begin)
        section = "a finished run of 1,000 samples, started again"
        value = round(statistics.median(seconds), 3)
        rows.append(Row(section, measure, value, round(min(seconds), 3), round(max(seconds), 3), "s", reach))
    return rows


def ledger(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """Seconds of a run in this process, less those of its work alone."""
    count = 500
    each = []
    for number in range(asked.rounds):
        place = folder / f"round{number}"
        (place / "alone").mkdir(parents=True)
        dataset = write_dataset(place, count, faults=False)
        begin = time.perf_counter()
        fake_run(dataset, place / "run")
        whole = time.perf_counter() - begin
        work = build(0, RunConfig())
        begin = time.perf_counter()
        for index in range(count):
            home = place / "alone" / str(index)
            home.mkdir()
            task = SampleTask(index, str(index), home, Sample(index, str(index), "?", ()), "")
            work.record([task], Silent(), lambda: False)
            work.render(task, Silent())
        each.append((whole - (time.perf_counter() - begin)) / count * 1000)
    value = round(statistics.median(each), 2)
    return [Row("the books", "a sample", value, round(min(each), 2), round(max(each), 2), "ms", 5.0)]


def overlap(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """32 samples of the demo: recorded and rendered at once, against the longer of the two alone."""
    items = json.loads((ROOT / "samples/demo.json").read_text(encoding="utf-8"))
    repeated = [{**items[index % len(items)], "id": str(index)} for index in range(32)]
    dataset = folder / "demo32.json"
    dataset.write_text(json.dumps(repeated), encoding="utf-8")
    program = [sys.executable, "visualize_heatmap.py"]
    flags = ["--benchmark_json", str(dataset), "--image_dir", "samples/images", "--model_path", "samples/demo_model",
             "--layer_idx", "20", "--start_phrase", "", "--max_new_tokens", str(asked.new_tokens), "--device", "cpu",
             "--quiet"]  # fmt: skip
    ratios, table = [], []
    for number in range(asked.rounds):
        both, apart = folder / f"both{number}", folder / f"apart{number}"
        record = seconds_of([*program, "batch", *flags, "--output_dir", str(apart), "--trace_only"])
        render = seconds_of([*program, "render", str(apart), "--quiet"])
        together = seconds_of([*program, "batch", *flags, "--output_dir", str(both)])
        ratios.append(together / max(record, render))
        table.append(f"record {record:.0f} s, render {render:.0f} s, both {together:.0f} s")
    section = f"32 samples of the demo, one renderer, {len(os.sched_getaffinity(0))} cores"
    value = round(statistics.median(ratios), 3)
    return [
        Row(section, "recorded and rendered at once ÷ the longer alone", value, round(min(ratios), 3),
            round(max(ratios), 3), "x", 1.15, "; ".join(table))
    ]  # fmt: skip


def endurance(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """Faults of every kind; the driver is killed when a third is done, and the run is gone on with."""
    rows = []
    for engine in asked.engines:
        place = folder / engine
        place.mkdir()
        dataset, out = write_dataset(place, asked.samples, faults=True), place / "run"
        begin = time.perf_counter()
        first = driver(dataset, out, engine=engine, num_workers=2)
        while first.poll() is None and rows_in(out) < asked.samples // 3:
            time.sleep(0.5)
        first.kill()
        first.wait()
        done_then = {path.parent.name for path in out.glob("*/done.json")}
        if driver(dataset, out, engine=engine, num_workers=2).wait():
            raise RuntimeError("the run failed")
        seconds = time.perf_counter() - begin
        faults = faults_of(out, asked.samples, done_then)
        section = f"{asked.samples} samples through the engine {engine}, driver killed once"
        rows.append(Row(section, "a sample, everything included", round(seconds / asked.samples * 1000, 2), unit="ms"))
        rows.append(Row(section, "samples lost, done twice, or wrongly failed", len(faults), unit="", reach=0.0,
                        note="; ".join(faults[:3])))  # fmt: skip
    return rows


def rows_in(out: Path) -> int:
    """Lines of results.jsonl."""
    file = out / "results.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def faults_of(out: Path, count: int, done_then: set[str]) -> list[str]:
    """What is not as it must be after a run with planted faults, one sentence each."""
    lines = (out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    table = []
    for line in lines:
        try:
            table.append(json.loads(line))
        except ValueError:  # the line that the kill tore
            continue
    planted = {*raising(count), *killing(count)}
    done = Counter(row["index"] for row in table if row["status"] == "done")
    failed = Counter(row["index"] for row in table if row["status"] == "failed")
    faults = [f"sample {index} is done {times} times" for index, times in done.items() if times != 1]
    faults += [f"sample {index} failed {times} times" for index, times in failed.items() if times != 1]
    faults += [f"sample {index} is lost" for index in range(count) if index not in done and index not in failed]
    faults += [f"sample {index} failed, which was not planted" for index in failed if index not in planted]
    faults += [f"sample {index} is done although it was to fail" for index in done if index in planted]
    twice = 0
    for home in out.glob("0*-*"):
        stages = Counter(executions(home))
        if home.name in done_then and stages["record"] + stages["render"] != 2:
            faults.append(f"{home.name} was done when the driver was killed, and was worked on again")
        twice += max(stages.values(), default=0) > 1
    if twice > IN_HANDS:
        faults.append(f"{twice} samples were worked on twice, more than the {IN_HANDS} that can have been in hands")
    return faults


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each section but endurance")
    parser.add_argument("--samples", type=int, default=10_000, help="of endurance")
    parser.add_argument("--engines", default="local,ray", help="of endurance")
    parser.add_argument("--new_tokens", type=int, default=48, help="of overlap: longest answer")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    asked = parser.parse_args()
    asked.engines = asked.engines.split(",")
    sections = {"resume": resume, "ledger": ledger, "overlap": overlap, "endurance": endurance}
    rows = []
    for name in asked.sections.split(","):
        with TemporaryDirectory() as folder:
            rows += sections[name](asked, Path(folder))
    setup = {key: str(value) for key, value in vars(asked).items() if key != "results"}
    report("batch", setup, rows, "cpu", asked.results)


if __name__ == "__main__":
    main()
