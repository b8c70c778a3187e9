"""Plot `rollout`: the map and the text show the rolled row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.rollout import rollout
from attnviz_video.analysis.scale import level
from attnviz_video.colormaps import level_steps
from attnviz_video.config import PlotConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.plots.look import plain_look
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.export.plots.rollout import RolledStep, read_rollout
from attnviz_video.progress import Silent
from attnviz_video.render.heat import token_heat
from attnviz_video.testing.planted_encoding import planted_encoding
from attnviz_video.theme import theme
from tests.analysis.pieces import demo_with_pieces
from tests.export.plots.drawn import caption, plotted
from tests.export.plots.test_matrix import cells, painted, scale_top
from tests.render.made import Made, make_trace


@pytest.fixture(scope="module")
def trace() -> TraceData:
    return demo_with_pieces()


def read(trace: TraceData, layers: tuple[int, ...] = (), **settings: object) -> RolledStep:
    config = replace_settings(PlotConfig(), {"what": "rollout", **settings})
    look = plain_look(theme("light"), None)
    asked = layers or (trace.header.shown_layers or trace.header.head_layers)
    return read_rollout(
        PlotRequest(trace, Path("x"), asked, asked[0], bool(layers), config.analysis, config.render, config.plot, look,
                    Silent())
    )  # fmt: skip


def test_a_step_is_a_row_of_the_rollout(trace: TraceData) -> None:
    found = read(trace, (6,), step=18, start_layer=2, discard_ratio=0.25, residual=0.3)
    whole = rollout(trace, 6, start_layer=2, discard_ratio=0.25, residual=0.3)
    query = trace.n_prompt - 1 + 17
    assert found.row.shape == (query + 1,)
    np.testing.assert_allclose(found.row, whole[query, : query + 1], atol=1e-6)
    assert found.row.sum() == pytest.approx(1, abs=1e-5)
    weights = found.scores.frame(0)
    patches = trace.layout.patch_positions(0)
    np.testing.assert_allclose(weights.images[0], whole[query, patches], atol=1e-6)
    np.testing.assert_allclose(weights.text[80:110], whole[query, 80:110], atol=1e-6)
    assert weights.step == 17


def test_without_a_step_it_is_the_mean_and_ends_at_the_last_layer(trace: TraceData) -> None:
    found = read(trace, start_layer=18)
    whole = rollout(trace, 21, start_layer=18)
    np.testing.assert_allclose(found.row, whole[trace.n_prompt - 1 :].mean(axis=0), atol=1e-6)
    assert found.n_steps == 53


def test_reading_takes_the_row_of_the_token_itself(trace: TraceData) -> None:
    found = read(trace, (4,), step=18, convention="reading")
    whole = rollout(trace, 4)
    query = trace.n_prompt + 17
    np.testing.assert_allclose(found.row, whole[query, : query + 1], atol=1e-6)
    assert found.scores.frame(0).step == 17
    mean = read(trace, (4,), convention="reading")
    np.testing.assert_allclose(mean.row, whole[trace.n_prompt :].mean(axis=0), atol=1e-6)
    with pytest.raises(UsageError, match="--step 53: nothing was written after this token, so it has no row"):
        read(trace, (4,), step=53, convention="reading")


def test_the_text_is_painted_in_the_rolled_weights(trace: TraceData, tmp_path: Path) -> None:
    settings: dict[str, object] = {"step": 18, "layer_idx": 21, "start_layer": 14}
    figure = plotted(trace, tmp_path, "rollout", **settings)
    found = read(trace, (21,), step=18, start_layer=14)
    scale = found.scores.scale(0)
    paper = theme("light").color("panel.background")
    ramp = token_heat("red_green", "box", paper).ramp(paper)
    first = trace.header.start.first_shown
    row = found.row.astype(np.float32)
    # The first units that are shown are one token each, but for the word of two pieces, which stay two units.
    for unit in range(5):
        steps = level_steps(level(row[first + unit : first + unit + 1], scale, "text"))
        assert figure.fill_of(f"unit-{unit}-box") == tuple(ramp[int(steps[0])].tolist())
    assert "rollout per text token" in figure.texts
    assert "scale of this figure alone" in figure.texts
    assert "current token" in figure.texts
    words = caption(figure)
    for part in ("attention rollout, layers 14 to 21", "step 18, row that produced “circle”", "residual 0.5"):
        assert part in words


def test_a_mean_has_no_current_token(trace: TraceData, tmp_path: Path) -> None:
    figure = plotted(trace, tmp_path, "rollout", start_layer=19, discard_ratio=0.5, residual=0.25, columns=1)
    assert "current token" not in figure.texts
    blue = theme("light").color("token.current")
    boxes = [name for name in figure.ids if name.endswith("-box")]
    assert boxes
    assert all(figure.fill_of(name) != blue for name in boxes)
    words = caption(figure)
    for part in ("mean over 53 steps (rows that produced the tokens)", "residual 0.25", "lightest 50 % of each row"):
        assert part in words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start_layer": 9, "layer_idx": 4}, r"rollout from layer 9 to layer 4: expected 0 <= start <= end <= 21"),
        ({"layer_idx": [3, 4]}, "--what rollout ends at one layer; name one with --layer_idx"),
        ({"head": "2"}, "--what rollout takes the mean over the heads of each layer; leave out --head 2"),
        ({"discard_ratio": 1}, "discard_ratio: expected a number from 0 to 0.999, got 1"),
        ({"residual": -0.1}, "residual: expected a number from 0 to 0.999, got -0.1"),
    ],
)
def test_what_cannot_be_rolled_out(trace: TraceData, tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plotted(trace, tmp_path, "rollout", **settings)


def test_rows_that_were_not_recorded_name_the_flags(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="record again with --record_rows all --layers all --heads all"):
        plotted(make_trace(tmp_path, Made()), tmp_path, "rollout")


def test_the_rollout_of_an_encoding_is_a_matrix_of_its_queries(tmp_path: Path) -> None:
    trace = planted_encoding()
    size = len(trace.tokens)
    figure = plotted(trace, tmp_path, "rollout", residual=0.25, discard_ratio=0.5)
    whole = rollout(trace, 1, residual=0.25, discard_ratio=0.5)
    np.testing.assert_array_equal(cells(figure, size, size), painted(whole, scale_top(whole)))
    assert figure.text_of("bar-1-title") == "rollout per token"
    assert [figure.text_of(f"cells-row-{row}") for row in range(size)] == [one.piece.strip() for one in trace.tokens]
    words = caption(figure)
    for part in ("attention rollout, layers 0 to 1", "mean of 2 heads", "residual 0.25", "12 rows: all queries shown",
                 "lightest 50 % of each row discarded", "lines part sentence A from sentence B"):  # fmt: skip
        assert part in words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"step": 3}, "--step 3: the rollout of one pass over a text is a matrix of all its queries.*leave out --step"),
        ({"head": "1"}, "--what rollout takes the mean over the heads of each layer; leave out --head 1"),
        ({"start_layer": 1, "layer_idx": 0}, "rollout from layer 1 to layer 0: expected 0 <= start <= end <= 1"),
    ],
)
def test_what_cannot_be_rolled_out_of_an_encoding(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plotted(planted_encoding(), tmp_path, "rollout", **settings)
