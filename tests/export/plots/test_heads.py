"""Plot `heads`: every recorded head in the order of its number, on one scale, as the rows of the trace say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.head_images import head_images
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.figures.fonts import FigureFonts
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.plots.heads import grid_of
from attnviz_video.render.numbers import percent
from attnviz_video.testing.planted import planted_layout, planted_trace
from attnviz_video.tracefile.read import open_trace
from tests.analysis.pieces import DEMO
from tests.export.plots.drawn import caption, plotted
from tests.export.plots.test_matrix import painted

LAYER = 20


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(DEMO)


def three_heads(folder: Path) -> TraceData:
    """Head h looks at patch h of the image with a weight of 0.2 (h + 1), and at the first token."""
    layout = planted_layout([(320, 200)], [(4, 6)])
    patches = layout.patch_positions(0)

    def row(step: int, layer: int) -> np.ndarray:
        del layer
        rows = np.zeros((3, layout.n_prompt + step), dtype=np.float32)
        for head in range(3):
            rows[head, patches[head]] = 0.2 * (head + 1)
            rows[head, 1] = 1 - 0.2 * (head + 1)
        return rows

    return planted_trace(folder, row, layers=(0,), n_heads=3)


def test_small_matrices_have_the_colours_of_their_head(demo: TraceData, tmp_path: Path) -> None:
    figure = plotted(demo, tmp_path, "heads", layer_idx=LAYER, show_prompt="none")
    rows = [demo.rows.head_rows(step, LAYER) for step in range(53)]
    assert [figure.text_of(f"head-{head}") for head in range(4)] == ["head 0", "head 1", "head 2", "head 3"]
    for head in range(4):
        pixels = figure.picture(f"cells-{head}")
        least = 114
        for step in (7, 30, 52):
            line = pixels[int((step + 0.5) * pixels.shape[0] / 53)]
            weights = rows[step][head, least:]
            # The image's column first, a twentieth of the panel; then one column for each of 52 tokens.
            start = line.shape[0] / 20
            places = (start + (np.arange(step) + 0.5) * (line.shape[0] - start) / 52).astype(int)
            np.testing.assert_array_equal(line[places], painted(weights, 1.0))
            image = rows[step][head, demo.layout.patch_positions(0)].sum()
            np.testing.assert_array_equal(line[2], painted(np.array(image), 1.0))
    assert figure.text_of("bar-1-last").removeprefix("≥ ") == "1.0"


def test_the_panels_and_the_caption(demo: TraceData, tmp_path: Path) -> None:
    words = caption(plotted(demo, tmp_path, "heads", layer_idx=LAYER, columns=1))
    for part in ("layer 20 of 0–21", "attention, all 4 heads", "53 rows: queries of the answer",
                 "rows from above: token that the query produced; columns from the left: key"):  # fmt: skip
        assert part in words


def test_heads_are_sorted_by_number_whatever_their_place_in_the_trace(tmp_path: Path) -> None:
    trace = three_heads(tmp_path)
    header = replace(trace.header, heads=(2, 0, 1), model=replace(trace.header.model, n_heads=5), mean_layers=())
    figure = plotted(replace(trace, header=header), tmp_path, "heads", step=1)
    shares = [figure.text_of(f"share-{head}") for head in (2, 0, 1)]
    assert shares == ["20.0 %", "40.0 %", "60.0 %"]
    assert "the 3 recorded of 5 heads" in caption(figure)
    left = [figure.source.index(f'id="head-{head}"') for head in range(3)]
    assert left == sorted(left)


def test_image_maps_show_the_weights_of_each_head_on_one_scale(tmp_path: Path) -> None:
    trace = three_heads(tmp_path)
    found = head_images(trace, 0, 2, AnalysisSettings())
    for head in range(3):
        expected = np.zeros(24)
        expected[head] = 0.2 * (head + 1)
        np.testing.assert_allclose(found.images[0][head], expected, atol=1e-6)
        assert found.shares[head, 0] == pytest.approx(0.2 * (head + 1))
    assert found.scale.image_top == pytest.approx(0.6, rel=1e-3)
    figure = plotted(trace, tmp_path, "heads", step=3)
    assert [figure.text_of(f"share-{head}") for head in range(3)] == [percent(0.2), percent(0.4), percent(0.6)]
    assert figure.text_of("bar-1-last") == "0.60"
    assert "step 3 of 6: row that produced “circle”" in caption(figure)
    # Only its own patch differs from the wash of weight 0, and the more the heavier it is.
    pictures = [figure.picture(f"head{head}-picture1").astype(int) for head in range(3)]
    height, width = pictures[0].shape[:2]
    changes = []
    for head in range(3):
        row, column = height // 8, int((head + 0.5) * width / 6)
        changes.append(pictures[head][row, column, 1] - pictures[(head + 1) % 3][row, column, 1])
    assert changes[0] < changes[1] < changes[2]
    assert changes[0] > 0


def test_the_marks_on_image_maps_are_explained(tmp_path: Path) -> None:
    figure = plotted(three_heads(tmp_path), tmp_path, "heads", step=3)
    assert "peak patch" in figure.texts
    assert "no value" not in figure.texts
    small = plotted(open_trace(DEMO), tmp_path, "heads", layer_idx=LAYER)
    assert "peak patch" not in small.texts, "small matrices have no outline"


def test_small_matrices_say_what_they_leave_out(demo: TraceData, tmp_path: Path) -> None:
    words = caption(plotted(demo, tmp_path, "heads", layer_idx=LAYER))
    assert "prompt text not shown: mean 1.1 %, at most 100.0 % of a row" in words


def test_conventions_and_sinks_of_image_maps(tmp_path: Path) -> None:
    trace = three_heads(tmp_path)
    words = caption(plotted(trace, tmp_path, "heads", step=3, convention="reading", sinks="relative"))
    assert "row of “circle”" in words
    assert "weights over the mean of their patch" in words
    with pytest.raises(UsageError, match="nothing was written after the last token.*--convention reading"):
        plotted(trace, tmp_path, "heads", step=-1, convention="reading")
    relative = head_images(trace, 0, 2, AnalysisSettings(sinks="relative"))
    for head in range(3):
        assert relative.images[0][head, head] == pytest.approx(1)


def test_panels_fill_the_width_in_even_rows() -> None:
    sheet = Sheet(504.0, (255, 255, 255), FigureFonts(), 100)
    for count in (1, 2, 4, 8, 12, 16, 28, 32, 40, 64):
        grid = grid_of(sheet, count, lambda width: width * 0.7 + 9)
        n_rows = -(-count // grid.per_row)
        assert n_rows * grid.per_row - count < n_rows
        right = grid.left + grid.per_row * grid.width + (grid.per_row - 1) * 6
        assert right <= 501 + 1e-6
        assert grid.width >= 50
        assert grid.width <= 165 or count == 1
    assert grid_of(sheet, 4, lambda width: width).per_row == 4


def test_what_cannot_be_drawn_is_said(demo: TraceData, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--head 2: --what heads shows every recorded head; .*--what matrix"):
        plotted(demo, tmp_path, "heads", layer_idx=LAYER, head="2")
    partial = replace(demo, header=replace(demo.header, head_layers=(3,)))
    for step in (None, 4):
        with pytest.raises(TraceError, match=r"heads of layer 20 were not recorded one by one.*--layers 20"):
            plotted(partial, tmp_path, "heads", layer_idx=LAYER, step=step)
    text = planted_trace(
        tmp_path, lambda step, layer: np.full((2, 6 + step), 0.1, np.float32), image_sizes=(), grids=()
    )
    with pytest.raises(UsageError, match="--step: this trace has no image to show the heads on; leave out --step"):
        plotted(text, tmp_path, "heads", step=1, layer_idx=0)
    with pytest.raises(UsageError, match="step"):
        plotted(demo, tmp_path, "heads", step=54)
