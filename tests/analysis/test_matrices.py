"""The matrix of a plot: the numbers of the trace, summed over keys and averaged over queries, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.matrices import (
    AttentionMatrix,
    Line,
    MatrixChoice,
    attention_matrix,
    matrix_levels,
    positions_of,
    treated,
)
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.tracefile.read import open_trace
from tests.analysis.pieces import DEMO, demo_with_pieces, full_matrix
from tests.render.made import Made, make_trace, uneven_row

LAYER = 20


@pytest.fixture(scope="module")
def demo() -> TraceData:
    return open_trace(DEMO)


def row_of(trace: TraceData, query: int, layer: int = LAYER) -> np.ndarray:
    """The recorded row of an answer's query, mean over heads, by hand."""
    return trace.rows.mean_row(query - trace.n_prompt + 1, layer)


# --- rows and columns ------------------------------------------------------------------------------------------------


def test_text_columns_are_the_recorded_weights_and_an_image_is_the_sum_of_its_patches(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice())
    assert len(matrix.queries) == 53
    assert matrix.keys[0].image == 0
    assert [line.first for line in matrix.keys[1:]] == list(range(80, 166))  # the last token is a key of no query
    patches = demo.layout.patch_positions(0)
    for number, line in enumerate(matrix.queries):
        row = row_of(demo, line.first - 1)
        assert matrix.weights[0, number, 0] == pytest.approx(row[patches].sum(), abs=1e-6)
        np.testing.assert_allclose(matrix.weights[0, number, 1 : 1 + len(row) - 80], row[80:], atol=1e-7)
        assert np.isnan(matrix.weights[0, number, 1 + len(row) - 80 :]).all()


def test_all_columns_of_a_row_sum_to_what_the_row_sums_to(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice(show_prompt="full"))
    sums = np.nansum(matrix.weights[0], axis=1)
    np.testing.assert_allclose(sums, [row_of(demo, line.first - 1).sum() for line in matrix.queries], atol=1e-5)
    np.testing.assert_allclose(sums, 1, atol=2e-3)


def test_reading_names_a_row_by_its_query_and_leaves_out_the_last_token(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice(convention="reading"))
    assert [line.first for line in matrix.queries] == list(range(114, 166))
    np.testing.assert_allclose(matrix.weights[0, 5, 1:41], row_of(demo, 119)[80:120], atol=1e-7)


def test_one_head_and_each_head(demo: TraceData) -> None:
    each = attention_matrix(demo, LAYER, None, MatrixChoice())
    for head in range(4):
        one = attention_matrix(demo, LAYER, str(head), MatrixChoice())
        np.testing.assert_array_equal(one.weights[0], each.weights[head])
    rows = demo.rows.head_rows(7, LAYER)
    np.testing.assert_allclose(each.weights[:, 7, 1 : 1 + rows.shape[1] - 80], rows[:, 80:], atol=1e-7)


def test_every_patch_has_a_column_where_that_is_asked_for(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice(patches=True))
    patches = demo.layout.patch_positions(0)
    assert [line.first for line in matrix.keys[: patches.size]] == patches.tolist()
    assert [line.text for line in matrix.keys[:9]] == [*(f"r1 c{column}" for column in range(1, 9)), "r2 c1"]
    np.testing.assert_allclose(matrix.weights[0, 3, : patches.size], row_of(demo, 116)[patches], atol=1e-7)


def test_all_queries_have_the_rows_of_the_prompt_too(demo: TraceData) -> None:
    matrix = attention_matrix(demo, LAYER, "mean", MatrixChoice(queries="all", show_prompt="full"))
    plain = full_matrix(demo, LAYER)
    for number, line in enumerate(matrix.queries):
        queries = [position - 1 for position in positions_of(demo, line) if position > 0]
        for column, key in enumerate(matrix.keys):
            expected = plain[queries][:, list(positions_of(demo, key))].sum(axis=1).mean() if queries else np.nan
            if key.first <= max(queries):
                assert matrix.weights[0, number, column] == pytest.approx(expected, abs=1e-5), (line, key)
            else:
                assert np.isnan(matrix.weights[0, number, column])


