"""From the rows of consecutive steps, on their devices, to what is kept of them, on the host, in one transfer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnviz_video.capture.plan import RecordingPlan, is_windowed
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.step import StepRows, StepScalars
from attnviz_video.errors import ModelError

#: Weights below this count as it where a logarithm is taken: 1e-30 · ln 1e-30 is nothing.
_TINY = 1e-30
#: Names of the scalars, in the order of `StepScalars`.
_SCALARS = ("image_share", "first_token", "entropy", "maximum")


class StepReducer:
    """Keeps of attention rows what a plan says."""

    def __init__(self, plan: RecordingPlan, layout: TokenLayout, n_heads: int) -> None:
        self._plan = plan
        self._n_heads = n_heads
        self._patches = [contiguous(layout.patch_positions(image)) for image in range(len(layout.images))]
        self._on_device: dict[torch.device, list[slice | Tensor]] = {}

    def reduce(
        self, parts: Iterable[tuple[int, Float[Tensor, "_ _ _"]]], n_keys: Sequence[int]
    ) -> list[tuple[StepRows, StepScalars]]:
        """Stored heads and head means (float16) and the scalars (float32) of some consecutive steps.

        `parts` gives each wanted layer once, with its rows [heads, steps, keys] on the positions of the trace, as wide
        as those of the last step; step i has `n_keys[i]` keys. Parts are taken one after the other, so that only one
        layer's weights need be there at a time. The rows of a step are views of an array of all steps.
        """
        plan = self._plan
        kept = {layer: self._blocks(rows, layer) for layer, rows in parts}
        arrays = iter(to_host([block for blocks in kept.values() for block in blocks.values()]))
        found = {layer: {name: next(arrays) for name in blocks} for layer, blocks in kept.items()}
        scalars = self._stacked(found, len(n_keys))
        return [
            (
                StepRows(
                    {layer: found[layer]["heads"][:, number, :width] for layer in plan.head_layers},
                    {layer: found[layer]["mean"][number, :width] for layer in plan.mean_layers},
                ),
                # Copies: whoever keeps the scalars of a step must not keep those of all steps.
                StepScalars(*(values[:, :, number].copy() for values in scalars)),
            )
            for number, width in enumerate(n_keys)
        ]

    def _blocks(self, rows: Float[Tensor, "heads steps keys"], layer: int) -> dict[str, Tensor]:
        """What is kept of one layer, still on its device.

        Scalars are [heads, steps] (`image_share` has a last axis of images); "heads" is float16
        [stored heads, steps, keys], "mean" float16 [steps, keys]. Entropy is Shannon's, in nats.
        """
        plan, blocks = self._plan, dict[str, Tensor]()
        if layer in plan.scalar_layers:
            shares = [rows[..., positions].sum(-1) for positions in self._positions(rows.device)]
            blocks["image_share"] = torch.stack(shares, -1) if shares else rows.new_zeros((*rows.shape[:2], 0))
            blocks["first_token"] = rows[..., 0]
            blocks["entropy"] = -torch.linalg.vecdot(rows, rows.clamp_min(_TINY).log_())
            blocks["maximum"] = rows.amax(-1)
        if layer in plan.head_layers:
            blocks["heads"] = (rows if len(plan.heads) == rows.shape[0] else rows[list(plan.heads)]).half()
        if layer in plan.mean_layers:
            blocks["mean"] = rows.mean(0).half()
        return blocks

    def _positions(self, device: torch.device) -> list[slice | Tensor]:
        """Positions of the patches of every image, those that are no slice on `device`."""
        if device not in self._on_device:
            self._on_device[device] = [
                positions if isinstance(positions, slice) else torch.from_numpy(positions).to(device)
                for positions in self._patches
            ]
        return self._on_device[device]

    def _stacked(self, found: dict[int, dict[str, np.ndarray]], n_steps: int) -> list[np.ndarray]:
        """The scalars in the order of `StepScalars`: [layers, heads, steps, images], then [layers, heads, steps]."""
        layers = self._plan.scalar_layers
        if not layers:
            nothing = np.zeros((0, self._n_heads, n_steps), np.float32)
            return [np.zeros((*nothing.shape, len(self._patches)), np.float32), nothing, nothing, nothing]
        return [np.stack([found[layer][name] for layer in layers]) for name in _SCALARS]


def contiguous(positions: Int[np.ndarray, "positions"]) -> slice | Int[np.ndarray, "positions"]:
    """The same positions as a slice where they follow each other, as most images' do: a sum over it needs no copy."""
    if positions.size and bool((np.diff(positions) == 1).all()):
        return slice(int(positions[0]), int(positions[-1]) + 1)
    return positions


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """The tensors (float16 or float32) as arrays, moved in one transfer per device.

    Each transfer of its own would make the device wait.
    """
    arrays: dict[int, np.ndarray] = {}
    for device in {tensor.device for tensor in tensors}:
        own = [(number, tensor.contiguous()) for number, tensor in enumerate(tensors) if tensor.device == device]
        if device.type == "cpu":
            arrays |= {number: tensor.numpy() for number, tensor in own}
            continue
        flat = torch.cat([tensor.view(-1).view(torch.uint8) for _, tensor in own]).cpu().numpy()
        arrays |= _cut(flat, own)
    return [arrays[number] for number in range(len(tensors))]


def _cut(flat: np.ndarray, tensors: Sequence[tuple[int, Tensor]]) -> dict[int, np.ndarray]:
    """The bytes of several tensors as arrays of their own: no array keeps another's memory alive."""
    arrays, start = {}, 0
    for number, tensor in tensors:
        stop = start + tensor.numel() * tensor.element_size()
        dtype = np.float16 if tensor.dtype == torch.float16 else np.float32
        arrays[number] = flat[start:stop].copy().view(dtype).reshape(tensor.shape)
        start = stop
    return arrays


def absolute_columns(row: Float[Tensor, "heads _"], n_keys: int, layer: int, kind: str) -> Float[Tensor, "heads _"]:
    """`row` with one column per position of prompt + answer so far.

    A sliding cache has dropped its first keys (weight 0), a static one has unused keys at its end.

    Raises:
        ModelError: the row does not fit the positions, so that no column could be told from another.
    """
    length = row.shape[-1]
    if length == n_keys:
        return row
    if length < n_keys and is_windowed(kind):
        return torch.nn.functional.pad(row, (n_keys - length, 0))
    if length > n_keys and not bool(row[:, n_keys:].any()):
        return row[:, :n_keys]
    raise ModelError(
        f"layer {layer} ({kind}): its row has {length} keys where prompt and answer have {n_keys} positions; "
        "its keys are not the positions of the text, so it cannot be shown; choose other layers with --layer_idx"
    )
