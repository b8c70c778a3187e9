"""What making the video costs, beside encoding the same frames when they are in memory already.

    OMP_NUM_THREADS=1 python benchmarks/rendering.py
    OMP_NUM_THREADS=1 python benchmarks/rendering.py --sections cost,growth --rounds 3 --tokens 256

Prints a table and writes it as JSON into benchmarks/results. Seconds are CPU seconds, those of ffmpeg and of render
workers included; of `--render_workers` seconds on the clock, on as many cores as this process may use. Ratios are those
of medians of interleaved rounds, with the smallest and the largest ratio of a round in brackets. The traces are
planted: about 1500 prompt positions, one image of 900 patches with the grain of a photograph. Memory is that of the
Python process at its peak, without ffmpeg's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import RESULTS, Row, interleaved, ratio_row, report
from rendering_trace import made_trace
from rendering_way import OLD_SIDE, cpu_seconds, in_own_process, video_of, write

from attnviz_video.export.mp4 import write_mp4

SECTIONS = ("cost", "growth", "memory", "old", "workers")


class CpuClock:
    """CPU seconds of this process and of all children that have ended."""

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes."""
        start = cpu_seconds()
        work()
        return cpu_seconds() - start


class WallClock:
    """Seconds on the clock."""

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes."""
        start = time.perf_counter()
        work()
        return time.perf_counter() - start


def cost(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """Trace to MP4, and painting alone, against the encoder fed from memory."""
    rows = []
    for n_tokens in asked.tokens:
        trace = made_trace(folder, n_tokens)
        kept = video_of(trace, asked.size)
        frames = [kept.painter.frame(number) for number in range(n_tokens)]

        def floor(frames: list = frames, kept=kept) -> None:  # type: ignore[type-arg, no-untyped-def]
            write_mp4(
                frames, folder / "floor.mp4", size=kept.painter.size, n_frames=len(frames), settings=kept.export,
                metadata=kept.metadata, schedule=kept.schedule,
            )  # fmt: skip

        def paint(trace=trace) -> None:  # type: ignore[no-untyped-def]
            painter = video_of(trace, asked.size).painter
            for number in range(painter.n_frames):
                painter.frame(number)

        works: dict[str, Callable[[], object]] = {
            "floor": floor,
            "all": lambda trace=trace: write(video_of(trace, asked.size), folder / "all.mp4"),
            "paint": paint,
            "floor again": floor,
        }
        seconds = interleaved(works, asked.rounds, CpuClock())  # type: ignore[arg-type]
        section = f"trace to MP4, {asked.size[0]}x{asked.size[1]}, {n_tokens} tokens"
        base = seconds["floor"]
        each = [value / n_tokens * 1000 for value in base]
        rows += [
            Row(
                section,
                "encoder fed from memory, per frame",
                round(statistics.median(each), 2),
                min(each),
                max(each),
                "ms",
            ),
            ratio_row(section, "encoder fed from memory again (noise)", seconds["floor again"], base),
            ratio_row(section, "trace to MP4 ÷ encoder fed from memory", seconds["all"], base, 1.12, "stretch 1.05"),
            ratio_row(section, "rendering alone ÷ encoder fed from memory", seconds["paint"], base, 0.12),
        ]
    return rows


def growth(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """The last frame against the first, once all pages have been laid out."""
    painter = video_of(made_trace(folder, asked.growth_to), asked.size).painter
    last = painter.n_frames - 1

    def paint(numbers: range) -> Callable[[], None]:
        def work() -> None:
            for number in numbers:
                painter.frame(number)

        return work

    works = {
        "first": paint(range(8)),
        "middle": paint(range(last // 2, last // 2 + 8)),
        "last": paint(range(last - 7, last + 1)),
    }
    seconds = interleaved(works, max(5, asked.rounds), CpuClock())  # type: ignore[arg-type]
    section = f"painting a frame, {asked.growth_to} tokens"
    each = [value / 8 * 1000 for value in seconds["first"]]
    return [
        Row(section, "first frames, each", round(statistics.median(each), 2), min(each), max(each), "ms"),
        ratio_row(section, "middle ÷ first", seconds["middle"], seconds["first"]),
        ratio_row(section, "last ÷ first", seconds["last"], seconds["first"], 2),
    ]


def memory(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """Peak memory of short and long answers."""
    short, long = asked.memory_tokens
    section = f"peak memory, {asked.size[0]}x{asked.size[1]}"
    found = {n_tokens: in_own_process("ours", n_tokens, *asked.size)["rss"] for n_tokens in (short, long)}
    return [
        Row(section, f"{short} tokens", round(found[short]), unit="MB"),
        Row(section, f"{long} tokens", round(found[long]), unit="MB", reach=400),
        Row(section, f"{long} ÷ {short} tokens", round(found[long] / found[short], 3), reach=1.2),
    ]


def old(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """The recipe of older scripts: Pillow frames of 2500 x 2500 in a list."""
    rounds = max(1, asked.rounds // 2)
    ways = {
        "old": ("old", OLD_SIDE, OLD_SIDE), "same": ("ours", OLD_SIDE, OLD_SIDE), "720p": ("ours", 1280, 720),
        "same rate": ("ours_old_rate", OLD_SIDE, OLD_SIDE), "720p rate": ("ours_old_rate", 1280, 720),
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, (way, width, height) in ways.items():
            found[name].append(in_own_process(way, asked.old_tokens, width, height))
    cpu = {name: [run["cpu"] for run in runs] for name, runs in found.items()}
    rss = {name: [run["rss"] for run in runs] for name, runs in found.items()}
    section = f"the older recipe, {asked.old_tokens} tokens, frames of {OLD_SIDE}x{OLD_SIDE} in a list"
    return [
        Row(section, "its time", round(statistics.median(cpu["old"]), 1), unit="s"),
        Row(section, "its memory", round(statistics.median(rss["old"])), unit="MB"),
        ratio_row(section, "its time ÷ ours at the same size", cpu["old"], cpu["same"], -2.5),
        ratio_row(section, "its time ÷ ours at 1280x720", cpu["old"], cpu["720p"], -10),
        ratio_row(section, "its time ÷ ours, same size and frame rate", cpu["old"], cpu["same rate"], -2.5),
        ratio_row(section, "its time ÷ ours at 1280x720, same frame rate", cpu["old"], cpu["720p rate"], -10),
        ratio_row(section, "its memory ÷ ours at the same size", rss["old"], rss["same"]),
        ratio_row(section, "its memory ÷ ours at 1280x720", rss["old"], rss["720p"], -20),
    ]


def workers(asked: argparse.Namespace, folder: Path) -> list[Row]:
    """How much faster two render workers are than one process, on the clock."""
    trace = made_trace(folder, asked.worker_tokens)
    n_cores = len(os.sched_getaffinity(0))
    section = f"--render_workers 2, {asked.worker_tokens} tokens, {n_cores} cores"
    rows = []
    for kind, name, reach in (
        ("png", "frames", -1.6),
        ("webp", "x.webp", -1.6),
        ("gif", "x.gif", None),
        ("mp4", "x.mp4", None),
    ):
        made = {count: video_of(trace, asked.size, render_workers=count) for count in (1, 2)}
        works: dict[str, Callable[[], object]] = {
            str(count): partial(write, video, folder / name, kind) for count, video in made.items()
        }
        seconds = interleaved(works, max(1, asked.rounds // 2), WallClock())  # type: ignore[arg-type]
        note = "" if n_cores > 1 else "needs two cores"
        rows.append(ratio_row(section, f"{kind}: one process ÷ two workers", seconds["1"], seconds["2"], reach, note))
    return rows


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"any of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    parser.add_argument("--tokens", default="256,512", help="lengths of the answer in the section cost")
    parser.add_argument("--size", default="1920x1080", help="width and height (default 1920x1080)")
    parser.add_argument("--growth_to", type=int, default=2048, help="length of the answer in the section growth")
    parser.add_argument("--memory_tokens", default="256,4096", help="a short and a long answer")
    parser.add_argument("--old_tokens", type=int, default=128, help="length of the answer in the section old")
    parser.add_argument("--worker_tokens", type=int, default=96, help="length of the answer in the section workers")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    asked = parser.parse_args(argv)
    asked.sections = asked.sections.split(",")
    asked.tokens = [int(number) for number in asked.tokens.split(",")]
    asked.memory_tokens = [int(number) for number in asked.memory_tokens.split(",")]
    asked.size = tuple(int(number) for number in asked.size.split("x"))
    unknown = set(asked.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return asked


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and report."""
    asked = parse(argv)
    known = {"cost": cost, "growth": growth, "memory": memory, "old": old, "workers": workers}
    rows: list[Row] = []
    for name in SECTIONS:
        if name in asked.sections:
            with TemporaryDirectory() as folder:
                rows += known[name](asked, Path(folder))
    setup = {name: value for name, value in vars(asked).items() if name != "results"}
    report("rendering", setup, rows, "cpu", asked.results)


if __name__ == "__main__":
    main()
