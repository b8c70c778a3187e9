"""What recording costs: generation with and without it, interleaved in one process, on a random Qwen2-VL-like model.

    OMP_NUM_THREADS=1 python benchmarks/recording_cost.py --prompt_tokens 1500 --new_tokens 64 --repeat 3

Prints one JSON object: median CPU seconds of plain generation, and each way of recording as a ratio to it. The model
has random weights (hidden size 512, 12 layers, 8 heads, 2 kv heads, about 40 million parameters): its shape matters.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.models.load import LoadedModel, load_model
from attnviz_video.models.prompt import prepare
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.tiny_checkpoints import TinyShape, build_qwen2_vl

LAYERS, HEADS = 12, 8


def large_model(folder: Path) -> LoadedModel:
    """The tiny checkpoint's tokenizer and processor around a wider random decoder."""
    build_qwen2_vl(folder, TinyShape(layers=LAYERS, heads=HEADS, kv_heads=2, hidden=512, max_pixels=28 * 28 * 1024))
    return load_model(ModelSettings(model_path=str(folder), device="cpu"))


def prompt_of(loaded: LoadedModel, n_tokens: int) -> Prepared:
    """An image of 900 patches and enough words for `n_tokens` positions in all."""
    image = Image.effect_noise((840, 840), 80).convert("RGB")
    sample = Sample(0, "benchmark", "word", (), None)
    longer = Sample(0, "benchmark", "word" + " word" * 100, (), None)
    short, long = (prepare(loaded, each, [image], "{problem}").n_prompt for each in (sample, longer))
    n_words = max(0, n_tokens - short) * 100 // (long - short)
    return prepare(loaded, Sample(0, "benchmark", "word" + " word" * n_words, (), None), [image], "{problem}")


def plans() -> dict[str, RecordingPlan]:
    """The ways of recording that are compared."""
    every, heads = tuple(range(LAYERS)), tuple(range(HEADS))
    return {
        "one layer, all heads": RecordingPlan((LAYERS - 1,), (LAYERS - 1,), heads, (LAYERS - 1,), (LAYERS - 1,)),
        "default: one layer's heads, mean and scalars of all": RecordingPlan((11,), (11,), heads, every, every),
        "all layers, all heads": RecordingPlan((11,), every, heads, every, every),
    }


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of this process while `work` runs; other programs on the machine do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompt_tokens", type=int, default=1500)
    parser.add_argument("--new_tokens", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    settings = CaptureSettings(max_new_tokens=arguments.new_tokens, start_phrase="")
    with TemporaryDirectory() as folder:
        loaded = large_model(Path(folder))
    prepared = prompt_of(loaded, arguments.prompt_tokens)
    tensors = {name: value for name, value in prepared.inputs.items() if isinstance(value, torch.Tensor)}

    def plain() -> object:
        return loaded.model.generate(**tensors, max_new_tokens=arguments.new_tokens, do_sample=False)

    def recorded(plan: RecordingPlan) -> Callable[[], object]:
        return lambda: generate(loaded, prepared, plan, settings, on_step=str)

    works = {"plain": plain, "plain again (noise)": plain} | {name: recorded(plan) for name, plan in plans().items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    plain()
    for _ in range(arguments.repeat):
        for name, work in works.items():
            seconds[name].append(cpu_seconds(work))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {name: round(value / medians["plain"], 3) for name, value in medians.items()}
    written = len(generate(loaded, prepared, plans()["one layer, all heads"], settings, on_step=str).token_ids)
    report = {"prompt_tokens": prepared.n_prompt, "new_tokens": written, "plain_cpu_s": round(medians["plain"], 2)}
    print(json.dumps(report | {"ratios": ratios}, indent=1))


if __name__ == "__main__":
    main()
