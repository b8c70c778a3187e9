"""One pass over a text as a sequence of steps, one for each of its queries, for what is shown step by step.

A generation has a step per written token. An encoding has none; here every token of its text becomes the current one,
with its own row over all tokens. Nothing is computed but the means and scalars that a generation stores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.step import StepInfo, StepScalars
from attnviz_video.core.trace import RowStore, TraceData

#: Layers whose rows are kept in memory: those of one layer are read for one query after the other.
_KEPT_LAYERS = 2


@dataclass(frozen=True, eq=False)
class QueryRows:
    """The rows of an encoding, by query; a `RowStore`."""

    rows: RowStore
    _kept: dict[int, Float[np.ndarray, "heads queries keys"]] = field(default_factory=dict, repr=False)

    def head_rows(self, step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        """Rows of the stored heads of `layer` of query `step`, over all keys."""
        rows: Float[np.ndarray, "heads keys"] = self.prompt_rows(layer)[:, step]
        return rows

    def mean_row(self, step: int, layer: int) -> Float[np.ndarray, "keys"]:
        """Their mean over the heads, all of which are stored where a header announces means."""
        mean: Float[np.ndarray, "keys"] = self.prompt_rows(layer)[:, step].mean(axis=0, dtype=np.float64)
        return mean.astype(np.float32)

    def prompt_rows(self, layer: int) -> Float[np.ndarray, "heads queries keys"]:
        """The rows of all queries of `layer`."""
        if layer not in self._kept:
            while len(self._kept) >= _KEPT_LAYERS:
                self._kept.pop(next(iter(self._kept)))
            self._kept[layer] = self.rows.prompt_rows(layer)
        return self._kept[layer]


def as_steps(trace: TraceData) -> TraceData:
    """An encoding with one step per query, number q for position q; anything else as it is.

    The prompt is then empty: every token is one that is current once. Scalars are those of the stored rows, where all
    heads are stored.
    """
    if not trace.is_encoding or trace.steps:
        return trace
    rows = QueryRows(trace.rows)
    header = trace.header
    whole = len(header.heads) == header.model.n_heads
    layers = header.head_layers if whole and trace.status == "complete" else ()
    nothing = np.zeros(0, dtype=np.int64)
    scalars = _scalars(rows, layers, len(trace.tokens))
    candidates = {one.position: one.candidates for one in trace.masked}
    steps = tuple(
        StepInfo(
            index=token.position,
            token_id=token.id,
            log_probability=math.nan,
            candidates=candidates.get(token.position, ()),
            milliseconds=math.nan,
            scalars=scalars[token.position] if layers else None,
        )
        for token in trace.tokens
    )
    return replace(
        trace,
        header=replace(header, scalar_layers=layers),
        layout=TokenLayout((), (), nothing, nothing.copy()),
        steps=steps,
        rows=rows,
    )


def _scalars(rows: QueryRows, layers: tuple[int, ...], n_queries: int) -> list[StepScalars]:
    """What a generation keeps of every row: first token, entropy (nats), maximum."""
    if not layers:
        return []
    found = [_layer_scalars(rows.prompt_rows(layer)) for layer in layers]
    first, entropy, most = (np.stack([one[place] for one in found]) for place in range(3))
    no_images = np.zeros((*first.shape[:2], 0), dtype=np.float32)
    return [
        StepScalars(no_images, first[..., query], entropy[..., query], most[..., query]) for query in range(n_queries)
    ]


def _layer_scalars(
    matrix: Float[np.ndarray, "heads queries keys"],
) -> tuple[Float[np.ndarray, "heads queries"], Float[np.ndarray, "heads queries"], Float[np.ndarray, "heads queries"]]:
    logarithms = np.log(np.where(matrix > 0, matrix, 1.0))
    entropy = -(matrix * logarithms).sum(axis=-1)
    return matrix[..., 0], entropy.astype(np.float32), matrix.max(axis=-1)
