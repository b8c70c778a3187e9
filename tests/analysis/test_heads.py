"""Head reductions: which rows they take, and what is said when those were not recorded (FAULTS 17)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz_video.analysis.heads import (
    HeadReduction,
    heads_in_words,
    parse_head,
    reduce_heads,
    reduce_rows,
    resolve_layer,
)
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted import MemoryRows, planted_layout, planted_trace

LAYOUT = planted_layout([(320, 200)], [(4, 6)])
N_HEADS = 4
MEAN, MAX = HeadReduction("mean"), HeadReduction("max")


def row_of(step: int, layer: int) -> np.ndarray:
    rng = np.random.default_rng(100 * layer + step)
    values = rng.random((N_HEADS, LAYOUT.n_prompt + step), dtype=np.float32)
    return values / values.sum(axis=1, keepdims=True)


@pytest.fixture
def trace(tmp_path: Path) -> TraceData:
    return planted_trace(tmp_path, row_of, layers=(0, 1, 2), n_heads=N_HEADS)


def with_header(trace: TraceData, **changes: object) -> TraceData:
    return replace(trace, header=replace(trace.header, **changes))  # type: ignore[arg-type]


class MeansOnly(MemoryRows):
    def head_rows(self, step: int, layer: int) -> np.ndarray:
        raise AssertionError("single heads were read although the mean is stored")


class HeadsOnly(MemoryRows):
    def mean_row(self, step: int, layer: int) -> np.ndarray:
        raise AssertionError("the mean was read although it is not stored")


def test_the_names_of_reductions() -> None:
    assert parse_head("mean") == MEAN
    assert parse_head(" max ") == MAX
    assert parse_head("12") == HeadReduction("one", 12)
    assert [str(head) for head in (MEAN, MAX, parse_head("7"))] == ["mean over heads", "max over heads", "head 7"]


@pytest.mark.parametrize("text", ["", "median", "-1", "1.5", "0,1", "²", "Mean"])
def test_other_names_are_refused_with_the_valid_ones(text: str) -> None:
    with pytest.raises(
        UsageError, match=r"--head: expected mean, max or the number of a query head \(0, 1, …\), got '"
    ):
        parse_head(text)


def test_each_reduction(trace: TraceData) -> None:
    for step in range(3):
        rows = row_of(step, 1)
        np.testing.assert_allclose(reduce_heads(trace, step, 1, MEAN), rows.mean(axis=0), rtol=1e-6)
        np.testing.assert_array_equal(reduce_heads(trace, step, 1, MAX), rows.max(axis=0))
        np.testing.assert_array_equal(reduce_heads(trace, step, 1, HeadReduction("one", 2)), rows[2])


@given(
    rows=arrays(np.float32, (5, 7), elements=st.floats(0, 1, width=32)),
    order=st.permutations(range(5)),
)
def test_mean_and_maximum_do_not_depend_on_the_order_of_heads(rows: np.ndarray, order: list[int]) -> None:
    np.testing.assert_allclose(reduce_rows(rows[order], MEAN), reduce_rows(rows, MEAN), rtol=1e-6)
    np.testing.assert_array_equal(reduce_rows(rows[order], MAX), reduce_rows(rows, MAX))


def test_a_nan_in_any_head_stays_nan() -> None:
    rows = np.full((3, 4), 0.25, dtype=np.float32)
    rows[1, 2] = np.nan
    for head in (MEAN, MAX):
        assert np.flatnonzero(np.isnan(reduce_rows(rows, head))).tolist() == [2]


def test_the_stored_mean_is_used_where_there_is_one(trace: TraceData) -> None:
    assert isinstance(trace.rows, MemoryRows)
    stored = replace(trace, rows=MeansOnly(trace.rows.rows))
    np.testing.assert_allclose(reduce_heads(stored, 0, 1, MEAN), row_of(0, 1).mean(axis=0), rtol=1e-6)
    computed = with_header(replace(trace, rows=HeadsOnly(trace.rows.rows)), mean_layers=())
    np.testing.assert_allclose(reduce_heads(computed, 0, 1, MEAN), row_of(0, 1).mean(axis=0), rtol=1e-6)


def test_t24_a_head_is_found_by_its_number_and_not_by_its_place(trace: TraceData) -> None:
    assert isinstance(trace.rows, MemoryRows)
    kept = MemoryRows({key: rows[[3, 1]] for key, rows in trace.rows.rows.items()})
    some = with_header(replace(trace, rows=kept), heads=(3, 1))
    for head in (1, 3):
        np.testing.assert_array_equal(reduce_heads(some, 2, 0, HeadReduction("one", head)), row_of(2, 0)[head])


def test_layers_count_from_the_end_too(trace: TraceData) -> None:
    assert [resolve_layer(trace.header, layer) for layer in (0, 2, -1, -3)] == [0, 2, 2, 0]
    for layer in (3, -4):
        wanted = rf"layer {layer} is out of range: the model has layers 0 to 2 \(or -3 to -1\)"
        with pytest.raises(UsageError, match=wanted):
            resolve_layer(trace.header, layer)


def test_a_layer_that_was_not_recorded(trace: TraceData) -> None:
    some = with_header(trace, head_layers=(2,), mean_layers=(0, 2))
    wanted = r"layer 1 was not recorded in this trace: it holds layers 0, 2; record again with --layers 1$"
    with pytest.raises(TraceError, match=wanted):
        resolve_layer(some.header, -2)
    empty = with_header(trace, head_layers=(), mean_layers=())
    with pytest.raises(TraceError, match="it holds no layers; record again with --layers 1"):
        resolve_layer(empty.header, 1)


def test_heads_of_a_layer_that_has_only_a_mean(trace: TraceData) -> None:
    some = with_header(trace, head_layers=(2,))
    reduce_heads(some, 0, 1, MEAN)
    for head, name in ((MAX, "max over heads"), (HeadReduction("one", 0), "head 0")):
        wanted = rf"{name} of layer 1 was not recorded .* single heads of layer 2; record again with --layers 1, or"
        with pytest.raises(TraceError, match=wanted):
            reduce_heads(some, 0, 1, head)


def test_heads_that_were_not_recorded(trace: TraceData) -> None:
    some = with_header(trace, heads=(0, 2), mean_layers=())
    cases = ((HeadReduction("one", 1), "head 1", "1"), (MAX, "max over heads", "all"), (MEAN, "mean over heads", "all"))
    for head, name, flag in cases:
        wanted = rf"{name} of layer 1 was not recorded .*: it holds heads 0, 2 of 4; record again with --heads {flag}$"
        with pytest.raises(TraceError, match=wanted):
            reduce_heads(some, 0, 1, head)


def test_a_head_that_the_model_does_not_have(trace: TraceData) -> None:
    with pytest.raises(UsageError, match="--head 4 is out of range: the model has query heads 0 to 3"):
        reduce_heads(trace, 0, 0, HeadReduction("one", 4))


def test_a_row_of_a_wrong_length_is_an_error(trace: TraceData) -> None:
    assert isinstance(trace.rows, MemoryRows)
    short = replace(trace, rows=MemoryRows({key: rows[:, :-1] for key, rows in trace.rows.rows.items()}))
    wanted = "step 2, layer 1: expected rows of 34 keys, found 33; the trace is damaged, record it again"
    with pytest.raises(TraceError, match=wanted):
        reduce_heads(short, 2, 1, MEAN)


def test_heads_in_words() -> None:
    assert heads_in_words("mean", 28) == "mean of 28 heads"
    assert heads_in_words("3", 28) == "head 3"
    assert heads_in_words("max", 28) == "maximum of 28 heads (rows do not sum to 1)"
    assert heads_in_words("max", 28, short=True) == "maximum of 28 heads"
