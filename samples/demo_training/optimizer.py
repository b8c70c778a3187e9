"""Muon for hidden matrices, AdamW for everything else, and a schedule counted in steps.

Muon orthogonalises the momentum of a matrix before it is applied (Jordan et al. 2024, "Muon: an optimizer for hidden
layers in neural networks"; Newton-Schulz coefficients from there). Matrices of equal shape go through it together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """Warm up, stay, then decay linearly to a fiftieth; all in steps."""

    steps: int
    warmup: int = 30
    decay_share: float = 0.35

    def factor(self, step: int) -> float:
        """The learning rate's factor at a step counted from 0."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        decay = max(1, round(self.steps * self.decay_share))
        return min(rise, max(0.02, min(1.0, (self.steps - step) / decay)))


def orthogonalise(update: Tensor) -> Tensor:
    """Replace the singular values of each matrix of a stack ``(K, M, N)`` by values near 1."""
    turned = update.shape[1] > update.shape[2]
    x = update.transpose(1, 2) if turned else update
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    for _ in range(5):
        square = x @ x.transpose(1, 2)
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x.transpose(1, 2) if turned else x


class Optimizer:
    """Both optimisers behind one ``step``; ``scales`` maps a part of a name to a factor on the learning rate.

    Without a Muon rate AdamW takes everything: Muon gives every direction of a matrix the same step, which ruins layers
    that have just been grown with zero outputs.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        schedule: Schedule,
        *,
        muon_rate: float | None,
        adam_rate: float,
        scales: dict[str, float] | None = None,
    ) -> None:
        self.schedule, self.muon_rate, self.done = schedule, muon_rate or 0.0, 0
        self.named = [(name, p) for module in modules for name, p in module.named_parameters() if p.requires_grad]
        scales = scales or {}
        self.scale = {id(p): next((s for key, s in scales.items() if key in name), 1.0) for name, p in self.named}
        hidden = [p for name, p in self.named if muon_rate is not None and is_hidden_matrix(name, p)]
        self.stacks: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
        for parameter in hidden:
            self.stacks[tuple(parameter.shape)].append(parameter)
        self.momentum = {id(p): torch.zeros_like(p) for p in hidden}
        groups: dict[float, list[nn.Parameter]] = defaultdict(list)
        for _, parameter in self.named:
            if id(parameter) not in self.momentum:
                groups[self.scale[id(parameter)]].append(parameter)
        self.adam = torch.optim.AdamW(
            [
                {"params": params, "lr": adam_rate * scale, "base": adam_rate * scale}
                for scale, params in groups.items()
            ],
            betas=(0.9, 0.95),
            weight_decay=0.0,
        )

    @torch.no_grad()
    def step(self) -> None:
        """Apply the gradients and clear them."""
        factor = self.schedule.factor(self.done)
        for group in self.adam.param_groups:
            group["lr"] = group["base"] * factor
        self.adam.step()
        for shape, parameters in self.stacks.items():
            present = [p for p in parameters if p.grad is not None]
            if not present:
                continue
            updates = []
            for parameter in present:
                momentum = self.momentum[id(parameter)].mul_(0.95).add_(parameter.grad)
                updates.append(parameter.grad + 0.95 * momentum)
            size = max(1.0, shape[0] / shape[1]) ** 0.5
            for parameter, update in zip(present, orthogonalise(torch.stack(updates)), strict=True):
                rate = self.muon_rate * factor * self.scale[id(parameter)]
                parameter.mul_(1 - rate * 0.01).add_(update, alpha=-rate * size)
        for _, parameter in self.named:
            parameter.grad = None
        self.done += 1

    def rescale(self, part: str, scale: float) -> None:
        """Change the factor on Muon's rate for the matrices of one part of the model."""
        for name, parameter in self.named:
            if part in name:
                self.scale[id(parameter)] = scale

    def state(self) -> dict[str, object]:
        """What a later process needs to go on from this step."""
        momentum = {name: self.momentum[id(p)] for name, p in self.named if id(p) in self.momentum}
        return {"adam": self.adam.state_dict(), "momentum": momentum, "done": self.done}

    def restore(self, state: dict[str, object]) -> None:
        """Take over a state written by ``state``."""
        self.adam.load_state_dict(state["adam"])  # type: ignore[arg-type]
        for name, parameter in self.named:
            if id(parameter) in self.momentum:
                self.momentum[id(parameter)].copy_(state["momentum"][name])  # type: ignore[index]
        self.done = int(state["done"])  # type: ignore[call-overload]


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Matrices inside the layers; embeddings, output heads, norms and biases are AdamW's."""
    outer = ("embed_tokens", "lm_head", "patch_embed", "heads")
    return parameter.ndim == 2 and not any(part in name for part in outer)
