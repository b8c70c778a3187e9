"""The three stages of training: the eye alone, eye and language together, and fine-tuning after depth growth.

No stage sees where attention should go. The only extra signal is a set of throw-away linear heads on the image
features, which name each cell's colour, shape and place; they exist during training and are not in the checkpoint.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm
from transformers import PreTrainedTokenizerBase, Qwen2VLForConditionalGeneration

from demo_training.batches import SHAPE_STEP, Batch, BatchMaker, picture_batch
from demo_training.forward import BatchedForward
from demo_training.optimizer import Optimizer, Schedule
from demo_training.sharpening import sharpen_shapes

CELL_CLASSES = (7, 5, 3, 3)
VISION_SCALE = 0.2


@dataclass(frozen=True)
class Process:
    """This process among its peers; one process needs no communication."""

    rank: int = 0
    ranks: int = 1

    def average_gradients(self, modules: list[nn.Module]) -> None:
        """Replace every gradient by the mean over all processes."""
        if self.ranks == 1:
            return
        parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([p.grad.reshape(-1) for p in parameters if p.grad is not None])
        dist.all_reduce(flat)
        flat /= self.ranks
        for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = part.view_as(parameter)


class CellHeads(nn.Module):
    """Throw-away linear heads: colour, shape, row and column of what a cell shows, from the image features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.heads = nn.ModuleList(nn.Linear(width, classes) for classes in CELL_CLASSES)

    def loss(self, features: Tensor, labels: Tensor) -> tuple[Tensor, list[float]]:
        """Mean cross entropy, and the share of right cells per label (colour and shape on object cells only)."""
        total, right = features.new_zeros(()), []
        flat, wanted = features.reshape(-1, features.shape[-1]), labels.reshape(-1, len(CELL_CLASSES))
        occupied = wanted[:, 0] > 0
        for index, head in enumerate(self.heads):
            scores = head(flat)
            losses = functional.cross_entropy(scores, wanted[:, index], reduction="none")
            total = total + (losses * torch.where(occupied, 3.0, 1.0)).mean()
            hits = (scores.argmax(-1) == wanted[:, index]).float()
            right.append(float(hits[occupied].mean() if index < 2 else hits.mean()))
        return total / len(CELL_CLASSES), right


