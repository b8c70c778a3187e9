"""Plot `curves`: its lines and cells are the scalars of the trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.heads import parse_head
from attnviz_video.analysis.layer_curves import layer_curves, spread_layers
from attnviz_video.colormaps import colormap, level_steps
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted_encoding import planted_encoding
from tests.analysis.pieces import demo_with_pieces, full_matrix
from tests.export.plots.drawn import assert_one_axis, caption, plotted, points_of
from tests.render.made import Made, make_trace

TWO = Made(image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4)))


@pytest.fixture(scope="module")
def trace() -> TraceData:
    return demo_with_pieces()


def head_rows(trace: TraceData, layer: int) -> list[np.ndarray]:
    return [trace.rows.head_rows(step.index, layer).astype(np.float64) for step in trace.steps]


def test_scalars_are_those_of_the_rows(trace: TraceData) -> None:
    patches = trace.layout.patch_positions(0)
    share, entropy, first, most = layer_curves(
        trace, ("image_share", "entropy", "first_token", "maximum"), (3, 20), parse_head("mean")
    )
    for place, layer in enumerate((3, 20)):
        rows = head_rows(trace, layer)
        matrix = full_matrix(trace, layer)[trace.n_prompt - 1 :]
        np.testing.assert_allclose(share.values[:, place], matrix[:, patches].sum(axis=1), atol=2e-3)
        np.testing.assert_allclose(first.values[:, place], matrix[:, 0], atol=1e-3)
        np.testing.assert_allclose(most.values[:, place], [row.max(axis=1).mean() for row in rows], atol=1e-3)
        logs = [-(row * np.log(np.where(row > 0, row, 1))).sum(axis=1).mean() for row in rows]
        np.testing.assert_allclose(entropy.values[:, place], logs, atol=1e-2)
    one = layer_curves(trace, ("maximum",), (20,), parse_head("2"))[0]
    np.testing.assert_allclose(one.values[:, 0], [row[2].max() for row in head_rows(trace, 20)], atol=1e-3)
    largest = layer_curves(trace, ("first_token",), (20,), parse_head("max"))[0]
    np.testing.assert_allclose(largest.values[:, 0], [row[:, 0].max() for row in head_rows(trace, 20)], atol=1e-3)


def test_reading_shows_the_next_row_and_none_at_the_end(trace: TraceData) -> None:
    predicting = layer_curves(trace, ("entropy",), (7,), parse_head("mean"))[0].values
    reading = layer_curves(trace, ("entropy",), (7,), parse_head("mean"), "reading")[0].values
    np.testing.assert_array_equal(reading[:-1], predicting[1:])
    assert np.isnan(reading[-1]).all()


@pytest.mark.parametrize("columns", [1, 2])
def test_lines_are_the_numbers(trace: TraceData, tmp_path: Path, columns: int) -> None:
    figure = plotted(trace, tmp_path, "curves", layer_idx=[3, 20], columns=columns)
    for name, scalar in (("image_share-1", "image_share"), ("entropy", "entropy"), ("maximum", "maximum")):
        values = layer_curves(trace, (scalar,), (3, 20), parse_head("mean"))[0].values  # type: ignore[arg-type]
        lines = np.stack([points_of(figure, f"curve-{name}-layer{layer}") for layer in (3, 20)], axis=1)
        assert lines.shape == (53, 2, 2)
        assert_one_axis(lines[..., 1], values, upwards=True)
        assert_one_axis(lines[:, 0, 0], np.arange(53.0), upwards=False)
    assert {"thinking", "answer", "step", "image share", "entropy (nats)"} <= set(figure.texts)
    assert "53 steps · row that produced each token · mean of the values of 4 heads" in caption(figure)


def test_many_layers_are_cells(trace: TraceData, tmp_path: Path) -> None:
    figure = plotted(trace, tmp_path, "curves", layer_idx="all", scalar="entropy", dpi=150)
    values = layer_curves(trace, ("entropy",), range(22), parse_head("mean"))[0].values
    pixels = figure.picture("cells-entropy")
    height, width = pixels.shape[0] / 22, pixels.shape[1] / 53
    colors = colormap("reds")[level_steps(values.T / values.max())]
    for layer in range(22):
        for step in range(53):
            found = pixels[int((layer + 0.5) * height), int((step + 0.5) * width)]
            assert np.abs(found.astype(int) - colors[layer, step]).max() <= 1


def test_every_image_has_its_own_panel(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, TWO)
    figure = plotted(trace, tmp_path, "curves", scalar="image_share", layer_idx=0)
    assert {"share of image 1", "share of image 2"} <= set(figure.texts)
    for image in (0, 1):
        patches = trace.layout.patch_positions(image)
        values = np.array([trace.rows.mean_row(step, 0)[patches].sum() for step in range(6)])
        assert_one_axis(points_of(figure, f"curve-image_share-{image + 1}-layer0")[:, 1], values, upwards=True)


def test_layers_are_spread_over_the_depth_with_those_of_the_trace() -> None:
    assert spread_layers((20,), 22, 6) == (0, 4, 8, 13, 17, 20)
    assert spread_layers((), 3, 6) == (0, 1, 2)
    assert spread_layers((1, 2), 40, 2) == (1, 2)
    assert spread_layers((0,), 1, 6) == (0,)
    assert spread_layers(range(28), 28, 4) == (0, 9, 18, 27)


def test_one_step_is_a_point(tmp_path: Path) -> None:
    figure = plotted(make_trace(tmp_path, Made(answer=(" x",))), tmp_path, "curves", scalar="maximum")
    assert "1 steps" not in caption(figure)
    assert "1 step " in caption(figure)


def test_what_cannot_be_drawn(trace: TraceData, tmp_path: Path) -> None:
    no_image = make_trace(tmp_path, Made(image_sizes=(), grids=()))
    with pytest.raises(UsageError, match="--scalar image_share: this trace has no images; choose entropy, first_token"):
        plotted(no_image, tmp_path, "curves", scalar="image_share")
    assert "image share" not in plotted(no_image, tmp_path, "curves", layer_idx=0).texts
    with pytest.raises(UsageError, match=r"--head 9 is out of range: the model has query heads 0 to 3"):
        plotted(trace, tmp_path, "curves", head="9")
    lacking = replace(trace, header=replace(trace.header, scalar_layers=(0, 1)))
    with pytest.raises(TraceError, match=r"the scalars of layer 5 are not in this trace \(.* layers: 0, 1\); record"):
        plotted(lacking, tmp_path, "curves", layer_idx=5)


def test_an_encoding_has_a_value_for_every_token(tmp_path: Path) -> None:
    trace = planted_encoding(n_layers=3)
    figure = plotted(trace, tmp_path, "curves", scalar="maximum", layer_idx=[0, 2])
    for layer in (0, 2):
        values = trace.rows.prompt_rows(layer).astype(np.float64).max(axis=2).mean(axis=0)
        assert_one_axis(points_of(figure, f"curve-maximum-layer{layer}")[:, 1], values, upwards=True)
    assert "12 tokens · row of each token" in caption(figure)
    assert "token" in figure.texts
