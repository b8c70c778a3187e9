"""Plot `layers_heads`: the scalars of the trace, which are what its rows give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.colormaps import colormap
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.render.numbers import weight
from attnviz_video.tracefile.read import open_trace
from tests.analysis.pieces import DEMO
from tests.export.figures.figure_reading import SvgFigure
from tests.export.plots.drawn import caption, plotted
from tests.render.made import Made, make_trace


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(DEMO)


@pytest.fixture(scope="module")
def rows(demo: TraceData) -> list[np.ndarray]:
    """All recorded rows of every step: [layers, heads, keys], from the stored rows alone."""
    return [
        np.stack([demo.rows.head_rows(step, layer) for layer in range(22)]).astype(np.float64) for step in range(53)
    ]


def scalar_of(name: str, row: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """The number called `name` of rows [layers, heads, keys], by its definition."""
    if name == "image_share":
        return np.asarray(row[..., patches].sum(axis=-1))
    if name == "first_token":
        return np.asarray(row[..., 0])
    if name == "maximum":
        return np.asarray(row.max(axis=-1))
    return np.asarray(-(row * np.log(np.where(row > 0, row, 1.0))).sum(axis=-1))


def steps_of(figure: SvgFigure, n_rows: int, n_columns: int, name: str = "cells-1") -> np.ndarray:
    """Step of the colour map in the middle of every cell."""
    pixels = figure.picture(name)
    height, width = pixels.shape[:2]
    found = pixels[((np.arange(n_rows) + 0.5) * height / n_rows).astype(int)]
    found = found[:, ((np.arange(n_columns) + 0.5) * width / n_columns).astype(int)]
    distance = np.abs(found[:, :, None].astype(int) - colormap("reds").astype(int)).sum(axis=-1)
    assert distance.min(axis=-1).max() == 0
    return np.asarray(distance.argmin(axis=-1))


@pytest.mark.parametrize("name", ["image_share", "entropy", "first_token", "maximum"])
def test_the_cells_are_the_means_over_the_steps(
    demo: TraceData, rows: list[np.ndarray], tmp_path: Path, name: str
) -> None:
    expected = np.mean([scalar_of(name, row, demo.layout.patch_positions(0)) for row in rows], axis=0)
    figure = plotted(demo, tmp_path, "layers_heads", scalar=name)
    # 22 layers and 4 heads: the layers lie across.
    found = steps_of(figure, 4, 22).T
    low = expected.min() if name == "entropy" else 0.0
    steps = (expected - low) / (expected.max() - low) * 255
    assert np.abs(found - steps).max() < 2
    assert figure.text_of("bar-last") == weight(expected.max())
    assert figure.text_of("bar-first") == weight(low)
    layer, head = np.unravel_index(int(expected.argmax()), expected.shape)
    words = caption(figure)
    assert f"largest: {weight(expected.max())} at layer {layer} head {head}" in words
    assert "mean of 53 steps" in words


def test_one_step_is_the_row_of_that_step(demo: TraceData, rows: list[np.ndarray], tmp_path: Path) -> None:
    for convention, step in (("predicting", 30), ("reading", 31)):
        expected = scalar_of("image_share", rows[step], demo.layout.patch_positions(0))
        figure = plotted(demo, tmp_path, "layers_heads", step=31, convention=convention)
        assert np.abs(steps_of(figure, 4, 22).T - expected / expected.max() * 255).max() < 2
        assert "step 31 of 53" in caption(figure)
    with pytest.raises(UsageError, match=r"--step 53: nothing was written after this token.*--convention reading"):
        plotted(demo, tmp_path, "layers_heads", step=53, convention="reading")


def test_some_layers_only(demo: TraceData, rows: list[np.ndarray], tmp_path: Path) -> None:
    expected = np.mean([scalar_of("maximum", row, np.arange(0)) for row in rows], axis=0)[[3, 20]]
    figure = plotted(demo, tmp_path, "layers_heads", scalar="maximum", layer_idx=[20, 3])
    assert np.abs(steps_of(figure, 2, 4) - expected / expected.max() * 255).max() < 2
    assert [figure.text_of(f"cells-1-row-{row}") for row in range(2)] == ["3", "20"]


def test_two_images_have_a_map_each_where_there_is_room(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made(image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4))))
    figure = plotted(trace, tmp_path, "layers_heads")
    shares = [
        np.mean(
            [trace.rows.head_rows(step, 0)[:, trace.layout.patch_positions(image)].sum(axis=1) for step in range(6)]
        )
        for image in range(2)
    ]
    assert figure.text_of("bar-last") == weight(float(max(shares)))
    for image in range(2):
        found = steps_of(figure, 1, 2, f"cells-{image + 1}")
        assert np.abs(found - shares[image] / max(shares) * 255).max() < 2
        assert f"image {image + 1}" in figure.texts
    narrow = plotted(trace, tmp_path, "layers_heads", columns=1)
    assert not narrow.has("cells-2")
    assert narrow.text_of("bar-last") == weight(float(sum(shares)))


def test_what_cannot_be_drawn_is_said(demo: TraceData, tmp_path: Path) -> None:
    text = make_trace(tmp_path, Made(image_sizes=(), grids=()))
    with pytest.raises(UsageError, match="--scalar image_share: this trace has no image; choose --scalar entropy"):
        plotted(text, tmp_path, "layers_heads", scalar="image_share")
    assert "entropy of the row in nats" in plotted(text, tmp_path, "layers_heads").texts
    with pytest.raises(UsageError, match="--head 1: --what layers_heads shows every head; leave out --head"):
        plotted(demo, tmp_path, "layers_heads", head="1")
    fewer = replace(demo, header=replace(demo.header, scalar_layers=(0, 1)))
    with pytest.raises(TraceError, match=r"scalars of layer 5 are not in this trace; record again with --layers 5"):
        plotted(fewer, tmp_path, "layers_heads", layer_idx=[5])
    without = replace(demo, steps=tuple(replace(step, scalars=None) for step in demo.steps))
    with pytest.raises(TraceError, match="this trace holds no scalars of its layers"):
        plotted(without, tmp_path, "layers_heads")