@dataclass
class Trainer:
    """What the stages share: model, tokenizer, process, and where to report and to keep states."""

    model: Qwen2VLForConditionalGeneration
    tokenizer: PreTrainedTokenizerBase
    process: Process
    work_dir: Path
    compiled: bool = True

    def __post_init__(self) -> None:
        self.forward = BatchedForward(self.model, self.compiled)
        self.cell_heads = CellHeads(self.model.config.text_config.hidden_size)

    def report(self, bar: tqdm[int], stage: str, step: int, text: str) -> None:
        """Show progress, and append a line to the stage's log, from the first process only."""
        if self.process.rank == 0:
            bar.set_postfix_str(text)
            with (self.work_dir / f"{stage}.log").open("a", encoding="utf-8") as log:
                log.write(f"{time.strftime('%H:%M:%S')} step {step} {text}\n")

    def save(self, stage: str, optimizer: Optimizer) -> None:
        """Write everything needed to go on: parameters, throw-away heads, optimiser."""
        if self.process.rank == 0:
            state = {"model": self.model.state_dict(), "heads": self.cell_heads.state_dict()}
            partial = self.work_dir / f"{stage}.pt.partial"
            torch.save({**state, "optimizer": optimizer.state()}, partial)
            partial.rename(self.work_dir / f"{stage}.pt")

    def load(self, stage: str, optimizer: Optimizer | None = None) -> bool:
        """Go on from a saved state where there is one."""
        path = self.work_dir / f"{stage}.pt"
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.cell_heads.load_state_dict(state["heads"])
        if optimizer is not None:
            optimizer.restore(state["optimizer"])
        return True

    def train_vision(self, steps: int, images: int = 16) -> list[float]:
        """Dense pretraining of the vision tower; returns the last shares of right cells."""
        eye = nn.ModuleDict({"visual": self.model.model.visual})
        optimizer = Optimizer([eye, self.cell_heads], Schedule(steps), muon_rate=0.02, adam_rate=3e-3)
        self.load("vision", optimizer)
        bar = tqdm(range(optimizer.done, steps), desc="vision", disable=self.process.rank > 0)
        right: list[float] = []
        for step in bar:
            first = (step * self.process.ranks + self.process.rank) * images
            pictures, labels = picture_batch("train", first, images)
            loss, right = self.cell_heads.loss(self.forward.encode_images(pictures), labels)
            loss.backward()
            self.process.average_gradients([eye, self.cell_heads])
            optimizer.step()
            if step % 20 == 0 or step == steps - 1:
                shares = " ".join(f"{share:.3f}" for share in right)
                self.report(bar, "vision", step, f"loss {loss.item():.4f} cells {shares}")
            if step % 200 == 199 or step == steps - 1:
                self.save("vision", optimizer)
        return right

    def train_language(
        self,
        stage: str,
        steps: int,
        *,
        scenes: int = 8,
        pairs: int = 5,
        muon_rate: float | None = 0.02,
        adam_rate: float = 3e-3,
        cell_weight: float = 0.1,
        decay_share: float = 0.5,
        first_batch: int = 0,
    ) -> float:
        """Learn to answer; also the fine-tuning after growth. Returns the last share of right response tokens."""
        optimizer = Optimizer(
            [self.model, self.cell_heads],
            Schedule(steps, decay_share=decay_share),
            muon_rate=muon_rate,
            adam_rate=adam_rate,
            scales={"visual": VISION_SCALE},
        )
        self.load(stage, optimizer)
        maker = BatchMaker(self.tokenizer, self.process.rank, self.process.ranks)
        bar = tqdm(range(optimizer.done, steps), desc=stage, disable=self.process.rank > 0)
        accuracy = 0.0
        for step in bar:
            texts = []
            if stage == "language" and step >= SHAPE_STEP:
                optimizer.rescale("visual", 1.0)
                if step == SHAPE_STEP:
                    sharpen_shapes(self.forward)
            parts = [("one", maker.singles(step + first_batch, scenes), 0.7)]
            parts += [("two", maker.pairs(step + first_batch, pairs), 0.3)] if pairs else []
            for name, batch, share in parts:
                loss, cells, accuracy, words, decisions = self.learn(batch)
                (share * (loss + cell_weight * cells)).backward()
                shares = f"right {accuracy:.3f} words {words:.3f} decisions {decisions:.3f}"
                texts.append(f"{name} {loss.item():.4f} {shares}")
            self.process.average_gradients([self.model, self.cell_heads])
            optimizer.step()
            if step % 10 == 0 or step == steps - 1:
                self.report(bar, stage, step, " | ".join(texts))
            if step % 50 == 49 or step == steps - 1:
                self.save(stage, optimizer)
        return accuracy

    def learn(self, batch: Batch) -> tuple[Tensor, Tensor, float, float, float]:
        """Loss on the responses, loss of the throw-away heads, and the shares of right tokens, words and decisions."""
        hidden, features = self.forward.hidden_states(
            batch.group, batch.ids, batch.positions, batch.images, batch.image_at
        )
        learned = batch.targets >= 0
        rows = hidden[batch.group.prefix_tokens :][learned]
        targets, weights = batch.targets[learned], batch.weights[learned]
        scores = self.forward.logits(rows)
        losses = functional.cross_entropy(scores, targets, reduction="none")
        cells, _ = self.cell_heads.loss(features, batch.cells)
        with torch.no_grad():
            right = (scores.argmax(-1) == targets).float()
        return (
            (losses * weights).sum() / weights.sum(),
            cells,
            float(right.mean()),
            float(right[weights == 2].mean()),
            float(right[weights > 2].mean()),
        )
