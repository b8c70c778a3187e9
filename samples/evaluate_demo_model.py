"""Measure the demo model on held-out scenes: answers by kind of question, and where its attention points.

    python samples/evaluate_demo_model.py --model_path samples/demo_model --output_dir results

Answers are greedy, with the product's default prompt; an answer is right if it equals the truth. Pointing is measured
on the text the model wrote, unfiltered: the row that produced a word's first token, mean over heads, strongest cell
over all image cells. Layers are chosen on the ``dev`` split and reported on ``test``. Writes table.json and table.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from demo_questions import (
    CHINESE_KINDS,
    PAIR_KINDS,
    SINGLE_KINDS,
    Question,
    ask_pair,
    ask_single,
    prompt_text,
    question_generator,
)
from demo_scenes import CELLS_PER_SIDE, Scene, render_scene, sample_pair, sample_scene
from demo_training.pointing import WORD_KINDS, Word, chance, find_words, points
from PIL import Image
from tqdm import tqdm
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

CELLS = CELLS_PER_SIDE**2


@dataclass(frozen=True)
class Case:
    """One held-out question with its scenes."""

    question: Question
    scenes: tuple[Scene, ...]


@dataclass
class Result:
    """What the model wrote for one case; per word and layer: did attention point, and how much went to images."""

    case: Case
    text: str
    right: bool
    exact: bool
    words: list[Word] = field(default_factory=list)
    hits: list[list[bool]] = field(default_factory=list)
    shares: list[list[float]] = field(default_factory=list)


def make_cases(split: str, kinds: Sequence[str], each: int, language: str = "en", first_seed: int = 0) -> list[Case]:
    """``each`` cases of every kind, one scene or pair per case."""
    cases, seed = [], first_seed
    for kind in kinds:
        found = 0
        while found < each:
            rng = question_generator(split, seed)
            question: Question | None
            if kind in PAIR_KINDS:
                pair = sample_pair(split, seed, "moved" if kind == "moved_to" else kind)
                question, scenes = ask_pair(pair, kind, rng, language), (pair.before, pair.after)
            else:
                scene = sample_scene(split, seed)
                question, scenes = ask_single(scene, kind, rng, language), (scene,)  # type: ignore[assignment]
            seed += 1
            if question is not None:
                cases.append(Case(question, scenes))
                found += 1
    return cases


def read_answer(text: str) -> str:
    """What stands between the answer tags."""
    match = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return match.group(1).strip() if match else ""


class Evaluator:
    """A checkpoint, loaded as any other Qwen2-VL, run on batches of cases."""

    def __init__(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.processor = AutoImageProcessor.from_pretrained(path)
        self.model = AutoModelForImageTextToText.from_pretrained(path, dtype=dtype, attn_implementation="eager")
        self.model.eval()
        self.layers = self.model.config.text_config.num_hidden_layers
        self.image_token = self.model.config.image_token_id

    def prompt_ids(self, case: Case) -> list[int]:
        """The rendered chat template, with one placeholder per image cell."""
        content: list[dict[str, str]] = [{"type": "image"} for _ in case.scenes]
        content.append({"type": "text", "text": prompt_text(case.question.problem)})
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = self.tokenizer(text.replace("<|image_pad|>", "<|image_pad|>" * CELLS))["input_ids"]
        return ids

    def inputs(self, rows: list[list[int]], cases: list[Case]) -> dict[str, torch.Tensor]:
        """Left-padded model inputs."""
        longest = max(map(len, rows))
        pad = self.tokenizer.pad_token_id
        ids = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
        pictures = [Image.fromarray(render_scene(scene)) for case in cases for scene in case.scenes]
        pixels = self.processor(images=pictures, return_tensors="pt")
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "mm_token_type_ids": (ids == self.image_token).int(),
            "pixel_values": pixels["pixel_values"].to(self.model.dtype),
            "image_grid_thw": pixels["image_grid_thw"],
        }

    @torch.no_grad()
    def run(self, cases: list[Case], pointing: bool = True) -> list[Result]:
        """Generate greedily; then, if asked, run the finished texts once more and read the attention rows."""
        prompts = [self.prompt_ids(case) for case in cases]
        inputs = self.inputs(prompts, cases)
        width = inputs["input_ids"].shape[1]
        output = self.model.generate(**inputs, max_new_tokens=140, do_sample=False)[:, width:].tolist()
        answers = []
        stop, pad = self.tokenizer.eos_token_id, self.tokenizer.pad_token_id
        for row in output:
            ends = [i for i, token in enumerate(row) if token in (stop, pad)]
            answers.append(row[: ends[0]] if ends else row)
        results = []
        for case, ids in zip(cases, answers, strict=True):
            text = self.tokenizer.decode(ids)
            right = read_answer(text) == case.question.answer
            results.append(Result(case, text, right, text.strip() == case.question.response()))
        if pointing:
            self.read_attention(results, prompts, answers)
        return results

    def read_attention(self, results: list[Result], prompts: list[list[int]], answers: list[list[int]]) -> None:
        """Fill in words, hits and shares from one forward pass over prompt and answer."""
        rows = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
        inputs = self.inputs(rows, [result.case for result in results])
        maps = self.model(**inputs, output_attentions=True, use_cache=False).attentions
        width = inputs["input_ids"].shape[1]
        for index, (result, prompt, row) in enumerate(zip(results, prompts, rows, strict=True)):
            shift = width - len(row)
            image_at = (inputs["input_ids"][index] == self.image_token).nonzero()[:, 0]
            result.words = find_words(self.tokenizer, answers[index], result.case.scenes)
            for word in result.words:
                query = shift + len(prompt) + word.token - 1
                looks = [layer[index, :, query].float().mean(0)[image_at].numpy() for layer in maps]
                result.hits.append([points(look, word) for look in looks])
                result.shares.append([float(look.sum()) for look in looks])

    def run_all(self, cases: list[Case], batch: int = 30, pointing: bool = True, title: str = "") -> list[Result]:
        """Run all cases in batches of similar length."""
        order = sorted(range(len(cases)), key=lambda i: len(cases[i].question.response()))
        results: dict[int, Result] = {}
        for start in tqdm(range(0, len(order), batch), desc=title, file=sys.stderr):
            part = order[start : start + batch]
            results.update(zip(part, self.run([cases[i] for i in part], pointing), strict=True))
        return [results[i] for i in range(len(cases))]


def answer_table(results: list[Result]) -> dict[str, dict[str, float]]:
    """Shares of right answers and of texts that equal the truth, by kind and overall."""
    kinds: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        kinds[result.case.question.kind].append(result)
    kinds["all"] = results
    return {
        kind: {
            "right": round(float(np.mean([r.right for r in rows])), 4),
            "exact_text": round(float(np.mean([r.exact for r in rows])), 4),
            "n": len(rows),
        }
        for kind, rows in kinds.items()
    }


def hit_rates(results: list[Result]) -> dict[str, list[float]]:
    """For every kind of word, the share of hits at each layer."""
    rates = {}
    for kind in WORD_KINDS:
        rows = [hit for r in results for word, hit in zip(r.words, r.hits, strict=True) if word.kind == kind]
        rates[kind] = [round(float(v), 4) for v in np.mean(rows, 0)] if rows else []
    return rates


def pointing_table(dev: list[Result], test: list[Result]) -> dict[str, object]:
    """Best layer per kind of word and best layer for all three, chosen on ``dev``, with the rates on ``test``."""
    chosen, measured = hit_rates(dev), hit_rates(test)
    boxes = [word.box for r in test for word in r.words if word.box is not None]
    table: dict[str, object] = {
        "n_words": {kind: sum(word.kind == kind for r in test for word in r.words) for kind in WORD_KINDS},
        "chance": round(float(np.mean([chance(box) for box in boxes])), 4),
        "dev_by_layer": chosen,
        "test_by_layer": measured,
    }
    for kind in WORD_KINDS:
        best = int(np.argmax(chosen[kind]))
        table[kind] = {"layer": best, "dev": chosen[kind][best], "test": measured[kind][best]}
    joint = int(np.argmax(np.min([chosen[kind] for kind in WORD_KINDS], 0)))
    table["one_layer"] = {"layer": joint, **{kind: measured[kind][joint] for kind in WORD_KINDS}}
    shares = [share[joint] for r in test for share in r.shares]
    table["one_layer_image_share"] = round(float(np.mean(shares)), 4)
    return table


def evaluate(path: Path, each: int, dev_each: int, first_seed: int) -> dict[str, object]:
    """The whole table of one checkpoint; test scenes start from `first_seed`."""
    evaluator = Evaluator(path)
    report: dict[str, object] = {"layers": evaluator.layers}
    for name, kinds, language in (
        ("single", SINGLE_KINDS, "en"),
        ("pairs", PAIR_KINDS, "en"),
        ("chinese", CHINESE_KINDS, "zh"),
    ):
        share = 3 if language == "zh" else 1
        test = evaluator.run_all(
            make_cases("test", kinds, max(1, each // share), language, first_seed), title=f"{name} test"
        )
        dev = evaluator.run_all(make_cases("dev", kinds, max(1, dev_each // share), language), title=f"{name} dev")
        report[name] = {"answers": answer_table(test), "dev_answers": answer_table(dev)["all"]}
        report[name]["pointing"] = pointing_table(dev, test)  # type: ignore[index]
    return report


def to_markdown(report: dict[str, object]) -> str:
    """The report as tables for the model card."""
    lines = ["| questions | kind | right | exact text | n |", "|---|---|---|---|---|"]
    for name in ("single", "pairs", "chinese"):
        for kind, row in report[name]["answers"].items():  # type: ignore[index]
            lines.append(f"| {name} | {kind} | {row['right']:.3f} | {row['exact_text']:.3f} | {row['n']} |")
    lines += ["", "| questions | word | layer (chosen on dev) | in box, test | n words |", "|---|---|---|---|---|"]
    for name in ("single", "pairs", "chinese"):
        table = report[name]["pointing"]  # type: ignore[index]
        for kind in WORD_KINDS:
            best = table[kind]
            lines.append(f"| {name} | {kind} | {best['layer']} | {best['test']:.3f} | {table['n_words'][kind]} |")
        one = table["one_layer"]
        rates = ", ".join(f"{kind} {one[kind]:.3f}" for kind in WORD_KINDS)
        lines.append(f"| {name} | all three | {one['layer']} | {rates} | chance {table['chance']:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Parse the command line, measure, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model_path", type=Path, default=Path(__file__).parent / "demo_model")
    parser.add_argument("--output_dir", type=Path, required=True, help="where table.json and table.md go")
    parser.add_argument("--each", type=int, default=60, help="test cases per kind of question (default 60)")
    parser.add_argument("--dev_each", type=int, default=30, help="dev cases per kind, for choosing layers (default 30)")
    parser.add_argument("--first_seed", type=int, default=500_000, help="first test scene (default 500000)")
    args = parser.parse_args()
    report = evaluate(args.model_path, args.each, args.dev_each, args.first_seed)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "table.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (args.output_dir / "table.md").write_text(to_markdown(report), encoding="utf-8")
    print(to_markdown(report))


if __name__ == "__main__":
    main()
