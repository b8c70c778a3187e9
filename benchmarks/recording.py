"""What recording costs, beside plain generation in the same process, on a random model with Qwen2-VL's architecture.

    OMP_NUM_THREADS=1 python benchmarks/recording.py
    OMP_NUM_THREADS=1 python benchmarks/recording.py --sections cost,replay --rounds 3
    python benchmarks/recording.py --device cuda --size 7b --prompt_tokens 2048 --new_tokens 512

Prints a table and writes it as JSON into benchmarks/results. On a CPU seconds are CPU seconds of one thread; ratios are
those of medians of interleaved rounds, with the smallest and the largest ratio of a round in brackets. The model is
random (mid: hidden size 512, 12 layers, 8 heads, 2 key-value heads, 46 million parameters): its shape matters. The
larger the model, the smaller the part that recording takes.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from measuring import RESULTS, Clock, Row, interleaved, ratio_row, report, slope
from recording_memory import memory_rows
from recording_model import SIZES, prompt_of, random_model

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.stepper import Stepper
from attnviz_video.core.prepared import Prepared
from attnviz_video.models.device import on_device
from attnviz_video.models.load import LoadedModel

SECTIONS = ("cost", "old", "memory", "replay", "batch", "slope")


class Bench:
    """One model with one prompt, and the ways it is run."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.size, self.device = SIZES[arguments.size], arguments.device
        self.dtype = torch.float32 if self.device == "cpu" else torch.bfloat16
        self.rounds, self.clock = arguments.rounds, Clock(self.device)
        self.on_gpu = self.device != "cpu"
        self.loaded: LoadedModel = random_model(self.size, self.device, self.dtype)
        self.prepared = prompt_of(self.loaded, arguments.prompt_tokens)
        self.lengths: list[int] = arguments.new_tokens
        last = self.size.layers - 1
        every, heads = tuple(range(self.size.layers)), tuple(range(self.size.heads))
        #: The ways of recording that are compared.
        self.one = RecordingPlan((last,), (last,), heads, (last,), (last,))
        self.default = RecordingPlan((last,), (last,), heads, every, every)
        self.means = RecordingPlan((last,), (), heads, every, ())
        self.all = RecordingPlan((last,), every, heads, every, every)
        middle = self.size.layers // 2
        self.middle = RecordingPlan((middle,), (middle,), heads, (middle,), (middle,))

    def plain(self, n_new: int, **more: Any) -> Any:
        """The library's own generation."""
        inputs = on_device(self.prepared.inputs, self.loaded.device)
        return self.loaded.model.generate(**inputs, max_new_tokens=n_new, do_sample=False, **more)

    def recorded(self, plan: RecordingPlan, n_new: int, **more: Any) -> Any:
        """The same generation, recorded; the steps are thrown away."""
        settings = CaptureSettings(max_new_tokens=n_new, start_phrase="")
        return generate(self.loaded, self.prepared, plan, settings, on_step=forget, **more)


