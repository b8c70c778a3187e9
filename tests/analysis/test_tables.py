"""Tables of a layer against plain numpy sums over the rows of the trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.tables import (
    TABLES,
    LayerRows,
    given,
    make_table,
    position_names,
    received,
    shares,
    weights,
)
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted import one_hot_row, planted_layout, planted_trace
from attnviz_video.tracefile.read import open_trace
from attnviz_video.views import Trace

DEMO = Path(__file__).parents[2] / "samples/demo_trace"
LAYER = 20


@pytest.fixture(scope="module")
def trace() -> TraceData:
    return open_trace(DEMO)


def full(trace: TraceData) -> np.ndarray:
    """The matrix of the layer, mean over its heads, from the stored rows alone; NaN where nothing is seen."""
    size = len(trace.tokens) - 1
    matrix = np.full((size, size), np.nan)
    for query, row in enumerate(trace.rows.prompt_rows(LAYER).astype(np.float64).mean(axis=0)):
        matrix[query, : query + 1] = row[: query + 1]
    for step in trace.steps:
        row = trace.rows.mean_row(step.index, LAYER)
        matrix[trace.n_prompt - 1 + step.index, : len(row)] = row
    return matrix


def test_the_matrix_holds_every_row_as_recorded(trace: TraceData) -> None:
    table = weights(LayerRows(trace, LAYER, queries="all"))
    keys = [column for column in table.columns if column[0].isdigit()]
    found = np.stack([np.asarray(table.columns[name]) for name in keys], axis=1)
    np.testing.assert_allclose(found, full(trace), atol=1e-6)
    assert table.columns["query"] == list(range(len(trace.tokens) - 1))
    assert keys[3] == f"3 {trace.tokens[3].piece}"


def test_given_are_the_heaviest_keys_of_each_row(trace: TraceData) -> None:
    table = given(LayerRows(trace, LAYER), top_keys=4)
    assert table.n_lines == 4 * len(trace.steps)
    matrix = np.nan_to_num(full(trace), nan=-1)
    for query, produced, token, rank, key, _, weight in table.lines():
        assert produced == query + 1
        assert token == trace.tokens[produced].piece
        assert weight == pytest.approx(np.sort(matrix[query])[-rank], abs=1e-6)
        assert weight == pytest.approx(matrix[query, key], abs=1e-6)


def test_received_sums_columns_and_given_rows_are_something_else(trace: TraceData) -> None:
    table, matrix = received(LayerRows(trace, LAYER, queries="all")), full(trace)
    np.testing.assert_allclose(np.asarray(table.columns["received_sum"])[:-1], np.nansum(matrix, axis=0), atol=1e-4)
    np.testing.assert_allclose(np.asarray(table.columns["received_mean"])[:-1], np.nanmean(matrix, axis=0), atol=1e-5)
    assert np.asarray(table.columns["queries_that_see_it"]).tolist()[:3] == [166, 165, 164]
    assert np.isnan(np.asarray(table.columns["received_mean"])[-1]), "no query sees the last token"
    heaviest = np.asarray(table.columns["heaviest_query"])[5]
    assert heaviest == np.nanargmax(matrix[:, 5])


def test_shares_of_a_row_are_one_together(trace: TraceData) -> None:
    table = shares(LayerRows(trace, LAYER, queries="all"))
    text, image = (np.asarray(table.columns[name]) for name in ("text_share", "image_1_share"))
    np.testing.assert_allclose(text + image, 1, atol=1e-5)
    row = full(trace)[130]
    patches = trace.layout.patch_positions(0)
    assert image[130] == pytest.approx(row[patches].sum() / np.nansum(row), abs=1e-5)
    positive = row[row > 0]
    assert table.columns["entropy"][130] == pytest.approx(-(positive * np.log(positive)).sum(), abs=1e-4)
    assert np.isnan(table.columns["probability"][3]), "the prompt was not produced"
    assert 0 < table.columns["probability"][130] <= 1


def test_patches_are_named_by_image_row_and_column(tmp_path: Path) -> None:
    layout = planted_layout([(320, 200), (100, 100)], [(4, 6), (2, 2)])
    made = planted_trace(tmp_path, one_hot_row(layout), image_sizes=((320, 200), (100, 100)), grids=((4, 6), (2, 2)))
    names = position_names(made)
    assert names[layout.patch_positions(0)[7]] == "image 1 row 2 col 2"
    assert names[layout.patch_positions(1)[3]] == "image 2 row 2 col 2"
    heaviest = given(LayerRows(made, 1, "0"), top_keys=1)
    assert heaviest.columns["key_token"][2] == "image 1 row 1 col 3"
    assert heaviest.title == "heaviest keys of every query, layer 1, head 0"


def test_what_was_not_recorded_is_refused(tmp_path: Path, trace: TraceData) -> None:
    made = planted_trace(tmp_path, one_hot_row(planted_layout([(320, 200)], [(4, 6)])))
    with pytest.raises(TraceError, match="rows of the prompt were not recorded .* --record_rows all"):
        LayerRows(made, 1, queries="all")
    with pytest.raises(UsageError, match="layer 99 is out of range"):
        LayerRows(trace, 99)
    with pytest.raises(UsageError, match="--head 77 is out of range"):
        LayerRows(trace, LAYER, "77")


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"masked"}))  # that one is of encodings: test_encoding.py
def test_every_table_has_columns_of_one_length(trace: TraceData, name: str) -> None:
    table = make_table(name, LayerRows(trace, LAYER, "max"))  # type: ignore[arg-type]
    assert {len(column) for column in table.columns.values()} == {table.n_lines}
    assert table.n_lines > 0


def test_the_prompts_rows_of_some_heads_have_no_mean(trace: TraceData) -> None:
    few = replace(trace, header=replace(trace.header, heads=(0, 2)))
    with pytest.raises(TraceError, match=r"hold 2 of 4 heads .*, which is no mean over heads; .*--heads all"):
        LayerRows(few, LAYER, queries="all")
    assert len(list(LayerRows(few, LAYER, "2", queries="all"))) == len(trace.tokens) - 1


def test_a_table_says_in_one_line_what_it_is(trace: TraceData) -> None:
    said = repr(given(LayerRows(trace, LAYER), top_keys=4))
    assert said.endswith(": 212 lines of query, produced, token, rank, key, key_token, weight)")
    assert repr(weights(LayerRows(trace, LAYER))).endswith(" more)")
    assert len(repr(weights(LayerRows(trace, LAYER)))) < 250


def test_a_maximum_over_heads_has_sums_and_no_shares(trace: TraceData) -> None:
    table = shares(LayerRows(trace, LAYER, "max"))
    assert list(table.columns) == [
        "query", "produced", "token", "probability", "text_sum", "image_1_sum", "row_sum", "first_token",
        "entropy_of_row_over_its_sum", "maximum",
    ]  # fmt: skip
    assert table.title == "sums over every row (a maximum over heads does not sum to 1), layer 20, max over heads"
    for step in (16, 30):
        row = trace.rows.head_rows(step, LAYER).astype(np.float64).max(axis=0)
        line = {name: column[step] for name, column in table.columns.items()}
        image = row[trace.layout.patch_positions(0)].sum()
        assert line["row_sum"] == pytest.approx(row.sum(), rel=1e-4)
        assert line["row_sum"] > 1.01
        assert line["image_1_sum"] == pytest.approx(image, rel=1e-3)
        assert line["text_sum"] == pytest.approx(row.sum() - image, rel=1e-3)
        part = row[row > 0] / row.sum()
        assert line["entropy_of_row_over_its_sum"] == pytest.approx(-(part * np.log(part)).sum(), abs=1e-4)
        assert line["maximum"] == pytest.approx(row.max())


@pytest.mark.parametrize(
    ("steps", "words"), [(None, "over answer queries"), ([4], "over step 4"), ([17, -1, 3], "over steps 3, 17, 53")]
)
def test_a_table_of_columns_names_the_steps_that_it_sums(steps: list[int] | None, words: str) -> None:
    for merged in (False, True):
        table = Trace(DEMO, open_trace(DEMO)).table("received", LAYER, steps=steps, words=merged)
        what = words.replace("over", "over the words of") if merged else words
        assert f"(column sums {what})" in table.title


def test_queries_that_are_no_steps_are_counted(trace: TraceData) -> None:
    assert LayerRows(trace, LAYER, queries="all", only=frozenset({3, 4, 130})).queries_in_words == "3 queries"
