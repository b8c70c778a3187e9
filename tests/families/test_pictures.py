"""From a question to a picture for every family: recorded, read back from disk, painted where the patches are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video import api
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.families.table import TinyFamily
from tests.families.asking import pictures, sizes_of


@pytest.fixture
def painter(family: TinyFamily, family_model: Any, tmp_path: Path) -> FramePainter:
    trace = api.record(
        family_model, images=pictures(sizes_of(family)), question="What colour is it?", start_phrase="",
        max_new_tokens=3, output_dir=str(tmp_path),
    )  # fmt: skip
    scores = score(trace.data, trace.layers[-1], AnalysisSettings())
    return FramePainter(scores, RenderSettings(grid_lines=False))


def test_painted_cells_lie_where_the_patches_are_and_do_not_overlap(painter: FramePainter) -> None:
    layout = painter._scores.trace.layout
    frame = painter.frame(painter.n_frames - 1)
    for image, info in enumerate(layout.images):
        view = painter.images.views[image]
        left, top, right, bottom = view.box
        scale = np.array([right - left, bottom - top] * 2) / np.array([info.width, info.height] * 2)
        is_painted = layout.is_painted(image)
        cells = painter.patch_cells(image)[is_painted] - np.array([left, top, left, top])
        wanted = layout.patch_boxes(image)[is_painted] * scale
        assert np.abs(cells - wanted).max() <= 1 + scale.max() / 2
        times = np.zeros((bottom - top, right - left), dtype=int)
        for x0, y0, x1, y1 in cells.tolist():
            times[y0:y1, x0:x1] += 1
        assert times.max() == 1
        changed = (frame[top:bottom, left:right] != view.pixels).any(axis=2)
        ring = 6
        assert not changed[grown(times == 0, ring)].any(), "what is not seen stays as it is, but for the peak's rim"
        assert changed[times == 1].mean() > 0.9
        assert not painter.patch_cells(image)[~is_painted].any()


def grown(empty: np.ndarray, by: int) -> np.ndarray:
    """Where `empty` holds within `by` pixels on every side."""
    padded = np.pad(~empty, by)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * by + 1, 2 * by + 1))
    return ~windows.any(axis=(2, 3))
