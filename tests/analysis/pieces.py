"""The demo trace with words of several pieces: spaces between some of its words are taken out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from attnviz_video.core.trace import TraceData
from attnviz_video.tracefile.read import open_trace

DEMO = Path(__file__).parents[2] / "samples/demo_trace"
#: Positions that go on with the word before: "thinkingprocess" in the prompt, "topleft", "orangecircle" twice,
#: "bluesquare" and "redcircle" in the answer.
JOINED = (89, 120, 131, 153, 156, 139)


def demo_with_pieces() -> TraceData:
    """The demo trace whose tokens at `JOINED` have no space before them."""
    trace = open_trace(DEMO)
    tokens = [
        replace(token, piece=token.piece.lstrip(), raw=token.raw.lstrip()) if token.position in JOINED else token
        for token in trace.tokens
    ]
    return replace(trace, tokens=tuple(tokens))


def full_matrix(trace: TraceData, layer: int) -> np.ndarray:
    """The matrix of a layer of the demo trace, mean over its heads, from the stored rows alone; 0 where nothing is
    seen.
    """
    size = len(trace.tokens) - 1
    matrix = np.zeros((size, size))
    matrix[: trace.n_prompt - 1, : trace.n_prompt] = np.tril(
        np.pad(trace.rows.prompt_rows(layer).astype(np.float64).mean(axis=0), ((0, 1), (0, 0)))
    )[: trace.n_prompt - 1]
    for step in trace.steps:
        row = trace.rows.mean_row(step.index, layer)
        matrix[trace.n_prompt - 1 + step.index, : len(row)] = row
    return matrix
