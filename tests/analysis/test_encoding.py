"""One pass over a text: its queries in turn, its tables, its scale and its rollout, beside plain numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.heads import parse_head, reduce_heads
from attnviz_video.analysis.rollout import RESIDUAL, rollout
from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.tables import LayerRows, make_table
from attnviz_video.analysis.word_tables import make_word_table
from attnviz_video.errors import TraceError
from attnviz_video.testing.planted import planted_trace
from attnviz_video.testing.planted_encoding import planted_encoding

TRACE = planted_encoding()
N = 12


def test_every_token_is_a_step_with_its_own_row_over_all_tokens() -> None:
    steps = as_steps(TRACE)
    assert (steps.n_prompt, len(steps.steps), steps.n_queries) == (0, N, N)
    for query in range(N):
        np.testing.assert_array_equal(steps.rows.head_rows(query, 1), TRACE.rows.prompt_rows(1)[:, query])
        mean = TRACE.rows.prompt_rows(1)[:, query].mean(axis=0)
        np.testing.assert_allclose(steps.rows.mean_row(query, 1), mean, rtol=0, atol=1e-7)
        np.testing.assert_allclose(reduce_heads(steps, query, 1, parse_head("mean")), mean, rtol=0, atol=1e-7)
    assert as_steps(steps) is steps
    np.testing.assert_array_equal(steps.rows.prompt_rows(0), TRACE.rows.prompt_rows(0))


def test_its_scalars_are_those_of_its_rows() -> None:
    steps = as_steps(TRACE)
    assert steps.header.scalar_layers == (0, 1)
    for query, layer in ((0, 1), (7, 0)):
        row = TRACE.rows.prompt_rows(layer)[:, query].astype(np.float64)
        scalars = steps.steps[query].scalars
        assert scalars is not None
        assert scalars.image_share.shape == (2, 2, 0)
        np.testing.assert_allclose(scalars.first_token[layer], row[:, 0], rtol=1e-6)
        np.testing.assert_allclose(scalars.maximum[layer], row.max(-1), rtol=1e-6)
        np.testing.assert_allclose(scalars.entropy[layer], -(row * np.log(row)).sum(-1), rtol=1e-5)


def test_masks_have_their_candidates_and_other_tokens_none() -> None:
    steps = as_steps(TRACE).steps
    assert [len(step.candidates) for step in steps] == [0, 0, 0, 10, *[0] * 8]
    assert np.isnan(steps[3].log_probability)


def test_with_some_heads_there_are_neither_means_nor_scalars() -> None:
    steps = as_steps(planted_encoding(heads=(1,)))
    assert steps.header.scalar_layers == ()
    assert all(step.scalars is None for step in steps.steps)
    assert steps.rows.head_rows(3, 0).shape == (1, N)


def test_a_generation_stays_what_it_is(tmp_path: Path) -> None:
    trace = planted_trace(tmp_path, lambda step, layer: np.full((2, 32 + step), 1 / (32 + step), np.float32))
    assert as_steps(trace) is trace


def test_scores_are_of_all_tokens_but_the_current_one() -> None:
    """The scale is that of what is painted: in a frame, every unit but the blue one."""
    scores = score(as_steps(TRACE), 0, AnalysisSettings(scale="per_frame"))
    mean = TRACE.rows.prompt_rows(0).mean(axis=0)
    assert scores.n_frames == N
    for query in range(N):
        others = np.delete(mean[query], query)
        np.testing.assert_allclose(scores.scale(query).text_top, others.max(), rtol=1e-3)
        np.testing.assert_array_equal(scores.row(query), reduce_heads(as_steps(TRACE), query, 0, parse_head("mean")))


def test_without_its_steps_there_is_nothing_to_render() -> None:
    message = (
        "nothing to render: the trace is one pass of an encoder over a text, in which no token was generated; see it"
    )
    with pytest.raises(TraceError, match=message):
        score(TRACE, 0, AnalysisSettings())


@pytest.mark.parametrize("queries", ["answer", "all"])
def test_tables_take_every_query_whatever_is_asked_for(queries: str) -> None:
    rows = LayerRows(TRACE, 1, "1", queries)  # type: ignore[arg-type]
    matrix = TRACE.rows.prompt_rows(1)[1]
    table = make_table("weights", rows)
    assert list(table.columns)[:3] == ["query", "segment", "token"]
    assert list(table.columns["query"]) == list(range(N))
    assert table.columns["segment"] == ["sentence A"] * 8 + ["sentence B"] * 4
    assert table.columns["token"] == [token.piece for token in TRACE.tokens]
    np.testing.assert_array_equal(np.stack(list(table.columns.values())[3:], axis=1), matrix)


def test_what_tokens_look_at_and_what_they_receive() -> None:
    rows, matrix = LayerRows(TRACE, 0, "0"), TRACE.rows.prompt_rows(0)[0]
    given = make_table("given", rows, 1)
    assert given.columns["key"] == matrix.argmax(axis=1).tolist()
    received = make_table("received", rows)
    assert list(received.columns["queries_that_see_it"]) == [N] * N
    np.testing.assert_allclose(received.columns["received_sum"], matrix.sum(axis=0), rtol=1e-6)
    assert received.columns["segment"][8] == "sentence B"
    assert received.title.startswith("attention received by every position (column sums over all queries)")


def test_shares_are_of_the_sentences() -> None:
    matrix = TRACE.rows.prompt_rows(0)[0].astype(np.float64)
    columns = make_table("shares", LayerRows(TRACE, 0, "0")).columns
    np.testing.assert_allclose(columns["sentence_A_share"], matrix[:, :8].sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(columns["sentence_B_share"], matrix[:, 8:].sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(columns["own_token"], matrix.diagonal(), rtol=1e-6)
    np.testing.assert_allclose(columns["entropy"], -(matrix * np.log(matrix)).sum(axis=1), rtol=1e-5)
    assert "text_share" in make_table("shares", LayerRows(planted_encoding(second=()), 0)).columns


def test_masked_words_as_a_table() -> None:
    columns = make_table("masked", LayerRows(TRACE, 0)).columns
    assert columns["position"] == [3] * 10
    assert columns["rank"] == list(range(1, 11))
    assert columns["candidate"][:2] == ["word0", "word1"]
    assert columns["probability"][:2] == [0.5, 0.25]
    with pytest.raises(TraceError, match="holds no candidates for mask tokens; record a text with a mask"):
        make_table("masked", LayerRows(replace(TRACE, masked=()), 0))


def test_words_of_an_encoding_have_their_own_rows() -> None:
    trace = planted_encoding(("[CLS]", "sleep", "ing", " cat", "[SEP]"), ())
    matrix = trace.rows.prompt_rows(0).mean(axis=0, dtype=np.float64)
    table = make_word_table("weights", LayerRows(trace, 0))
    assert table.columns["word"] == ["[CLS]", "sleeping", " cat", "[SEP]"]
    assert table.columns["segment"] == ["text"] * 4
    summed = np.stack([matrix[:, 0], matrix[:, 1:3].sum(1), matrix[:, 3], matrix[:, 4]], axis=1)
    merged = np.stack([summed[0], summed[1:3].mean(0), summed[3], summed[4]])
    np.testing.assert_allclose(np.stack(list(table.columns.values())[3:], axis=1), merged, rtol=1e-5)


def test_rollout_is_over_all_queries_and_keys() -> None:
    mixed = [
        (1 - RESIDUAL) * TRACE.rows.prompt_rows(layer).mean(axis=0, dtype=np.float64) + RESIDUAL * np.eye(N)
        for layer in (0, 1)
    ]
    mixed = [one / one.sum(axis=1, keepdims=True) for one in mixed]
    for trace in (TRACE, as_steps(TRACE)):
        np.testing.assert_allclose(rollout(trace, 1), mixed[1] @ mixed[0], rtol=0, atol=1e-6)


def test_a_maximum_over_heads_has_sums_on_the_sentences() -> None:
    trace = planted_encoding()
    table = make_table("shares", LayerRows(trace, 1, "max"))
    row = trace.rows.prompt_rows(1)[:, 3].max(axis=0)
    line = {name: column[3] for name, column in table.columns.items()}
    assert line["sentence_A_sum"] == pytest.approx(row[:8].sum(), abs=1e-5)
    assert line["row_sum"] == pytest.approx(row.sum(), abs=1e-5)
    part = row / row.sum()
    assert line["entropy_of_row_over_its_sum"] == pytest.approx(-(part * np.log(part)).sum(), abs=1e-4)


def test_queries_of_an_encoding_are_named_in_a_table_of_columns() -> None:
    rows = LayerRows(planted_encoding(), 1, only=frozenset({2, 5}))
    assert make_table("received", rows).title.startswith(
        "attention received by every position (column sums over queries 3, 6), layer 1"
    )