def test_words_sum_over_keys_and_average_over_queries() -> None:
    trace = demo_with_pieces()
    plain = full_matrix(trace, LAYER)
    matrix = attention_matrix(trace, LAYER, "mean", MatrixChoice(words=True, queries="all"))
    words = {line.text.strip(): (number, line) for number, line in enumerate(matrix.queries)}
    number, line = words["topleft"]
    assert (line.first, line.stop) == (119, 121)
    column = next(place for place, key in enumerate(matrix.keys) if key.text.strip() == "thinkingprocess")
    assert matrix.weights[0, number, column] == pytest.approx(plain[118:120, 88:90].sum(axis=1).mean(), abs=1e-6)
    # A word sees itself only where its query stands behind it: the query of its last piece is its first piece.
    own = next(place for place, key in enumerate(matrix.keys) if key.text.strip() == "topleft")
    assert matrix.seen[number, own]
    assert matrix.weights[0, number, own] == pytest.approx(plain[119, 119] / 2, abs=1e-6)


def test_a_row_and_a_column_of_an_encoding_are_all_of_its_tokens() -> None:
    trace = open_trace(DEMO)
    size = trace.n_prompt
    square = np.random.default_rng(1).dirichlet(np.ones(size), size=(4, size)).astype(np.float32)

    class Square:
        def head_rows(self, step: int, layer: int) -> np.ndarray:
            raise KeyError((step, layer))

        mean_row = head_rows

        def prompt_rows(self, layer: int) -> np.ndarray:
            del layer
            return square

    header = replace(trace.header, kind="encoding", mean_layers=())
    encoding = replace(trace, header=header, tokens=trace.tokens[:size], steps=(), rows=Square())
    matrix = attention_matrix(encoding, LAYER, "1", MatrixChoice(patches=True))
    assert len(matrix.queries) == len(matrix.keys) == size
    assert matrix.seen.all()
    np.testing.assert_allclose(matrix.weights[0], square[1], atol=1e-7)


# --- sinks and scale -------------------------------------------------------------------------------------------------


def with_sink(step: int, layout: TokenLayout) -> np.ndarray:
    row = uneven_row(step, layout)
    row[0] = 3.0
    return np.asarray(row / row.sum(), dtype=np.float32)


@pytest.fixture
def sunk(tmp_path: Path) -> AttentionMatrix:
    trace = make_trace(tmp_path, Made(first_shown=0, row=with_sink, answer=tuple(" abcdefghij")))
    return attention_matrix(trace, 0, "mean", MatrixChoice())


def test_a_sink_is_found_and_sets_no_scale(sunk: AttentionMatrix) -> None:
    assert np.flatnonzero(sunk.is_sink).tolist() == [0]
    levels, scale = matrix_levels(sunk.weights, sunk, AnalysisSettings())
    assert scale is not None
    text = sunk.weights[0][:, ~sunk.is_image]
    assert scale.text_top <= np.nanmax(text[:, 1:]) * 1.001 < text[0, 0] / 10  # the scale's top is an fp16 number
    assert scale.text_clipped
    assert np.nanmax(levels[0, :, 1:]) > 0.9
    images = sunk.weights[0][:, sunk.is_image]
    assert scale.image_top == pytest.approx(images.max(), rel=1e-3)


def test_levels_are_the_weight_over_the_top_in_each_region(sunk: AttentionMatrix) -> None:
    levels, scale = matrix_levels(sunk.weights, sunk, AnalysisSettings(gamma=0.5))
    assert scale is not None
    tops = np.where(sunk.is_image, scale.image_top, scale.text_top)
    expected = np.sqrt(np.clip(sunk.weights / tops, 0, 1))
    np.testing.assert_allclose(levels[:, sunk.seen], expected[:, sunk.seen], atol=1e-6)
    joint = matrix_levels(sunk.weights, sunk, AnalysisSettings(scale_scope="joint"))[1]
    assert joint is not None
    assert joint.text_top == joint.image_top


