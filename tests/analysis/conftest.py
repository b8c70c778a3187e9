"""Planted traces of chosen rows, for the analysis tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.core.trace import TraceData
from attnviz_video.testing.planted import planted_layout, planted_trace

#: Fills one row (all zeros when it comes) for a step.
Fill = Callable[[np.ndarray, int], None]


@pytest.fixture
def trace_of(tmp_path: Path) -> Callable[..., TraceData]:
    """Makes a trace of one layer whose heads all hold the row that `fill(row, step)` writes."""

    def make(
        fill: Fill, *, n_steps: int = 6, grids: tuple[tuple[int, int], ...] = ((4, 6),), n_heads: int = 2
    ) -> TraceData:
        sizes = tuple((320, 200) for _ in grids)
        n_prompt = planted_layout(sizes, grids).n_prompt

        def row(step: int, layer: int) -> np.ndarray:
            value = np.zeros(n_prompt + step, dtype=np.float32)
            fill(value, step)
            return np.tile(value, (n_heads, 1))

        answer = tuple(f" w{number}" for number in range(n_steps))
        return planted_trace(tmp_path, row, image_sizes=sizes, grids=grids, answer=answer, layers=(0,), n_heads=n_heads)

    return make
