"""Training batches: scenes, their pictures, and several questions per scene packed behind one image prefix.

Slots have two fixed lengths, so every batch has the same shape and nothing is recompiled: short ones for questions
about one or two objects, long ones for questions that walk over the scene.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from demo_questions import (
    CHINESE_KINDS,
    INSTRUCTION,
    LONG_KINDS,
    OTHER_INSTRUCTIONS,
    Question,
    ask_pair,
    ask_single,
    prompt_text,
)
from demo_scenes import (
    CELLS_PER_SIDE,
    COLOR_NAMES,
    SHAPES,
    CellLabels,
    cell_labels,
    random_generator,
    render_scene,
    sample_pair,
    sample_scene,
)
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from demo_training.forward import CELLS, Group

LONG, SHORT = 112, 76
SINGLE_KINDS_ORDER = (
    "count_color",
    "count_shape",
    "total",
    "describe",
    "what_at",
    "where",
    "color_of",
    "shape_of",
    "relation",
)


@dataclass(frozen=True)
class Mix:
    """From which step on each kind of question is asked how often; long and short kinds are drawn separately."""

    first_step: int
    single: tuple[float, ...]
    pair: dict[str, float]
    chinese: float


# Colours, shapes and raster order are learned first; then most questions ask for finding a place by shape, or by colour
# and shape together; then for shape alone. From POLISH_BATCH on (a stage of its own, as growth is) weight is on what
# was still weak: when to stop listing, relations, changed colours, Chinese.
SHAPE_STEP, POLISH_BATCH, GROWTH_BATCH = 2100, 50_000, 100_000
CURRICULUM = (
    Mix(
        0,
        (0.26, 0.32, 0.16, 0.26, 0.18, 0.22, 0.2, 0.16, 0.24),
        {"moved": 0.5, "recolored": 0.25, "removed": 0.25},
        0.12,
    ),
    Mix(
        750,
        (0.2, 0.45, 0.1, 0.25, 0.06, 0.3, 0.28, 0.1, 0.26),
        {"moved": 0.7, "recolored": 0.15, "removed": 0.15},
        0.12,
    ),
    Mix(
        SHAPE_STEP,
        (0.1, 0.7, 0.05, 0.15, 0.05, 0.2, 0.45, 0.1, 0.2),
        {"moved": 0.7, "recolored": 0.15, "removed": 0.15},
        0.12,
    ),
    Mix(
        POLISH_BATCH,
        (0.42, 0.4, 0.06, 0.12, 0.08, 0.27, 0.2, 0.1, 0.35),
        {"moved": 0.4, "recolored": 0.45, "removed": 0.15},
        0.16,
    ),
)
DEFAULT_INSTRUCTION_SHARE = 0.7
OBJECT_WORD_WEIGHT = 2.0
STOP_WEIGHT = 3.0


@dataclass
class Batch:
    """One group of equal shape. ``targets`` and ``weights`` follow the slot tokens; -100 marks what is not learned."""

    group: Group
    ids: Tensor
    positions: Tensor
    images: Tensor
    image_at: Tensor
    targets: Tensor
    weights: Tensor
    cells: Tensor


class BatchMaker:
    """Makes the batches of one process; everything follows from the step, the rank and the number of ranks."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, rank: int = 0, ranks: int = 1, split: str = "train") -> None:
        self.tokenizer = tokenizer
        self.rank, self.ranks, self.split = rank, ranks, split
        self.cached: dict[str, list[int]] = {}
        self.image_token = int(tokenizer.convert_tokens_to_ids("<|image_pad|>"))
        self.pad = int(tokenizer.convert_tokens_to_ids("<|endoftext|>"))
        self.turn = self.encode("<|im_end|>\n<|im_start|>assistant\n")
        self.stop = self.encode("<|im_end|>")
        words = [*COLOR_NAMES, *SHAPES, "top", "middle", "bottom", "left", "center", "right", "nothing"]
        self.stop_words = {self.encode(text)[0] for text in (" At", " </", "</")}
        self.object_words = {self.encode(f" {word}")[0] for word in words}

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, remembered because prompts repeat."""
        if text not in self.cached:
            if len(self.cached) > 200_000:
                self.cached.clear()
            self.cached[text] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return self.cached[text]

    def prefix(self, images: int) -> tuple[list[int], list[int], np.ndarray]:
        """Ids, positions of image tokens, and three-axis positions of the shared beginning of a prompt."""
        head = self.encode("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n")
        opened, closed = self.encode("<|vision_start|>"), self.encode("<|vision_end|>")
        ids, image_at, places = list(head), [], [(i, i, i) for i in range(len(head))]
        at = len(head)
        for _ in range(images):
            ids += opened
            places.append((at, at, at))
            image_at += range(len(ids), len(ids) + CELLS)
            ids += [self.image_token] * CELLS
            places += [(at + 1, at + 1 + r, at + 1 + c) for r in range(CELLS_PER_SIDE) for c in range(CELLS_PER_SIDE)]
            at += 1 + CELLS_PER_SIDE
            ids += closed
            places.append((at, at, at))
            at += 1
        return ids, image_at, np.array(places, np.int64)

    def row(self, rng: np.random.Generator, question: Question, length: int) -> tuple[list[int], list[int]]:
        """Ids and targets of one question, padded. A prompt variant that does not fit gives way to the default."""
        instruction = INSTRUCTION
        if rng.random() > DEFAULT_INSTRUCTION_SHARE:
            instruction = OTHER_INSTRUCTIONS[int(rng.integers(len(OTHER_INSTRUCTIONS)))]
        answer = self.encode(question.response()) + self.stop
        prompt = self.encode(prompt_text(question.problem, instruction)) + self.turn
        if len(prompt) + len(answer) > length:
            prompt = self.encode(prompt_text(question.problem)) + self.turn
        ids = prompt + answer
        if len(ids) > length:
            return [self.pad] * length, [-100] * length
        targets = [-100] * (len(prompt) - 1) + answer + [-100]
        return ids + [self.pad] * (length - len(ids)), targets + [-100] * (length - len(ids))

    def singles(self, step: int, scenes: int, long: int = 2, short: int = 3) -> Batch:
        """``scenes`` one-image scenes with ``long`` and ``short`` questions each."""
        images, cells, rows = [], [], []
        mix = self.mix(step)
        for index in range(scenes):
            seed = (step * self.ranks + self.rank) * scenes + index
            rng = random_generator(self.split, seed, stream=4)
            scene = sample_scene(self.split, seed)
            images.append(render_scene(scene))
            cells.append(stack_labels(cell_labels(scene)))
            for number, length, wanted in ((long, LONG, True), (short, SHORT, False)):
                chosen = [i for i, kind in enumerate(SINGLE_KINDS_ORDER) if (kind in LONG_KINDS) == wanted]
                kinds = [SINGLE_KINDS_ORDER[i] for i in chosen]
                shares = np.array([mix.single[i] for i in chosen])
                for kind in rng.choice(kinds, number, replace=False, p=shares / shares.sum()):
                    question = ask_single(scene, str(kind), rng, self.language(rng, mix, str(kind)))
                    rows.append((length, self.row(rng, question, length) if question else self.blank(length)))
        return self.pack(images, cells, rows, 1, ((long, LONG), (short, SHORT)))

    def pairs(self, step: int, scenes: int) -> Batch:
        """``scenes`` two-image scenes with one long question each, and for moves also a short one."""
        images, cells, rows = [], [], []
        mix = self.mix(step)
        for index in range(scenes):
            seed = (step * self.ranks + self.rank) * scenes + index
            rng = random_generator(self.split, seed, stream=5)
            change = str(rng.choice(list(mix.pair), p=list(mix.pair.values())))
            pair = sample_pair(self.split, seed, change)
            for scene in (pair.before, pair.after):
                images.append(render_scene(scene))
                cells.append(stack_labels(cell_labels(scene)))
            question = ask_pair(pair, change, rng, self.language(rng, mix, change))
            rows.append((LONG, self.row(rng, question, LONG)))
            short = self.blank(SHORT)
            if change == "moved":
                language = self.language(rng, mix, "moved_to")
                short = self.row(rng, ask_pair(pair, "moved_to", rng, language), SHORT)
            rows.append((SHORT, short))
        return self.pack(images, cells, rows, 2, ((1, LONG), (1, SHORT)))

    def mix(self, step: int) -> Mix:
        """The part of the curriculum that a step belongs to."""
        return [mix for mix in CURRICULUM if mix.first_step <= step][-1]

    def language(self, rng: np.random.Generator, mix: Mix, kind: str) -> str:
        """Chinese for a small share of the kinds that have a Chinese wording."""
        return "zh" if rng.random() < mix.chinese and kind in CHINESE_KINDS else "en"

    def blank(self, length: int) -> tuple[list[int], list[int]]:
        """A row that teaches nothing."""
        return [self.pad] * length, [-100] * length

    def pack(
        self,
        images: list[np.ndarray],
        cells: list[np.ndarray],
        rows: list[tuple[int, tuple[list[int], list[int]]]],
        images_each: int,
        slots: tuple[tuple[int, int], ...],
    ) -> Batch:
        """Lay prefixes and rows out as flat tokens: all prefixes, then all rows of each slot length."""
        scenes = len(images) // images_each
        prefix, image_at, places = self.prefix(images_each)
        group = Group(scenes, len(prefix), slots)
        ids, targets = list(prefix) * scenes, []
        positions = [np.tile(places, (scenes, 1))]
        start = int(places.max()) + 1
        for number, length in slots:
            for row_length, (row_ids, row_targets) in rows:
                if row_length == length:
                    ids += row_ids
                    targets += row_targets
            line = np.arange(start, start + length)[:, None].repeat(3, 1)
            positions.append(np.tile(line, (scenes * number, 1)))
        flat_targets = torch.tensor(targets)
        heavy = torch.isin(flat_targets, torch.tensor(sorted(self.object_words)))
        stops = torch.isin(flat_targets, torch.tensor(sorted(self.stop_words)))
        offsets = np.arange(scenes)[:, None] * len(prefix) + np.array(image_at)[None]
        return Batch(
            group,
            torch.tensor(ids),
            torch.from_numpy(np.concatenate(positions)),
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(offsets.reshape(-1)),
            flat_targets,
            torch.where(heavy, OBJECT_WORD_WEIGHT, torch.where(stops, STOP_WEIGHT, 1.0)),
            torch.from_numpy(np.stack(cells)),
        )


def stack_labels(labels: CellLabels) -> np.ndarray:
    """The four labels of each cell as ``(64, 4)``: colour, shape, row, column."""
    return np.stack([labels.color, labels.shape, labels.row, labels.col], -1).reshape(CELLS, 4)


def picture_batch(split: str, first_seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Pictures and their cell labels for vision pretraining."""
    scenes = [sample_scene(split, first_seed + index, stream=6) for index in range(number)]
    images = np.stack([render_scene(scene) for scene in scenes])
    return torch.from_numpy(images), torch.from_numpy(np.stack([stack_labels(cell_labels(s)) for s in scenes]))
