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
    scalars = torch.stack([rows[layer] for layer in plan.scalar_layers]) if plan.scalar_layers else None
    heads = torch.tensor(plan.heads, device=next(iter(rows.values())).device)
    blocks = _scalar_blocks(scalars, patch_positions) if scalars is not None else []
    blocks += [rows[layer][heads].half() for layer in plan.head_layers]
    blocks += [rows[layer].mean(0).half() for layer in plan.mean_layers]
    arrays = to_host(blocks)
    kept, arrays = (StepScalars(*arrays[:4]), arrays[4:]) if scalars is not None else (_no_scalars(plan), arrays)
    stop = len(plan.head_layers)
    return (
        StepRows(
            heads=dict(zip(plan.head_layers, arrays[:stop], strict=True)),
            mean=dict(zip(plan.mean_layers, arrays[stop:], strict=True)),
        ),
        kept,
    )


def _scalar_blocks(stack: Tensor, patch_positions: Sequence[Tensor]) -> list[Tensor]:
    """In the order of `StepScalars`: share per image, first token, entropy (nats), maximum of [layers, heads, keys]."""
    shares = [stack[..., positions].sum(-1) for positions in patch_positions]
    image_share = torch.stack(shares, dim=-1) if shares else stack.new_zeros((*stack.shape[:2], 0))
    return [image_share, stack[..., 0], torch.special.entr(stack).sum(-1), stack.amax(-1)]


def _no_scalars(plan: RecordingPlan) -> StepScalars:
    nothing = np.zeros((0, len(plan.heads)), dtype=np.float32)
    return StepScalars(np.zeros((0, len(plan.heads), 0), dtype=np.float32), nothing, nothing, nothing)


def to_host(tensors: Sequence[Tensor]) -> list[np.ndarray]:
    """The tensors as arrays, moved in one transfer: each transfer of its own would make the device wait."""
    if not tensors:
        return []
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