def test_masked_sinks_have_no_value_and_images_stay_whole(sunk: AttentionMatrix) -> None:
    masked = treated(sunk, "mask")
    assert np.isnan(masked[0, :, 0]).all()
    np.testing.assert_array_equal(masked[0, :, 1:], sunk.weights[0, :, 1:])


def test_relative_weights_have_a_mean_of_one_over_the_rows_that_see_the_column(sunk: AttentionMatrix) -> None:
    relative = treated(sunk, "relative")[0]
    for column in range(len(sunk.keys)):
        if sunk.seen[:, column].any():
            assert relative[sunk.seen[:, column], column].mean() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("scope", ["region", "joint"])
def test_a_scale_per_row_reaches_the_top_in_every_row(sunk: AttentionMatrix, scope: str) -> None:
    levels, scale = matrix_levels(
        sunk.weights, sunk, AnalysisSettings(scale="per_frame", scale_scope=scope)  # type: ignore[arg-type]
    )  # fmt: skip
    assert scale is None
    text = ~sunk.is_image & ~sunk.is_sink
    tops = [np.nanmax(levels[0, row][text if scope == "region" else ~sunk.is_sink]) for row in range(len(levels[0]))]
    np.testing.assert_allclose(tops, 1)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 10**6))
def test_levels_of_any_weights_lie_between_0_and_1(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.gamma(0.2, 1, (2, rows, columns)).astype(np.float32)
    weights[rng.random(weights.shape) < 0.2] = rng.choice([np.nan, np.inf, -1.0, 0.0])
    keys = tuple(Line(place, place + 1, "x", image=0 if rng.random() < 0.3 else -1) for place in range(columns))
    matrix = AttentionMatrix(keys[:rows], keys, weights, np.ones((rows, columns), dtype=bool))
    for scale in ("shared", "per_frame"):
        levels, _ = matrix_levels(weights, matrix, AnalysisSettings(scale=scale))  # type: ignore[arg-type]
        usable = np.isfinite(weights) & (weights >= 0)
        assert np.isnan(levels[~usable]).all()
        assert ((levels[usable] >= 0) & (levels[usable] <= 1)).all()


# --- what cannot be made ---------------------------------------------------------------------------------------------


def test_rows_that_were_not_recorded_are_named_with_their_flag(tmp_path: Path, demo: TraceData) -> None:
    trace = make_trace(tmp_path, Made())
    with pytest.raises(TraceError, match=r"rows of the prompt were not recorded.*--record_rows all"):
        attention_matrix(trace, 0, "mean", MatrixChoice(queries="all"))
    header = replace(demo.header, head_layers=(3,), mean_layers=(3, 20))
    partial = replace(demo, header=header)
    with pytest.raises(TraceError, match=r"heads of layer 20 were not recorded one by one.*--layers 20"):
        attention_matrix(partial, 20, None, MatrixChoice())
    with pytest.raises(TraceError, match=r"head 2 of layer 20 was not recorded.*--layers 20"):
        attention_matrix(partial, 20, "2", MatrixChoice())
    with pytest.raises(TraceError, match=r"layer 5 was not recorded.*--layers 5"):
        attention_matrix(partial, 5, "mean", MatrixChoice())
    with pytest.raises(UsageError, match="layer 22 is out of range"):
        attention_matrix(demo, 22, "mean", MatrixChoice())


def test_nothing_to_plot_is_said(demo: TraceData) -> None:
    with pytest.raises(TraceError, match="nothing to render: no token was generated"):
        attention_matrix(replace(demo, steps=()), LAYER, "mean", MatrixChoice())


def test_each_row_is_told_of(demo: TraceData) -> None:
    told: list[int] = []
    attention_matrix(demo, LAYER, "mean", MatrixChoice(), lambda: told.append(1))
    assert len(told) == 53
