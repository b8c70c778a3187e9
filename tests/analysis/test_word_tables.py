"""Tables with merged pieces against plain numpy sums over lists of positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attnviz_video.analysis.tables import LayerRows, Table, make_table
from attnviz_video.analysis.word_tables import WordRows, make_word_table
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from tests.analysis.pieces import JOINED, demo_with_pieces, full_matrix

LAYER = 20


@pytest.fixture(scope="module")
def trace() -> TraceData:
    return demo_with_pieces()


def word_positions(trace: TraceData) -> list[list[int]]:
    """The positions of every word: the demo's pieces are words, but for those that were joined."""
    words: list[list[int]] = []
    for position in range(len(trace.tokens)):
        if position in JOINED:
            words[-1].append(position)
        else:
            words.append([position])
    return words


def merged(trace: TraceData) -> tuple[np.ndarray, list[list[int]], list[list[int]]]:
    """The word matrix of all queries: sums over keys, means over queries; NaN where no query of a word sees any key."""
    matrix, words = full_matrix(trace, LAYER), word_positions(trace)
    lines = [[position - 1 for position in word if position >= 1] for word in words]
    lines = [line for line in lines if line]
    found = np.full((len(lines), len(words)), np.nan)
    for row, line in enumerate(lines):
        for column, word in enumerate(words):
            keys = [key for key in word if key < matrix.shape[1]]
            if keys and keys[0] <= line[-1]:
                found[row, column] = np.mean([sum(matrix[query, key] for key in keys) for query in line])
    return found, lines, words


def test_the_matrix_of_words(trace: TraceData) -> None:
    table = make_word_table("weights", LayerRows(trace, LAYER, queries="all"))
    expected, lines, words = merged(trace)
    keys = [name for name in table.columns if name[0].isdigit()]
    found = np.stack([np.asarray(table.columns[name]) for name in keys], axis=1)
    assert table.columns["query"] == [line[0] for line in lines]
    assert [int(name.split()[0]) for name in keys] == [word[0] for word in words[: len(keys)]]
    np.testing.assert_allclose(found, expected[:, : len(keys)], atol=1e-6)
    np.testing.assert_allclose(np.nansum(found, axis=1), 1, atol=2e-3)
    assert " orangecircle" in table.columns["word"]
    assert "130  orangecircle" in keys


def test_rows_keep_their_sums(trace: TraceData) -> None:
    layer_rows = LayerRows(trace, LAYER, "1", "all")
    sums = {query: float(row.sum()) for query, row in layer_rows}
    for line in WordRows(layer_rows):
        expected = np.mean([sums[query] for query in line.queries])
        assert float(np.nansum(line.weights)) == pytest.approx(expected, abs=1e-6)


def test_given_are_the_heaviest_words(trace: TraceData) -> None:
    table = make_word_table("given", LayerRows(trace, LAYER), 3)
    expected, lines, words = merged(trace)
    place = {line[0]: row for row, line in enumerate(lines)}
    for query, produced, word, n_tokens, rank, key, key_word, key_tokens, weight in table.lines():
        row = np.nan_to_num(expected[place[query]], nan=-1)
        assert produced == query + 1
        assert n_tokens == len(lines[place[query]])
        assert weight == pytest.approx(np.sort(row)[-rank], abs=1e-6)
        column = next(number for number, own in enumerate(words) if own[0] == key)
        assert weight == pytest.approx(row[column], abs=1e-6)
        assert key_tokens == len(words[column])
        assert word == "".join(trace.tokens[position].piece for position in words_of(words, produced))
        if key_tokens == 2:
            assert key_word == "".join(trace.tokens[position].piece for position in words[column])
    assert 2 in table.columns["tokens"]
    assert 2 in table.columns["key_tokens"]


def words_of(words: list[list[int]], position: int) -> list[int]:
    return next(word for word in words if position in word)


