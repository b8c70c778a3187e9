"""Attention rows as safetensors bytes: one tensor per step, float16, all layers in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float16
from safetensors.numpy import save

from attnviz_video.core.step import PromptRows, Step, StepInfo, StepRows
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import TraceError

#: Names of the tensors of prompt files: whole rows, or only keys 0 … q of query q where the rest is 0.
FULL, LOWER = "rows", "rows_lower"


@dataclass(frozen=True, eq=False)
class PackedStep:
    """A step ready to be written; the rows are None for steps before the start phrase."""

    info: StepInfo
    head_rows: Float16[np.ndarray, "head_layers heads keys"] | None
    mean_rows: Float16[np.ndarray, "mean_layers keys"] | None

    @property
    def n_bytes(self) -> int:
        """Bytes of its rows."""
        return sum(rows.nbytes for rows in (self.head_rows, self.mean_rows) if rows is not None)


def head_rows_name(step: int) -> str:
    """Tensor with the rows of the stored heads at `step`: [head_layers, heads, keys]."""
    return f"head_rows.{step}"


def mean_rows_name(step: int) -> str:
    """Tensor with the rows averaged over all heads at `step`: [mean_layers, keys]."""
    return f"mean_rows.{step}"


def to_float16(rows: Float[np.ndarray, "*shape"]) -> Float16[np.ndarray, "*shape"]:
    """Rows as stored: relative error at most 2^-11, absolute 2^-25 near zero; NaN and infinities stay what they are."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(rows, dtype=np.float16)


def pack_step(step: Step, header: TraceHeader, n_prompt: int, n_images: int) -> PackedStep:
    """Check `step` against what the header announces, and take its rows to float16.

    Raises:
        TraceError: layers, heads, keys or scalars are not those announced.
    """
    info, rows = step.info, step.rows
    if info.recorded != (rows is not None):
        which = "with" if rows else "without"
        raise TraceError(f"step {info.index}: recorded is {info.recorded}, but it comes {which} rows")
    if rows is None:
        return PackedStep(info, None, None)
    _check_scalars(info, header, n_images)
    if set(rows.heads) != set(header.head_layers) or set(rows.mean) != set(header.mean_layers):
        raise TraceError(
            f"step {info.index}: rows of layers {sorted(rows.heads)} and means of layers {sorted(rows.mean)}, "
            f"the header announces {sorted(header.head_layers)} and {sorted(header.mean_layers)}"
        )
    _check_keys(info.index, rows, header, n_prompt)
    heads = [to_float16(rows.heads[layer]) for layer in header.head_layers]
    means = [to_float16(rows.mean[layer]) for layer in header.mean_layers]
    return PackedStep(info, np.stack(heads) if heads else None, np.stack(means) if means else None)


def check_keys(step: int, layer: int, n_keys: int, n_prompt: int) -> None:
    """The row of step s has as many keys as positions it can see: the prompt and the s tokens before it.

    Raises:
        TraceError: it has another number.
    """
    if n_keys != n_prompt + step:
        raise TraceError(
            f"step {step}, layer {layer}: row has {n_keys} keys, layout says {n_prompt + step} "
            f"(prompt {n_prompt} + {step} generated)"
        )


def _check_keys(step: int, rows: StepRows, header: TraceHeader, n_prompt: int) -> None:
    for layer, row in [*rows.heads.items(), *rows.mean.items()]:
        check_keys(step, layer, row.shape[-1], n_prompt)
    n_heads = len(header.heads)
    for layer, row in rows.heads.items():
        if row.shape[0] != n_heads:
            raise TraceError(f"step {step}, layer {layer}: {row.shape[0]} heads, the header announces {n_heads}")


def _check_scalars(info: StepInfo, header: TraceHeader, n_images: int) -> None:
    if not header.scalar_layers:
        return
    if info.scalars is None:
        raise TraceError(f"step {info.index} comes without the scalars that the header announces")
    shape = (len(header.scalar_layers), header.model.n_heads)
    parts = info.scalars
    found = {parts.first_token.shape, parts.entropy.shape, parts.maximum.shape}
    if found != {shape} or parts.image_share.shape != (*shape, n_images):
        raise TraceError(
            f"step {info.index}: scalars of shape {sorted(found)} and {parts.image_share.shape}, "
            f"expected {shape} and {(*shape, n_images)} (layers, heads, images)"
        )


def _bytes_of(tensors: dict[str, Float16[np.ndarray, "..."]]) -> bytes:
    """A safetensors file in memory; its own `save_file` would not write atomically."""
    data: bytes = save(tensors)
    return data


def encode_shard(steps: Sequence[PackedStep]) -> bytes:
    """The bytes of one shard."""
    tensors = {}
    for step in steps:
        if step.head_rows is not None:
            tensors[head_rows_name(step.info.index)] = step.head_rows
        if step.mean_rows is not None:
            tensors[mean_rows_name(step.info.index)] = step.mean_rows
    return _bytes_of(tensors)


def encode_prompt_rows(rows: PromptRows, header: TraceHeader, n_prompt: int) -> bytes:
    """The bytes of a prompt file; where no query looks ahead only the lower triangle is kept, which halves it.

    An encoding keeps whole rows, of its last query as well.

    Raises:
        TraceError: heads, queries or keys are not those of the header and the prompt.
    """
    encoding = header.kind == "encoding"
    wanted = (len(header.heads), prompt_queries(n_prompt, encoding=encoding), n_prompt)
    if rows.layer not in header.head_layers or rows.heads.shape != wanted:
        raise TraceError(
            f"prompt rows of layer {rows.layer} have shape {rows.heads.shape}, "
            f"expected {wanted} (heads, queries, keys) of one of the layers {sorted(header.head_layers)}"
        )
    values = to_float16(rows.heads)
    if encoding or any(np.triu(head, 1).any() for head in values):
        return _bytes_of({FULL: values})
    return _bytes_of({LOWER: np.ascontiguousarray(values[:, np.tri(n_prompt - 1, n_prompt, dtype=bool)])})


def prompt_queries(n_prompt: int, *, encoding: bool) -> int:
    """How many queries of the prompt have a row in its file: the last one is step 0, where there are steps."""
    return n_prompt if encoding else n_prompt - 1


def unpack_lower(lower: Float16[np.ndarray, "heads entries"], n_prompt: int) -> Float[np.ndarray, "heads queries keys"]:
    """Whole prompt rows, float32, from their lower triangle."""
    rows = np.zeros((lower.shape[0], n_prompt - 1, n_prompt), dtype=np.float32)
    rows[:, np.tri(n_prompt - 1, n_prompt, dtype=bool)] = lower
    return rows
