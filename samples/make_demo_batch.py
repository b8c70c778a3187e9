"""Write samples/demo_batch.json: the demo questions in one file, every second with an answer written before.

    python samples/make_demo_batch.py

Such a file is what a batch run meets in practice: a dataset (answers are generated) and an evaluation's output (the
stored ``pred`` is replayed). The stored answers are the demo model's own, greedy, without special tokens, as vLLM
would have written them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from attnviz_video.models.load import LoadedModel, load_model
from attnviz_video.models.prompt import prepare
from attnviz_video.models.settings import ModelSettings
from attnviz_video.sources.dataset import load_samples
from attnviz_video.sources.images import open_image

SAMPLES = Path(__file__).resolve().parent
FILES = ("demo.json", "demo_pairs.json")
#: More than the longest thought.
MOST_TOKENS = 320


def stored_answers(loaded: LoadedModel, name: str) -> dict[str, str]:
    """What the model writes to every second question of one file, by id."""
    found = {}
    for sample in tqdm(load_samples(SAMPLES / name, SAMPLES / "images")[::2], desc=name, unit="question"):
        prepared = prepare(loaded, sample, [open_image(path) for path in sample.image_paths], "{problem}")
        with torch.no_grad():
            written = loaded.model.generate(**prepared.inputs, max_new_tokens=MOST_TOKENS, do_sample=False)
        answer = written[0, prepared.n_model_prompt :]
        found[sample.id] = loaded.tokenizer.decode(answer, skip_special_tokens=True)
    return found


def main() -> None:
    """Ask, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", type=Path, default=SAMPLES / "demo_model")
    parser.add_argument("--output", type=Path, default=SAMPLES / "demo_batch.json")
    arguments = parser.parse_args()
    loaded = load_model(ModelSettings(model_path=str(arguments.model_path), device="cpu"))
    items: list[dict[str, Any]] = []
    for name in FILES:
        answers = stored_answers(loaded, name)
        for item in json.loads((SAMPLES / name).read_text(encoding="utf-8")):
            items.append(item | ({"pred": answers[item["id"]]} if item["id"] in answers else {}))
    lines = ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)
    arguments.output.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    print(arguments.output)


if __name__ == "__main__":
    main()
