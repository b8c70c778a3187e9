"""The demo model, end to end: the peak read back from the frames' pixels is the row's peak, and lies on the object."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.api import load, pictures_from
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.core.trace import TraceData
from attnviz_video.pipeline import record_sample
from attnviz_video.progress import Silent
from attnviz_video.sources.dataset import load_sample
from attnviz_video.tracefile.read import open_trace
from tests.truth import Truth, count_truth

ROOT = Path(__file__).resolve().parent.parent
LAYER = 20
#: 224 × 224 pixels, patches of 14, merged 2 × 2.
GRID = (8, 8)
SINGLE, PAIRS = range(6), range(2)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> list[TraceData]:
    """Recordings of the demo model on single images and on pairs."""
    folder = tmp_path_factory.mktemp("truth")
    base = {"model_path": str(ROOT / "samples/demo_model"), "image_dir": str(ROOT / "samples/images"),
            "layer_idx": [LAYER], "start_phrase": "", "max_new_tokens": 96}  # fmt: skip
    loaded = load(str(base["model_path"]), RunConfig())
    found = []
    for name, numbers in (("demo", SINGLE), ("demo_pairs", PAIRS)):
        for number in numbers:
            settings = {"benchmark_json": str(ROOT / f"samples/{name}.json"), "sample_idx": number,
                        "output_dir": str(folder / name)}  # fmt: skip
            config = replace_settings(RunConfig(), base | settings)
            sample = load_sample(config.source).sample
            recording = record_sample(sample, pictures_from((), sample), loaded, config, Silent())
            found.append(open_trace(recording.trace_folder))
    return found


def counted(traces: list[TraceData], faulty: list[TraceData] | None = None) -> Truth:
    truth = Truth()
    for raw, shown in zip(traces, faulty or traces, strict=True):
        count_truth(raw, shown, LAYER, GRID, truth)
    return truth


def test_pixels_show_the_peak_of_the_row(traces: list[TraceData]) -> None:
    truth = counted(traces)
    truth.check()
    assert truth.words >= 10
    # The model's maps point: far above the share of the image that a box covers (about a tenth).
    assert truth.in_box_by_pixels / truth.words >= 0.5


def test_swapped_rows_and_columns_are_found_out(traces: list[TraceData]) -> None:
    def swapped(trace: TraceData) -> TraceData:
        patch_of = trace.layout.patch_of.copy()
        patches = patch_of >= 0
        patch_of[patches] = patch_of[patches] % GRID[1] * GRID[0] + patch_of[patches] // GRID[1]
        return replace(trace, layout=replace(trace.layout, patch_of=patch_of))

    with pytest.raises(AssertionError, match="peak from pixels"):
        counted(traces[:3], [swapped(trace) for trace in traces[:3]]).check()


def test_a_wrong_grid_is_found_out(traces: list[TraceData]) -> None:
    def regridded(trace: TraceData) -> TraceData:
        grids = tuple(replace(grid, rows=grid.rows // 2, columns=grid.columns * 2) for grid in trace.layout.grids)
        return replace(trace, layout=replace(trace.layout, grids=grids))

    with pytest.raises(AssertionError, match="peak from pixels"):
        counted(traces[:3], [regridded(trace) for trace in traces[:3]]).check()


def test_a_row_off_by_one_is_found_out(traces: list[TraceData]) -> None:
    class Shifted:
        """Rows of the step after."""

        def __init__(self, trace: TraceData) -> None:
            self.trace = trace

        def mean_row(self, step: int, layer: int) -> np.ndarray:
            later = min(step + 1, len(self.trace.steps) - 1)
            return self.trace.rows.mean_row(later, layer)[: self.trace.n_prompt + step]

        def head_rows(self, step: int, layer: int) -> np.ndarray:
            later = min(step + 1, len(self.trace.steps) - 1)
            return self.trace.rows.head_rows(later, layer)[:, : self.trace.n_prompt + step]

        def prompt_rows(self, layer: int) -> np.ndarray:
            return self.trace.rows.prompt_rows(layer)

    with pytest.raises(AssertionError, match="peak from pixels"):
        counted(traces[:3], [replace(trace, rows=Shifted(trace)) for trace in traces[:3]]).check()
