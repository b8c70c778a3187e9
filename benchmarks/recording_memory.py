"""Memory that a run takes beside the model; on a CPU each way in a process of its own, on a GPU by its own count."""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from measuring import Row
from PIL import Image
from recording_model import SIZES, prompt_of, random_model

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.models.device import on_device
from attnviz_video.models.load import LoadedModel
from attnviz_video.recording import trace_header
from attnviz_video.sources.images import png_bytes
from attnviz_video.tracefile.write import TraceWriter

WAYS = ("plain", "default", "old")


def memory_rows(size: str, device: str, n_prompt: int, lengths: Sequence[int]) -> list[Row]:
    """Peak memory beside the model: plain generation, the default recording written to a trace, and the old way."""
    section = f"peak memory beside the model, {n_prompt} prompt tokens"
    found = {
        (way, n_new): measured(way, size, device, n_prompt, n_new)
        for n_new in lengths
        for way in WAYS
        if way != "old" or n_new == lengths[0]
    }
    names = {"plain": "plain", "default": "default recording and its trace", "old": "eager with output_attentions"}
    rows = []
    for (way, n_new), value in found.items():
        plain = found["plain", n_new]
        note = "out of memory" if value is None else ""
        if value is not None and plain is not None and way != "plain":
            note = f"{value - plain:+.0f} MB beside plain"
        rows.append(Row(section, f"{names[way]}, {n_new} new tokens", value, unit="MB", note=note))
    return rows


def measured(way: str, size: str, device: str, n_prompt: int, n_new: int) -> float | None:
    """Peak megabytes of one way, in a fresh process; None where it ran out of memory."""
    command = [sys.executable, __file__, way, size, device, str(n_prompt), str(n_new)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if run.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{run.stderr}")
    value: float | None = json.loads(run.stdout.splitlines()[-1])
    return value


class Peak:
    """The largest amount of memory taken since it was made."""

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")
        gc.collect()
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the kernel's peak starts anew
            self._before = self._resident("VmRSS")

    def megabytes(self) -> float:
        """Peak since then, beside what was there before."""
        now = torch.cuda.max_memory_allocated() if self._cuda else self._resident("VmHWM")
        return round((now - self._before) / 1e6, 1)

    @staticmethod
    def _resident(name: str) -> int:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        raise SystemExit("this system does not tell how much memory a process takes")


def run_plain(loaded: LoadedModel, prepared: Prepared, n_new: int) -> None:
    """Generation without recording."""
    loaded.model.generate(**on_device(prepared.inputs, loaded.device), max_new_tokens=n_new, do_sample=False)


def run_default(loaded: LoadedModel, prepared: Prepared, n_new: int) -> None:
    """The default recording, written to disk."""
    identity = loaded.identity()
    every, last = tuple(range(identity.n_layers)), identity.n_layers - 1
    plan = RecordingPlan((last,), (last,), tuple(range(identity.n_heads)), every, every)
    sample = Sample(0, "benchmark", "word", (), None)
    picture = png_bytes(Image.new("RGB", (4, 4)))
    settings = CaptureSettings(max_new_tokens=n_new, start_phrase="")
    with TemporaryDirectory() as folder:
        header = trace_header(sample, prepared, loaded, plan)
        with TraceWriter.create(Path(folder) / "trace", header, prepared.layout, prepared.tokens, [picture]) as writer:
            generate(loaded, prepared, plan, settings, on_step=writer.add)


def run_old(loaded: LoadedModel, prepared: Prepared, n_new: int) -> None:
    """Eager attention whose weights are all kept until the end."""
    loaded.model.set_attn_implementation({"text_config": "eager"})
    loaded.model.generate(
        **on_device(prepared.inputs, loaded.device), max_new_tokens=n_new, do_sample=False, output_attentions=True,
        return_dict_in_generate=True,
    )  # fmt: skip


def main() -> None:
    """Measure one way and print its peak in megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("device")
    parser.add_argument("n_prompt", type=int)
    parser.add_argument("n_new", type=int)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    dtype = torch.float32 if asked.device == "cpu" else torch.bfloat16
    loaded = random_model(SIZES[asked.size], asked.device, dtype)
    prepared = prompt_of(loaded, asked.n_prompt)
    ways: dict[str, Callable[[LoadedModel, Prepared, int], None]] = {
        "plain": run_plain, "default": run_default, "old": run_old,
    }  # fmt: skip
    # Everything that is loaded once is loaded before: code, kernels, the tokenizer's tables.
    run_plain(loaded, prompt_of(loaded, 100), 2)
    run_default(loaded, prompt_of(loaded, 100), 2)
    peak = Peak(asked.device)
    try:
        ways[asked.way](loaded, prepared, asked.n_new)
    except torch.OutOfMemoryError:
        print("null")
        return
    print(peak.megabytes())


if __name__ == "__main__":
    main()
