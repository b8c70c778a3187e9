"""Rollout against matrices multiplied by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.rollout import discard, rollout, rollout_from, with_residual
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.testing.planted import one_hot_row, planted_layout, planted_trace
from attnviz_video.tracefile.read import open_trace

DEMO = Path(__file__).parents[2] / "samples/demo_trace"


def test_two_layers_by_hand() -> None:
    one = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]], np.float32)
    two = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    rolled = with_residual(two) @ with_residual(one)
    np.testing.assert_allclose(
        rolled[2], 0.5 * np.array([0.1, 0.15, 0.75]) + 0.5 * np.array([0.25, 0.75, 0]), atol=1e-6
    )


def test_rows_that_do_not_sum_to_one_are_made_to() -> None:
    np.testing.assert_allclose(with_residual(np.full((2, 2), 0.25, np.float32)).sum(axis=1), 1, atol=1e-6)


def test_the_lightest_weights_of_what_a_query_sees_are_discarded() -> None:
    matrix = np.array([[1, 0, 0, 0], [0.4, 0.6, 0, 0], [0.2, 0.3, 0.5, 0], [0.1, 0.4, 0.3, 0.2]], np.float32)
    expected = np.array([[1, 0, 0, 0], [0, 0.6, 0, 0], [0, 0.3, 0.5, 0], [0, 0.4, 0.3, 0]], np.float32)
    np.testing.assert_array_equal(discard(matrix, 0.5), expected)
    np.testing.assert_array_equal(discard(matrix, 0.0), matrix)
    both_ways = discard(np.array([[0.5, 0.2, 0.3], [0.1, 0.8, 0.1]], np.float32), 0.4, causal=False)
    np.testing.assert_array_equal(both_ways, np.array([[0.5, 0, 0.3], [0, 0.8, 0.1]], np.float32))


def test_the_demo_trace_layer_by_layer() -> None:
    trace, told = open_trace(DEMO), []
    rolled = rollout(trace, 3, start_layer=1, on_layer=told.append)
    size = len(trace.tokens) - 1
    expected = np.eye(size)
    for layer in (1, 2, 3):
        matrix = np.zeros((size, size))
        for query, row in enumerate(trace.rows.prompt_rows(layer).astype(np.float64).mean(axis=0)):
            matrix[query, : trace.n_prompt] = row
        for step in trace.steps:
            row = trace.rows.head_rows(step.index, layer).astype(np.float64).mean(axis=0)
            matrix[trace.n_prompt - 1 + step.index, : len(row)] = row
        mixed = (matrix + np.eye(size)) / 2
        expected = mixed / mixed.sum(axis=1, keepdims=True) @ expected
    np.testing.assert_allclose(rolled, expected, atol=1e-5)
    np.testing.assert_allclose(rolled.sum(axis=1), 1, atol=1e-5)
    assert not np.triu(rolled, 1).any(), "nothing comes from what stands later"
    assert told == [1, 2, 3]


def test_what_cannot_be_rolled_out_is_refused(tmp_path: Path) -> None:
    made = planted_trace(tmp_path, one_hot_row(planted_layout([(320, 200)], [(4, 6)])))
    with pytest.raises(TraceError, match="record again with --record_rows all --layers all --heads all"):
        rollout(made, 1)
    with pytest.raises(UsageError, match=r"rollout from layer 1 to layer 0: expected 0 <= start <= end <= 1"):
        rollout(made, 0, start_layer=1)
    with pytest.raises(UsageError, match=r"--discard_ratio: expected 0 up to .* got 1"):
        rollout(made, 1, discard_ratio=1.0)


def test_mixtures_of_queries_give_the_rows_of_the_whole_rollout() -> None:
    trace = open_trace(DEMO)
    size = len(trace.tokens) - 1
    lines = np.zeros((2, size))
    lines[0, 140] = 1
    lines[1, trace.n_prompt - 1 :] = 1 / len(trace.steps)
    for chosen in ({}, {"start_layer": 2, "discard_ratio": 0.3, "residual": 0.25}):
        whole = rollout(trace, 4, **chosen)  # type: ignore[arg-type]
        found = rollout_from(trace, 4, lines, **chosen)  # type: ignore[arg-type]
        np.testing.assert_allclose(found[0], whole[140], atol=1e-6)
        np.testing.assert_allclose(found[1], whole[trace.n_prompt - 1 :].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_the_part_of_the_residual_connection_can_be_set() -> None:
    matrix = np.array([[1, 0], [0.4, 0.6]], np.float32)
    np.testing.assert_allclose(with_residual(matrix, 0.0), matrix)
    np.testing.assert_allclose(with_residual(matrix, 0.75)[1], [0.1, 0.9], atol=1e-7)
    np.testing.assert_array_equal(with_residual(np.zeros((2, 2), np.float32), 0.0), np.eye(2))
    with pytest.raises(UsageError, match=r"--residual: expected 0 up to .* got 1"):
        rollout(open_trace(DEMO), 3, residual=1.0)
