"""Training batches: scenes, their pictures, and several questions per scene packed behind one image prefix.

Slots have one fixed length, so every batch has the same shape and nothing is recompiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from demo_questions import (
    CHINESE_COLS,
    CHINESE_KINDS,
    CHINESE_SHAPES,
    COL_NAMES,
    INSTRUCTION,
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

SLOT = 104


@dataclass(frozen=True)
class Mix:
    """How often each kind of question is asked: of one image, of a pair's change, and the share asked in Chinese."""

    single: dict[str, float]
    pair: dict[str, float]
    chinese: float


MIX = Mix(
    {
        "count_color": 0.14,
        "count_shape": 0.14,
        "total": 0.08,
        "describe": 0.18,
        "what_at": 0.08,
        "where": 0.12,
        "color_of": 0.1,
        "shape_of": 0.08,
        "relation": 0.08,
    },
    {"moved": 0.35, "recolored": 0.45, "removed": 0.2},
    0.14,
)
# The later stages take scenes of their own: their steps count on from here.
SHAPE_STEP, POLISH_BATCH, GROWTH_BATCH = 2100, 50_000, 100_000
DEFAULT_INSTRUCTION_SHARE = 0.7
# In the loss, words about objects weigh more, and decisions most: does this object count, is there another one, stop.
OBJECT_WORD_WEIGHT = 2.0
DECISION_WEIGHT = 4.0
Row = tuple[list[int], list[int], list[float]]


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
        words = [
            *COLOR_NAMES,
            *SHAPES,
            "top",
            "middle",
            "bottom",
            "left",
            "center",
            "right",
            "nothing",
            "same",
            "object",
        ]
        self.object_words = {self.encode(f" {word}")[0] for word in words}
        self.object_words |= {self.encode(digit)[0] for digit in "012345"}
        before = [f" {word}" for word in COL_NAMES + SHAPES] + [*CHINESE_COLS, *CHINESE_SHAPES.values(), "\n"]
        self.before_decisions = {self.encode(text)[-1] for text in before}

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

    def row(self, rng: np.random.Generator, question: Question) -> Row:
        """Ids, targets and loss weights of one question, padded; a prompt variant too long gives way to the default."""
        instruction = INSTRUCTION
        if rng.random() > DEFAULT_INSTRUCTION_SHARE:
            instruction = OTHER_INSTRUCTIONS[int(rng.integers(len(OTHER_INSTRUCTIONS)))]
        answer = self.encode(question.response()) + self.stop
        prompt = self.encode(prompt_text(question.problem, instruction)) + self.turn
        if len(prompt) + len(answer) > SLOT:
            prompt = self.encode(prompt_text(question.problem)) + self.turn
        ids = prompt + answer
        if len(ids) > SLOT:
            return self.blank()
        targets = [-100] * (len(prompt) - 1) + answer + [-100]
        weights = [self.weight(before, token) for before, token in zip([-1, *answer], answer, strict=False)]
        weights = [0.0] * (len(prompt) - 1) + weights + [0.0]
        padding = SLOT - len(ids)
        return ids + [self.pad] * padding, targets + [-100] * padding, weights + [0.0] * padding

    def weight(self, before: int, token: int) -> float:
        """The weight of a response token in the loss, given the token before it."""
        if before in self.before_decisions:
            return DECISION_WEIGHT
        return OBJECT_WORD_WEIGHT if token in self.object_words else 1.0

    def singles(self, step: int, scenes: int, questions: int = 5) -> Batch:
        """``scenes`` one-image scenes with ``questions`` questions of different kinds each."""
        images, cells, rows = [], [], []
        kinds, shares = list(MIX.single), np.array(list(MIX.single.values()))
        for index in range(scenes):
            seed = (step * self.ranks + self.rank) * scenes + index
            rng = random_generator(self.split, seed, stream=4)
            scene = sample_scene(self.split, seed)
            images.append(render_scene(scene))
            cells.append(stack_labels(cell_labels(scene)))
            for kind in rng.choice(kinds, questions, replace=False, p=shares / shares.sum()):
                question = ask_single(scene, str(kind), rng, self.language(rng, str(kind)))
                rows.append(self.row(rng, question) if question else self.blank())
        return self.pack(images, cells, rows, 1, questions)

    def pairs(self, step: int, scenes: int) -> Batch:
        """``scenes`` two-image scenes with two questions each: after a move where to, else the same in Chinese."""
        images, cells, rows = [], [], []
        for index in range(scenes):
            seed = (step * self.ranks + self.rank) * scenes + index
            rng = random_generator(self.split, seed, stream=5)
            change = str(rng.choice(list(MIX.pair), p=list(MIX.pair.values())))
            pair = sample_pair(self.split, seed, change)
            for scene in (pair.before, pair.after):
                images.append(render_scene(scene))
                cells.append(stack_labels(cell_labels(scene)))
            rows.append(self.row(rng, ask_pair(pair, change, rng, self.language(rng, change))))
            second, language = ("moved_to", self.language(rng, "moved_to")) if change == "moved" else (change, "zh")
            rows.append(self.row(rng, ask_pair(pair, second, rng, language)))
        return self.pack(images, cells, rows, 2, 2)

    def language(self, rng: np.random.Generator, kind: str) -> str:
        """Chinese for a small share of the kinds that have a Chinese wording."""
        return "zh" if rng.random() < MIX.chinese and kind in CHINESE_KINDS else "en"

    def blank(self) -> Row:
        """A row that teaches nothing."""
        return [self.pad] * SLOT, [-100] * SLOT, [0.0] * SLOT

    def pack(
        self,
        images: list[np.ndarray],
        cells: list[np.ndarray],
        rows: list[Row],
        images_each: int,
        questions: int,
    ) -> Batch:
        """Lay prefixes and rows out as flat tokens: all prefixes, then all rows, ``questions`` per scene."""
        scenes = len(images) // images_each
        prefix, image_at, places = self.prefix(images_each)
        group = Group(scenes, len(prefix), ((questions, SLOT),))
        start = int(places.max()) + 1
        line = np.arange(start, start + SLOT)[:, None].repeat(3, 1)
        positions = [np.tile(places, (scenes, 1)), np.tile(line, (scenes * questions, 1))]
        row_ids, targets, weights = (list(chain.from_iterable(part)) for part in zip(*rows, strict=True))
        offsets = np.arange(scenes)[:, None] * len(prefix) + np.array(image_at)[None]
        return Batch(
            group,
            torch.tensor(list(prefix) * scenes + row_ids),
            torch.from_numpy(np.concatenate(positions)),
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(offsets.reshape(-1)),
            torch.tensor(targets),
            torch.tensor(weights),
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
