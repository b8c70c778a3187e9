"""The attention row formula, softmax(q·kᵀ·scaling + mask), for the wanted queries only.

Source: Vaswani et al. 2017, equation 1; grouped heads: Ainslie et al. 2023 (GQA); soft cap: Gemma 2 report, section 2;
attention sink as an extra column: gpt-oss model card, section 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

#: Scores held at once while many queries are computed: 64 MiB in float32.
CHUNK_ELEMENTS = 2**24


@dataclass(frozen=True, eq=False)
class AttentionOptions:
    """What one layer does to the scores, besides multiplying query and key."""

    scaling: float
    #: None; boolean [batch, 1 or heads, queries, keys] (True attends); the same in floats (added); or the padding mask
    #: [batch, keys] of flash kernels.
    mask: Tensor | None = None
    #: Whether a query sees only keys up to its own; for a mask of four axes that is part of the mask already.
    is_causal: bool = False
    #: Number of keys a query sees, itself included; None sees all.
    sliding_window: int | None = None
    #: s becomes `tanh(s / softcap) * softcap`.
    softcap: float | None = None
    #: One learned score per head that takes weight but is no position; rows then sum to less than 1.
    sinks: Tensor | None = None
    #: Key position of query 0, for the causal rule and the window.
    first_query: int = 0


def attention_rows(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch kv_heads keys width"],
    options: AttentionOptions,
    rows: range,
) -> Float[Tensor, "batch heads rows keys"]:
    """Attention weights of the queries numbered `rows` (consecutive), float32.

    Query head h reads kv head h // (heads / kv_heads).
    """
    parts = [part for _, part in attention_row_chunks(query, key, options, rows)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def attention_row_chunks(
    query: Float[Tensor, "batch heads queries width"],
    key: Float[Tensor, "batch kv_heads keys width"],
    options: AttentionOptions,
    rows: range,
    chunk_elements: int = CHUNK_ELEMENTS,
) -> Iterator[tuple[range, Float[Tensor, "batch heads _ keys"]]]:
    """The same rows in consecutive chunks of at most `chunk_elements` weights (at least one query each)."""
    # Scores are kept in float32, as fused kernels keep them: rounded to bfloat16, a score of 20 is off by up to 0.06.
    key = key.float()
    length = max(1, chunk_elements // max(1, query.shape[0] * query.shape[1] * key.shape[2]))
    for start in range(rows.start, rows.stop, length):
        part = range(start, min(start + length, rows.stop))
        yield part, _chunk(query[:, :, part.start : part.stop].float(), key, options, part)


def _chunk(query: Tensor, key: Tensor, options: AttentionOptions, rows: range) -> Tensor:
    """Weights of one chunk; `query` holds only the queries of `rows`."""
    batch, heads, count, width = query.shape
    groups = heads // key.shape[1]
    # Heads of one kv head are adjacent, so that they share its keys without a copy of these. The scores are scaled and
    # not the query, as eager attention does it: peaked rows differ by 1e-5 otherwise.
    grouped = query.reshape(batch, key.shape[1], groups * count, width)
    scores = torch.matmul(grouped, key.transpose(2, 3)).view(batch, heads, count, key.shape[2]) * options.scaling
    if options.softcap is not None:
        scores = torch.tanh(scores / options.softcap) * options.softcap
    scores = _masked(scores, options, rows)
    if options.sinks is None:
        return torch.softmax(scores, dim=-1)
    sinks = options.sinks.to(scores).reshape(1, -1, 1, 1).expand(batch, heads, count, 1)
    return torch.softmax(torch.cat([scores, sinks], dim=-1), dim=-1)[..., :-1]


def _masked(scores: Tensor, options: AttentionOptions, rows: range) -> Tensor:
    mask, n_keys = options.mask, scores.shape[-1]
    if mask is not None and mask.ndim == 4:
        part = mask[:, :, rows.start : rows.stop, :n_keys]
        return scores.masked_fill(~part, -torch.inf) if part.dtype == torch.bool else scores + part.float()
    if mask is not None:
        # A trimmed sliding cache keeps the last keys, so the padding mask is matched from its end.
        scores = scores.masked_fill(~mask[:, -n_keys:].bool()[:, None, None, :], -torch.inf)
    if not options.is_causal and options.sliding_window is None:
        return scores
    keys = torch.arange(n_keys, device=scores.device)
    queries = torch.arange(rows.start, rows.stop, device=scores.device)[:, None] + options.first_query
    if options.is_causal:
        # Every query of these rows sees the keys before `hidden`: only a corner has to be masked.
        hidden = max(0, rows.start + options.first_query + 1)
        scores[..., hidden:].masked_fill_(keys[hidden:] > queries, -torch.inf)
    if options.sliding_window is not None:
        scores = scores.masked_fill(keys <= queries - options.sliding_window, -torch.inf)
    return scores
