"""From the rows of all layers of one step, on the device, to what is kept of them, on the host, in one transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from attnviz_video.capture.plan import RecordingPlan, is_windowed
from attnviz_video.core.step import StepRows, StepScalars
from attnviz_video.errors import ModelError


def reduce_step(
    rows: Mapping[int, Float[Tensor, "_ _"]],
    plan: RecordingPlan,
    patch_positions: Sequence[Int[Tensor, "_"]],
) -> tuple[StepRows, StepScalars]:
    """Stored heads and head means (float16) and the scalars (float32) of one step.

    `rows` maps every wanted layer to [heads, keys] on absolute columns; `patch_positions` has one entry per image.
    """
    # One stack, so that the number of small operations does not grow with the number of layers.
    wanted = sorted(rows)
    stack = torch.stack([rows[layer] for layer in wanted])
    heads, means, scalars = (
        stack if list(layers) == wanted else torch.stack([rows[layer] for layer in layers]) if layers else stack[:0]
        for layers in (plan.head_layers, plan.mean_layers, plan.scalar_layers)
    )
    if len(plan.heads) < stack.shape[1]:
        heads = heads[:, list(plan.heads)]
    blocks = [*_scalar_blocks(scalars, patch_positions), heads.half(), means.mean(1).half()]
    *numbers, head_rows, mean_rows = to_host(blocks)
    kept = StepRows(
        heads=dict(zip(plan.head_layers, head_rows, strict=True)),
        mean=dict(zip(plan.mean_layers, mean_rows, strict=True)),
    )
    return kept, StepScalars(*numbers)


def _scalar_blocks(stack: Tensor, patch_positions: Sequence[Tensor]) -> list[Tensor]:
    """In the order of `StepScalars`: share per image, first token, entropy (nats), maximum of [layers, heads, keys]."""
    shares = [stack[..., positions].sum(-1) for positions in patch_positions]
    image_share = torch.stack(shares, dim=-1) if shares else stack.new_zeros((*stack.shape[:2], 0))
    return [image_share, stack[..., 0], torch.special.entr(stack).sum(-1), stack.amax(-1)]


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """The tensors as arrays, moved in one transfer: each transfer of its own would make the device wait."""
    flat = torch.cat([tensor.contiguous().view(-1).view(torch.uint8) for tensor in tensors]).cpu().numpy()
    arrays, start = [], 0
    for tensor in tensors:
        stop = start + tensor.numel() * tensor.element_size()
        dtype = np.float16 if tensor.dtype == torch.float16 else np.float32
        # A copy: whoever keeps the scalars must not keep the rows' memory alive with them.
        arrays.append(flat[start:stop].copy().view(dtype).reshape(tensor.shape))
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
