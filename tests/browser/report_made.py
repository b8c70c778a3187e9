"""Reports of planted traces for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.export.report.settings import ReportSettings
from attnviz_video.export.report.write import write_report
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.planted import planted_layout, planted_trace


def made(trace: TraceData, folder: Path, layer: int = 0, render: RenderSettings | None = None, **settings: Any) -> Path:
    """The report of `trace` in `folder`, with `layer` shown first."""
    asked = ReportSettings(output=folder / "report.html", **settings)
    look = render or RenderSettings()
    return write_report(trace, folder, (layer,), AnalysisSettings(), look, asked, Silent()).path


def with_pictures(folder: Path, sizes: Sequence[tuple[int, int]], grids: Sequence[tuple[int, int]]) -> TraceData:
    """Twelve steps over pictures of `sizes` (width, height); weights that differ everywhere, a sink at the start."""
    n_prompt = planted_layout(sizes, grids).n_prompt

    def row(step: int, layer: int) -> np.ndarray:
        heads = np.random.default_rng([step, layer]).gamma(0.4, 1.0, (3, n_prompt + step))
        heads[:, 0] = 0.4 * heads.sum(1)
        heads /= heads.sum(1, keepdims=True)
        return heads.astype(np.float16).astype(np.float32)

    answers = [f" word{number}" for number in range(12)]
    return planted_trace(folder, row, image_sizes=sizes, grids=grids, answer=answers, n_heads=3)
