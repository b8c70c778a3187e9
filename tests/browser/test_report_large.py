"""The report of a long answer of a large model: its size, and how soon it can be used."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.step import StepScalars
from attnviz_video.core.trace import TraceData
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import write_report
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.planted import planted_tokens, planted_trace

LAYERS, HEADS, STEPS, PROMPT = 28, 28, 256, 2250
GRID = (44, 50)
LARGEST = 30_000_000


@dataclass(frozen=True)
class SpreadRows:
    """Rows made when they are read: a sink of 0.4; the rest spread log-normally over all positions, most of it the same
    at every step (standard deviation 1.2), some of it new (0.8).
    """

    kept: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)

    def _row(self, step: int, layer: int, head: int) -> np.ndarray:
        if (layer, head) not in self.kept:
            self.kept[layer, head] = np.random.default_rng([layer, head]).normal(0, 1.2, PROMPT + STEPS)
        keys = PROMPT + step
        new = np.random.default_rng([step, layer, head]).standard_normal(keys, dtype=np.float32)
        weights = np.exp(self.kept[layer, head][:keys] + 0.8 * new)
        weights *= 0.6 / weights.sum()
        weights[0] += 0.4
        return weights.astype(np.float16).astype(np.float32)

    def head_rows(self, step: int, layer: int) -> np.ndarray:
        return np.stack([self._row(step, layer, head) for head in range(HEADS)])

    def mean_row(self, step: int, layer: int) -> np.ndarray:
        return self._row(step, layer, HEADS)

    def prompt_rows(self, layer: int) -> np.ndarray:
        raise KeyError(layer)


def large_trace(folder: Path) -> TraceData:
    def nothing(step: int, layer: int) -> np.ndarray:
        return np.zeros((1, n_short + step), dtype=np.float32)

    n_short = GRID[0] * GRID[1] + 8
    trace = planted_trace(
        folder, nothing, image_sizes=((1400, 1232),), grids=(GRID,), answer=(" x",), layers=(0,), n_heads=1
    )
    text = np.full(PROMPT - n_short, -1)
    image_of, patch_of = trace.layout.image_of, trace.layout.patch_of
    layout = replace(trace.layout, image_of=np.concatenate([image_of, text]), patch_of=np.concatenate([patch_of, text]))
    rng = np.random.default_rng(0)

    def scalars() -> StepScalars:
        shares, first, entropy, maximum = rng.random((4, LAYERS, HEADS), dtype=np.float32)
        return StepScalars(shares[..., np.newaxis], first, 8 * entropy, maximum)

    model = replace(trace.header.model, n_layers=LAYERS, n_heads=HEADS, n_kv_heads=4, layer_kinds=("full",) * LAYERS)
    layers = tuple(range(LAYERS))
    header = replace(
        trace.header, model=model, head_layers=layers, mean_layers=layers, scalar_layers=layers,
        heads=tuple(range(HEADS)), start=replace(trace.header.start, first_shown=PROMPT - 40),
    )  # fmt: skip
    steps = tuple(replace(trace.steps[0], index=index, scalars=scalars()) for index in range(STEPS))
    tokens = planted_tokens(layout, [f" word{number}" for number in range(STEPS)])
    return replace(trace, header=header, layout=layout, tokens=tokens, steps=steps, rows=SpreadRows())


@pytest.mark.slow
def test_a_large_report_is_small_enough_and_soon_there(open_report: Any, tmp_path: Path) -> None:
    settings = ReportSettings(output=tmp_path / "large.html")
    trace = large_trace(tmp_path)
    path = write_report(trace, tmp_path, (20,), AnalysisSettings(), RenderSettings(), settings, Silent()).path
    assert path.stat().st_size <= LARGEST
    times = []
    for _ in range(3):
        page = open_report(path)
        times.append(page.page.evaluate("performance.now()"))
    assert min(times) < 2000
    page.go_to(200)
    kept = np.float32(page.page.evaluate("attnviz.weightsOf(20, '5', 200)"))
    assert np.abs(kept - trace.rows.head_rows(200, 20)[5]).max() <= 0.5001e-5
    assert page.page.evaluate("JSON.parse(document.getElementById('data').textContent).headLayers") == [20]
