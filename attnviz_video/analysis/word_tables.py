"""The tables of `analysis.tables` with word pieces merged: one line and one column per word instead of per token.

Weights are summed over the pieces of a key word and averaged over the rows of the pieces of a query word (see
`analysis.words`), so rows still sum to 1. The row of a token is the one that produced it, as in `analysis.tables`; in
an encoding, where nothing is produced, its own. Columns that count words are not named like those that count tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from attnviz_video.analysis.regions import regions_of
from attnviz_video.analysis.tables import (
    LayerRows,
    Table,
    TableName,
    entropy_column,
    line_columns,
    line_names,
    part_word,
    position_names,
    region_parts,
    row_entropy,
    row_sum_column,
    shares_title,
)
from attnviz_video.analysis.words import WORDS_CAPTION, Word, merge_matrix, merge_words, word_groups
from attnviz_video.errors import UsageError


@dataclass(frozen=True, eq=False)
class WordRow:
    """What the queries that produced one word looked at."""

    #: The word that was produced; of its tokens, those whose rows were taken.
    word: Word
    #: Positions of the queries, in order.
    queries: tuple[int, ...]
    #: Weight of every key word, in the order of `WordRows.words`, float64; NaN where no query of this word sees it.
    weights: Float[np.ndarray, "words"]
    #: The mean of the rows over positions, before keys were merged, as far as the last query sees.
    row: Float[np.ndarray, "keys"]


@dataclass(frozen=True, eq=False)
class WordRows:
    """The rows of one layer, merged to words."""

    rows: LayerRows

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """All words of prompt and answer; every patch stands for itself."""
        return merge_words(self.rows.trace.tokens)

    @cached_property
    def key_groups(self) -> Int[np.ndarray, "words 2"]:
        """Positions [first, stop) of every word."""
        return word_groups(self.words, range(len(self.rows.trace.tokens)))[1]

    @cached_property
    def names(self) -> list[str]:
        """The text of every word, or the patch that it is, as `position_names` gives them."""
        positions = position_names(self.rows.trace)
        return [word.text if word.text and word.image < 0 else positions[word.first] for word in self.words]

    @property
    def title(self) -> str:
        """Which rows these are, in words."""
        return f"{self.rows.title}, {WORDS_CAPTION}"

    def __iter__(self) -> Iterator[WordRow]:
        n_positions = len(self.rows.trace.tokens)
        owner = np.zeros(n_positions + 1, dtype=np.int64)
        for number, (first, stop) in enumerate(self.key_groups):
            owner[first:stop] = number
        shift = 0 if self.rows.trace.is_encoding else 1
        for number, run in groupby(self.rows, key=lambda pair: int(owner[pair[0] + shift])):
            pairs = list(run)
            size = max(len(row) for _, row in pairs)
            matrix = np.stack([np.pad(row.astype(np.float64), (0, n_positions - len(row))) for _, row in pairs])
            merged = merge_matrix(matrix, np.array([[0, len(pairs)]]), self.key_groups)[0]
            merged[self.key_groups[:, 0] >= size] = np.nan
            queries = tuple(query for query, _ in pairs)
            yield WordRow(self.words[number], queries, merged, matrix[:, :size].mean(axis=0))


def given(rows: WordRows, top_keys: int = 10) -> Table:
    """The `top_keys` heaviest key words of every produced word, heaviest first; of equal ones the earlier first."""
    names = (*_name_columns(rows), "tokens", "rank", "key", "key_word", "key_tokens", "weight")
    found: dict[str, list[Any]] = {name: [] for name in names}
    for line in rows:
        order = np.argsort(-np.nan_to_num(line.weights, nan=-1.0), kind="stable")[:top_keys]
        for rank, key in enumerate(order[np.isfinite(line.weights[order])].tolist(), 1):
            word = rows.words[key]
            values = (*_line_names(rows, line), len(line.queries), rank, word.first, rows.names[key], word.n_tokens,
                      float(line.weights[key]))  # fmt: skip
            for column, value in zip(found.values(), values, strict=True):
                column.append(value)
    return Table(f"heaviest key words of every word, {rows.title}", found)


def weights(rows: WordRows) -> Table:
    """The attention matrix over words: one line per produced word, one column per key word."""
    lines = list(rows)
    columns = _line_columns(rows, lines)
    seen = [np.isfinite(line.weights).nonzero()[0].max(initial=-1) for line in lines]
    last = int(max(seen, default=-1))
    for key in range(last + 1):
        columns[f"{rows.words[key].first} {rows.names[key]}"] = np.array(
            [line.weights[key] for line in lines], dtype=np.float32
        )
    return Table(f"attention weights, word by word, {rows.title}", columns)


def received(rows: WordRows) -> Table:
    """Sum and mean of every column of the merged matrix: what each word received from the words that see it."""
    count = len(rows.words)
    total, seen, most = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
    heaviest = np.full(count, -1)
    for line in rows:
        is_seen: Bool[np.ndarray, "words"] = rows.key_groups[:, 0] < len(line.row)
        clean = np.where(np.isfinite(line.weights) & (line.weights > 0), line.weights, 0.0)
        total += clean
        seen += is_seen
        above = clean > most
        most[above], heaviest[above] = clean[above], line.queries[0]
    tokens = rows.rows.trace.tokens
    return Table(
        f"attention received by every word (column sums over the words of {rows.rows.queries_in_words}), {rows.title}",
        {
            "key": [word.first for word in rows.words],
            "key_word": rows.names,
            "key_tokens": [word.n_tokens for word in rows.words],
            "role": [tokens[word.first].role for word in rows.words],
            "words_that_see_it": seen,
            "received_sum": total,
            "received_mean": np.divide(total, seen, out=np.full(count, np.nan), where=seen > 0),
            "received_max": np.where(seen > 0, most, np.nan),
            "heaviest_query": heaviest,
        },
    )


def shares(rows: WordRows) -> Table:
    """Shares of every word's row on text and images, and its first word, entropy (nats, over words) and maximum.

    The probability of a word is the product of those of its tokens. Of a maximum over heads the columns are sums, as
    in `analysis.tables.region_shares`.
    """
    trace = rows.rows.trace
    regions = regions_of(trace.layout, len(trace.tokens))
    log_probability = {trace.n_prompt - 1 + step.index: step.log_probability for step in trace.steps}
    lines = list(rows)
    columns = _line_columns(rows, lines)
    columns["tokens"] = [len(line.queries) for line in lines]
    columns["word_probability"] = [
        math.exp(sum(log_probability.get(query, math.nan) for query in line.queries)) for line in lines
    ]
    parts = [f"text_{part_word(rows.rows)}"]
    parts += [f"image_{image + 1}_{part_word(rows.rows)}" for image in range(len(trace.layout.images))]
    found = [region_parts(rows.rows, line.row, regions) for line in lines]
    for place, name in enumerate([*parts, *row_sum_column(rows.rows)]):
        columns[name] = [own[place] for own in found]
    columns["first_word"] = [float(line.weights[0]) for line in lines]
    columns[entropy_column(rows.rows)] = [row_entropy(rows.rows, line.weights) for line in lines]
    columns["maximum"] = [float(np.nanmax(line.weights)) for line in lines]
    return Table(shares_title(rows.rows, "every word's row", rows.title), columns)


def make_word_table(name: TableName, rows: LayerRows, top_keys: int = 10) -> Table:
    """The table called `name` with pieces merged to words.

    Raises:
        UsageError: it has no rows to merge.
    """
    merged = WordRows(rows)
    makers: Mapping[str, Callable[[], Table]] = {
        "given": lambda: given(merged, top_keys),
        "weights": lambda: weights(merged),
        "received": lambda: received(merged),
        "shares": lambda: shares(merged),
    }
    if name not in makers:
        raise UsageError(f"--words has no effect on --what {name}, which lists no attention; leave it out")
    return makers[name]()


def _name_columns(rows: WordRows) -> tuple[str, str, str]:
    """Names of the columns that name the word of a line."""
    return (*line_columns(rows.rows.trace)[:2], "word")


def _line_names(rows: WordRows, line: WordRow) -> tuple[int, int | str, str]:
    """First query, the first token it produced, the word; in an encoding the sentence stands in the middle."""
    query, middle, _ = line_names(rows.rows.trace, line.queries[0])
    return query, middle, line.word.text


def _line_columns(rows: WordRows, lines: Sequence[WordRow]) -> dict[str, Sequence[Any] | np.ndarray]:
    names = (*line_columns(rows.rows.trace)[:2], "word")
    found = [_line_names(rows, line) for line in lines]
    return {name: [own[place] for own in found] for place, name in enumerate(names)}
