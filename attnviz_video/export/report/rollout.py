"""Attention rollout of every layer as rows of the report, where a trace holds what it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.rollout import check_rollout, full_matrix, with_residual
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError

#: Longer texts are left out: the work grows with the third power of the positions.
MOST_POSITIONS = 1024


def missing_rollout(trace: TraceData) -> str:
    """Why the report has no rollout; empty where it has one."""
    if len(trace.tokens) > MOST_POSITIONS:
        return f"rollout is left out of reports of more than {MOST_POSITIONS} positions"
    try:
        check_rollout(trace, trace.header.model.n_layers - 1, 0, 0.0)
    except TraceError:
        return "rollout needs every row: record with --record_rows all --layers all --heads all"
    if not all(step.recorded for step in trace.steps):
        return "rollout needs the rows of the whole answer"
    return ""


def rollout_rows(
    trace: TraceData, steps: Sequence[int], *, prompt: bool = False
) -> Iterator[tuple[int, Float[np.ndarray, "queries positions"]]]:
    """For every layer l the rollout from layer 0 to l (see `analysis.rollout`): the rows of the answer's queries,
    behind those of the prompt's where `prompt`.

    Nothing where `missing_rollout` says why.
    """
    if missing_rollout(trace) or not steps:
        return
    queries = [*(range(trace.n_prompt - 1) if prompt else ()), *(trace.query_of(step) for step in steps)]
    rolled: Float[np.ndarray, "queries keys"] | None = None
    for layer in range(trace.header.model.n_layers):
        mixed = with_residual(full_matrix(trace, layer))
        rolled = mixed if rolled is None else mixed @ rolled
        yield layer, rolled[queries]
