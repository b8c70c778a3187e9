"""Attention rollout: through which earlier positions a query is reached, all layers below taken together.

Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers", section 3 (equation 1). With A_l the mean
over the heads of layer l, the residual connection is counted as attention of a position to itself:

    Ā_l = (A_l + I) / 2, each row divided by its sum;    R_s = Ā_s,    R_l = Ā_l · R_{l-1}

from a start layer s on. Row q of R_l says how much of what query q carries after layer l came from every position. The
part of the residual connection, here one half as in the paper, can be set: Ā_l = (1 - r) A_l + r I. The discard ratio
follows a common refinement: of each row of A_l its lightest weights are set to 0 before anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float

from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError

#: Part of a position's information that comes through the residual connection.
RESIDUAL = 0.5


def rollout(
    trace: TraceData,
    layer: int,
    *,
    start_layer: int = 0,
    discard_ratio: float = 0.0,
    residual: float = RESIDUAL,
    on_layer: Callable[[int], None] = lambda layer: None,
) -> Float[np.ndarray, "queries keys"]:
    """R_layer over all queries of prompt and answer (the last token has no query); every row sums to 1, float32.

    Needs the mean over the heads of every layer from `start_layer` to `layer`, and the prompt's rows of these.
    `on_layer` hears each finished layer.

    Raises:
        TraceError: a layer, or the prompt's rows, were not recorded.
        UsageError: layers or ratio out of range.
    """
    check_rollout(trace, layer, start_layer, discard_ratio, residual)
    rolled: Float[np.ndarray, "queries keys"] | None = None
    for number in range(start_layer, layer + 1):
        step = with_residual(discard(full_matrix(trace, number), discard_ratio, causal=not trace.is_encoding), residual)
        rolled = step if rolled is None else step @ rolled
        on_layer(number)
    assert rolled is not None
    return rolled


def rollout_from(
    trace: TraceData,
    layer: int,
    queries: Float[np.ndarray, "lines queries"],
    *,
    start_layer: int = 0,
    discard_ratio: float = 0.0,
    residual: float = RESIDUAL,
    on_layer: Callable[[int], None] = lambda layer: None,
) -> Float[np.ndarray, "lines keys"]:
    """`queries` · R_layer: the rollout of mixtures of queries, such as one query (a one-hot line) or the mean of some.

    The same numbers as those of `rollout`, multiplied from the last layer down: the work of a line grows with the
    square of the positions, not with the third power. float64.

    Raises:
        TraceError, UsageError: as `rollout`.
    """
    check_rollout(trace, layer, start_layer, discard_ratio, residual)
    rolled: Float[np.ndarray, "lines keys"] = queries.astype(np.float64)
    for number in range(layer, start_layer - 1, -1):
        kept = discard(full_matrix(trace, number), discard_ratio, causal=not trace.is_encoding)
        rolled = rolled @ with_residual(kept, residual)
        on_layer(number)
    return rolled


def check_rollout(
    trace: TraceData, layer: int, start_layer: int, discard_ratio: float, residual: float = RESIDUAL
) -> None:
    """Make sure that a rollout can be computed, before any work is done.

    Raises:
        TraceError, UsageError: as `rollout`.
    """
    header = trace.header
    if not 0 <= start_layer <= layer < header.model.n_layers:
        raise UsageError(
            f"rollout from layer {start_layer} to layer {layer}: expected 0 <= start <= end <= "
            f"{header.model.n_layers - 1}; choose them with --start_layer and --layer_idx"
        )
    if not 0 <= discard_ratio < 1:
        raise UsageError(f"--discard_ratio: expected 0 up to (not including) 1, got {discard_ratio:g}")
    if not 0 <= residual < 1:
        raise UsageError(f"--residual: expected 0 up to (not including) 1, got {residual:g}")
    missing = [number for number in range(start_layer, layer + 1) if number not in header.head_layers]
    if header.query_rows != "all" or missing or len(header.heads) != header.model.n_heads:
        raise TraceError(
            f"rollout to layer {layer} needs all rows of all heads of layers {start_layer} to {layer}; this trace does "
            "not hold them, record again with --record_rows all --layers all --heads all"
        )


def full_matrix(trace: TraceData, layer: int) -> Float[np.ndarray, "queries keys"]:
    """Mean over the heads of one layer for every query of prompt and answer, float32; 0 where a query does not see.

    Values that no weight can have count as 0.
    """
    n_queries = trace.n_queries
    matrix = np.zeros((n_queries, n_queries), dtype=np.float32)
    for query, row in _rows(trace, layer):
        matrix[query, : len(row)] = np.where(np.isfinite(row) & (row > 0), row, 0.0)
    return matrix


def _rows(trace: TraceData, layer: int) -> Iterator[tuple[int, Float[np.ndarray, "keys"]]]:
    prompt = trace.rows.prompt_rows(layer)
    for query in range(prompt.shape[1]):
        yield query, prompt[:, query, : trace.seen_keys(query)].mean(axis=0, dtype=np.float64)
    for step in () if trace.is_encoding else trace.steps:
        if not step.recorded:
            raise TraceError(f"rollout needs the rows of the whole answer; answer token {step.index} was not recorded")
        yield trace.n_prompt - 1 + step.index, trace.rows.head_rows(step.index, layer).mean(axis=0, dtype=np.float64)


def discard(
    matrix: Float[np.ndarray, "queries keys"], ratio: float, *, causal: bool = True
) -> Float[np.ndarray, "queries keys"]:
    """`matrix` with the lightest weights of every row set to 0: the part `ratio` of the keys that the query sees.

    A query sees the keys up to its own; all of them where the model is not `causal`.
    """
    if ratio == 0:
        return matrix
    kept = matrix.copy()
    for query, row in enumerate(kept):
        seen = row[: query + 1] if causal else row
        seen[np.argsort(seen, kind="stable")[: int(len(seen) * ratio)]] = 0
    return kept


def with_residual(
    matrix: Float[np.ndarray, "queries keys"], residual: float = RESIDUAL
) -> Float[np.ndarray, "queries keys"]:
    """(1 - r) A + r I with rows that sum to 1; a row that is nothing but 0 stays at its own position."""
    mixed = matrix * (1 - residual)
    mixed[np.diag_indices_from(mixed)] += residual
    sums = mixed.sum(axis=1, keepdims=True)
    empty = np.flatnonzero(sums[:, 0] <= 0)
    mixed[empty, empty], sums[empty] = 1, 1
    mixed /= sums
    return mixed