def test_received_sums_the_columns_of_the_word_matrix(trace: TraceData) -> None:
    table = make_word_table("received", LayerRows(trace, LAYER, queries="all"))
    expected, lines, words = merged(trace)
    np.testing.assert_allclose(table.columns["received_sum"], np.nansum(expected, axis=0), atol=1e-5)
    seen = np.isfinite(expected).sum(axis=0)
    assert np.asarray(table.columns["words_that_see_it"]).tolist() == seen.tolist()
    assert float(np.sum(table.columns["received_sum"])) == pytest.approx(len(lines), rel=1e-3)
    assert "column sums over the words of all queries" in table.title
    assert list(table.columns["key_tokens"]) == [len(word) for word in words]
    column = next(number for number, word in enumerate(words) if word == [130, 131])
    assert table.columns["heaviest_query"][column] == lines[int(np.nanargmax(expected[:, column]))][0]


def test_shares_are_means_and_probabilities_products(trace: TraceData) -> None:
    plain = make_table("shares", LayerRows(trace, LAYER))
    table = make_word_table("shares", LayerRows(trace, LAYER))
    place = list(table.columns["query"]).index(129)
    own = [list(plain.columns["query"]).index(query) for query in (129, 130)]
    assert table.columns["tokens"][place] == 2
    for name in ("text_share", "image_1_share"):
        mean = np.mean([plain.columns[name][line] for line in own])
        assert table.columns[name][place] == pytest.approx(mean, abs=1e-6)
    product = plain.columns["probability"][own[0]] * plain.columns["probability"][own[1]]
    assert table.columns["word_probability"][place] == pytest.approx(product)
    expected, lines, _ = merged(trace)
    row = expected[[line[0] for line in lines].index(129)]
    positive = row[row > 0]
    assert table.columns["entropy"][place] == pytest.approx(-(positive * np.log(positive)).sum(), abs=1e-5)
    assert table.columns["maximum"][place] == pytest.approx(np.nanmax(row), abs=1e-6)


@pytest.mark.parametrize("name", ["given", "weights", "received", "shares"])
def test_every_title_says_what_was_merged(trace: TraceData, name: str) -> None:
    table: Table = make_word_table(name, LayerRows(trace, LAYER))  # type: ignore[arg-type]
    assert table.title.endswith("word pieces merged: summed over keys, averaged over queries")
    assert {len(column) for column in table.columns.values()} == {table.n_lines}


def test_candidates_are_not_merged(trace: TraceData) -> None:
    with pytest.raises(UsageError, match="--words has no effect on --what masked, which lists no attention; leave it"):
        make_word_table("masked", LayerRows(trace, LAYER))


def test_a_word_of_which_only_a_part_was_recorded_is_the_mean_of_that_part(trace: TraceData) -> None:
    steps = tuple(replace(step, recorded=step.index >= 17) for step in trace.steps)
    rows = WordRows(LayerRows(replace(trace, steps=steps), LAYER))
    first = next(iter(rows))
    assert first.queries == (130,)
    assert first.word.text == " orangecircle"
    np.testing.assert_allclose(first.row, full_matrix(trace, LAYER)[130, :131], atol=1e-7)


def test_a_maximum_over_heads_has_sums_of_words(trace: TraceData) -> None:
    plain = make_table("shares", LayerRows(trace, LAYER, "max"))
    table = make_word_table("shares", LayerRows(trace, LAYER, "max"))
    assert table.title.startswith("sums over every word's row (a maximum over heads does not sum to 1), layer 20")
    place = list(table.columns["query"]).index(129)
    own = [list(plain.columns["query"]).index(query) for query in (129, 130)]
    for name in ("text_sum", "image_1_sum", "row_sum"):
        mean = np.mean([plain.columns[name][line] for line in own])
        assert table.columns[name][place] == pytest.approx(mean, abs=1e-5)
    assert table.columns["row_sum"][place] > 1.01
    assert "entropy_of_row_over_its_sum" in table.columns
    assert not {"entropy", "text_share"} & set(table.columns)