class Inside:
    """CPU seconds that pass in recording code, within one run: what other programs do to the machine cancels out.

    It counts what the callbacks do (rows, candidates, steps handed over), not the few microseconds of calling them.
    """

    PLACES = ((AttentionRecorder, "watch"), (Stepper, "__call__"), (Stepper, "on_forward"), (Stepper, "hand_over"))

    def __init__(self) -> None:
        self.seconds = 0.0
        self._deep = False

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count in this block."""
        own = [getattr(kind, name) for kind, name in self.PLACES]
        for (kind, name), method in zip(self.PLACES, own, strict=True):
            setattr(kind, name, self._timed(method))
        try:
            yield
        finally:
            for (kind, name), method in zip(self.PLACES, own, strict=True):
                setattr(kind, name, method)

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*some: Any, **named: Any) -> Any:
            if self._deep:
                return method(*some, **named)
            self._deep, start = True, time.thread_time()
            try:
                return method(*some, **named)
            finally:
                self.seconds += time.thread_time() - start
                self._deep = False

        return run


def forget(*_: object) -> None:
    """Take a step and let go of it."""


def cost(bench: Bench) -> list[Row]:
    """Time of recording as a ratio to plain generation, for each length of the answer."""
    rows: list[Row] = []
    for number, n_new in enumerate(bench.lengths):
        first = number == 0
        section = f"time, {bench.prepared.n_prompt} prompt tokens, {n_new} new tokens"
        works: dict[str, Callable[[], object]] = {
            "plain": lambda n=n_new: bench.plain(n),
            "plain again": lambda n=n_new: bench.plain(n),
            "one": lambda n=n_new: bench.recorded(bench.one, n),
            "default": lambda n=n_new: bench.recorded(bench.default, n),
            "means": lambda n=n_new: bench.recorded(bench.means, n),
        }
        if first:
            works["all"] = lambda n=n_new: bench.recorded(bench.all, n)
        seconds = interleaved(works, bench.rounds, bench.clock)
        plain = seconds["plain"]
        every = 1.05 if bench.on_gpu else 1.10 if first else 1.15
        rows.append(Row(section, "plain generation", round(statistics.median(plain), 3), min(plain), max(plain), "s"))
        rows.append(ratio_row(section, "plain generation again (noise)", seconds["plain again"], plain))
        reach_one = 1.01 if bench.on_gpu else 1.05
        rows.append(ratio_row(section, "one layer, all heads", seconds["one"], plain, reach_one, "stretch 1.02"))
        default = "default: one layer's heads, means and scalars of all"
        rows.append(ratio_row(section, default, seconds["default"], plain, 1.10, "stretch 1.05"))
        rows.append(ratio_row(section, "all layers, head mean", seconds["means"], plain, every))
        if first:
            rows.append(ratio_row(section, "all layers, all heads, means and scalars", seconds["all"], plain))
        if not bench.on_gpu:
            rows += [
                inside_row(bench, section, *way, n_new) for way in (("one layer", bench.one), (default, bench.default))
            ]
    return rows


def inside_row(bench: Bench, section: str, name: str, plan: RecordingPlan, n_new: int) -> Row:
    """Recording code against the rest of the same run: a second opinion on the ratio, less noisy."""
    found = []
    for _ in range(max(1, bench.rounds // 2)):
        inside = Inside()
        with inside.counting():
            whole = bench.clock.seconds(lambda: bench.recorded(plan, n_new))
        found.append(whole / (whole - inside.seconds))
    measure = f"  within one run: {name}"
    return Row(section, measure, round(statistics.median(found), 4), round(min(found), 4), round(max(found), 4))


def old(bench: Bench) -> list[Row]:
    """The way attention is usually had: eager, with the weights of all layers and queries kept until the end."""
    n_new, model = bench.lengths[0], bench.loaded.model

    def eager() -> None:
        model.set_attn_implementation({"text_config": "eager"})
        try:
            bench.plain(n_new, output_attentions=True, return_dict_in_generate=True)
        finally:
            model.set_attn_implementation({"text_config": "sdpa"})

    section = f"the old way, {n_new} new tokens"
    measure = "eager with output_attentions"
    try:
        seconds = interleaved(
            {"plain": lambda: bench.plain(n_new), "eager": eager}, max(1, bench.rounds // 2), bench.clock
        )
    except torch.OutOfMemoryError:
        return [Row(section, measure, None, note="out of memory")]
    return [ratio_row(section, measure, seconds["eager"], seconds["plain"])]


def replay_rows(bench: Bench) -> list[Row]:
    """How much faster a finished answer is replayed than generated and recorded, and what the model itself takes."""
    from attnviz_video.capture.replay import replay
    from attnviz_video.models.teacher_forcing import with_answer

    n_new, rows = max(bench.lengths), []
    settings = CaptureSettings(max_new_tokens=n_new, start_phrase="", replay_depth="shown")
    ids = bench.recorded(bench.one, n_new).token_ids
    model, model_type = bench.loaded.model, str(bench.loaded.model.config.model_type)
    inputs = on_device(with_answer(bench.prepared.inputs, ids[:-1], model_type), bench.loaded.device)
    section = f"replay of {len(ids)} tokens"
    for name, plan, reach in (("last layer", bench.one, 8), ("middle layer", bench.middle, 14)):
        works: dict[str, Callable[[], object]] = {
            "replay": lambda plan=plan: replay(bench.loaded, bench.prepared, plan, settings, ids, on_step=forget),
            "generate": lambda plan=plan: bench.recorded(plan, n_new),
            "plain": lambda: bench.plain(n_new),
            "forward": lambda: model.model(**inputs, use_cache=False),
        }
        seconds = interleaved(works, max(1, bench.rounds // 2), bench.clock)
        measure = f"generating with recording / replay, {name}"
        rows.append(ratio_row(section, measure, seconds["generate"], seconds["replay"], -reach))
        if plan is bench.one:
            # Below the model's own pass no replay can get: it reads prompt and answer once, and nothing else.
            measure = "  plain generation / the model's own pass over prompt and answer"
            rows.append(ratio_row(section, measure, seconds["plain"], seconds["forward"]))
        measure = f"  replay / the model's own pass through all layers, {name}"
        rows.append(ratio_row(section, measure, seconds["replay"], seconds["forward"]))
    return rows


def batch(bench: Bench) -> list[Row]:
    """Throughput of four samples at once against one after the other, recorded and plain."""
    from attnviz_video.capture.batch import generate_batch
    from attnviz_video.models.collation import collate

    whole, rows = bench.prepared.n_prompt, []
    model, device = bench.loaded.model, bench.loaded.device

    # Prompts of nearly one length, as the items of a dataset; and of very different length, which padding makes slow.
    settings_of = [(parts, n_new) for n_new in bench.lengths for parts in [(88, 92, 96, 100)]]
    settings_of.append(((32, 38, 45, 52), min(64, bench.lengths[0])))
    for parts, n_new in settings_of:
        samples: list[Prepared] = [prompt_of(bench.loaded, whole * part // 100) for part in parts]
        settings = CaptureSettings(max_new_tokens=n_new, start_phrase="")
        together = on_device(collate([sample.inputs for sample in samples], model.config), device)
        reach = -1.3 if parts[-1] == 100 else None
        tokens = ", ".join(str(sample.n_prompt) for sample in samples)
        section = f"batch of 4: throughput against four singles, {tokens} prompt tokens, {n_new} new tokens"

        def plain(samples: Sequence[Prepared] = samples, n_new: int = n_new) -> None:
            for sample in samples:
                model.generate(**on_device(sample.inputs, device), max_new_tokens=n_new, do_sample=False)

        def singles(
            plan: RecordingPlan, samples: Sequence[Prepared] = samples, settings: CaptureSettings = settings
        ) -> None:
            for sample in samples:
                generate(bench.loaded, sample, plan, settings, on_step=forget)

        works: dict[str, Callable[[], object]] = {
            "plain batch": lambda inputs=together, n=n_new: model.generate(**inputs, max_new_tokens=n, do_sample=False),
            "plain singles": plain,
        }
        for name, plan in (("one layer", bench.one), ("default", bench.default)):
            works[f"{name} batch"] = lambda plan=plan, some=samples, how=settings: generate_batch(
                bench.loaded, some, plan, how, on_step=forget
            )
            works[f"{name} singles"] = lambda plan=plan, run=singles: run(plan)
        seconds = interleaved(works, max(1, bench.rounds // 2), bench.clock)
        for name in ("plain", "one layer", "default"):
            measure = "plain generation" if name == "plain" else f"recorded: {name}"
            asked = None if name == "plain" else reach
            rows.append(ratio_row(section, measure, seconds[f"{name} singles"], seconds[f"{name} batch"], asked))
    return rows


def growth(bench: Bench, n_new: int, first: int = 64) -> list[Row]:
    """How the cost of a step grows with the answer, without recording and with it."""

    def times(run: Callable[[Callable[..., Any]], object]) -> list[float]:
        """Milliseconds of every step."""
        seen = [bench.clock.now()]

        def note(*_: object, **__: object) -> Any:
            seen.append(bench.clock.now())
            return torch.zeros(1, dtype=torch.bool, device=bench.loaded.device)

        run(note)
        return [(later - before) * 1000 for before, later in zip(seen, seen[1:], strict=False)]

    def asked(note: Callable[..., Any]) -> Callable[[], bool]:
        return lambda: bool(note())

    ways: dict[str, Callable[[Callable[..., Any]], object]] = {
        "plain": lambda note: bench.plain(n_new, stopping_criteria=[note]),
        "one layer": lambda note: bench.recorded(bench.one, n_new, should_stop=asked(note)),
        "default": lambda note: bench.recorded(bench.default, n_new, should_stop=asked(note)),
    }
    found: dict[str, list[list[float]]] = {name: [] for name in ways}
    rounds = max(1, bench.rounds // 3)
    for _ in range(rounds):
        for name, way in ways.items():
            found[name].append(times(way))
    if not bench.on_gpu:
        for name, plan in (("one layer", bench.one), ("default", bench.default)):
            found[f"{name}, recording code alone"] = [inside_steps(bench, plan, n_new) for _ in range(rounds)]
    section = f"cost of a step while the answer grows from {first} to {n_new} tokens"
    rows = []
    for name, runs in found.items():
        # The median over the rounds of each step; the rows of 16 steps are computed at one of them.
        whole = [statistics.median(step) for step in zip(*runs, strict=True)][first:]
        steps = [statistics.fmean(whole[start : start + 16]) for start in range(0, len(whole) - 15, 16)]
        growing, error = (value / 16 for value in slope(steps))
        low, high = growing - 2 * error, growing + 2 * error
        note = f"{statistics.fmean(whole):.2f} ms a step; brackets: two standard errors"
        rows.append(Row(section, f"{name}: growth", round(growing, 3), low, high, "ms/1000 tokens", note=note))
    return rows


def inside_steps(bench: Bench, plan: RecordingPlan, n_new: int) -> list[float]:
    """Milliseconds of recording code at every step."""
    inside = Inside()
    seen: list[float] = []
    with inside.counting():
        bench.recorded(plan, n_new, should_stop=lambda: bool(seen.append(inside.seconds)))
    seen.append(inside.seconds)
    return [(later - before) * 1000 for before, later in zip(seen, seen[1:], strict=False)]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", default=",".join(SECTIONS), help=f"any of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds (default 7)")
    parser.add_argument("--size", choices=SIZES, default="mid")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 …")
    parser.add_argument("--prompt_tokens", type=int, default=1500)
    parser.add_argument("--new_tokens", default="128,512", help="lengths of the answer (default 128,512)")
    parser.add_argument("--growth_to", type=int, default=2048, help="length of the answer in the section slope")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON file")
    arguments = parser.parse_args(argv)
    arguments.sections = arguments.sections.split(",")
    arguments.new_tokens = [int(number) for number in arguments.new_tokens.split(",")]
    unknown = set(arguments.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return arguments


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    arguments = parse(argv)
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    bench = Bench(arguments)
    parts: dict[str, Callable[[], list[Row]]] = {
        "cost": lambda: cost(bench),
        "old": lambda: old(bench),
        "memory": lambda: memory_rows(arguments.size, arguments.device, bench.prepared.n_prompt, bench.lengths),
        "replay": lambda: replay_rows(bench),
        "batch": lambda: batch(bench),
        "slope": lambda: growth(bench, arguments.growth_to, min(64, arguments.growth_to // 4)),
    }
    rows = [row for name, part in parts.items() if name in arguments.sections for row in part()]
    n_parameters = sum(weight.numel() for weight in bench.loaded.model.parameters())
    setup = {
        "size": arguments.size, "parameters": n_parameters, "device": arguments.device, "rounds": arguments.rounds,
        "dtype": str(bench.dtype).removeprefix("torch."), "prompt_tokens": bench.prepared.n_prompt,
        "new_tokens": bench.lengths,
    }  # fmt: skip
    report("recording", setup, rows, arguments.device, arguments.results)


if __name__ == "__main__":
    main()
