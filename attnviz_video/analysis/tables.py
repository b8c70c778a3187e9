"""A layer of a trace as numbers in named columns: what each row gives, and what each column receives.

A row of the attention matrix says where one query looks and sums to 1 (`given`, `weights`, `shares`). A column says how
much attention one position gets from all queries that see it, and sums to anything (`received`). The two are never
called by the same name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.heads import check_recorded, parse_head, reduce_heads, reduce_rows, resolve_layer
from attnviz_video.analysis.regions import regions_of
from attnviz_video.analysis.shares import row_shares
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError

#: Names of the tables, and what a line of each is.
TABLES: Mapping[str, str] = {
    "given": "the heaviest keys of every generated token: one line per token and key",
    "weights": "the attention matrix: one line per query, one column per key",
    "received": "how much attention every position received, as a sum and a mean over the queries that see it",
    "shares": "where every row lies as a whole: text, each image, first token; entropy and maximum",
}
TableName = Literal["given", "weights", "received", "shares"]
#: The queries whose rows are taken: those that produced the answer, or the prompt's own as well.
Queries = Literal["answer", "all"]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, in order."""

    #: What the numbers are, in one line.
    title: str
    columns: Mapping[str, Sequence[Any] | np.ndarray]

    @property
    def n_lines(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def lines(self) -> Iterator[tuple[Any, ...]]:
        """The table line by line."""
        return zip(*self.columns.values(), strict=True)


@dataclass(frozen=True, eq=False)
class LayerRows:
    """The rows of one layer of a trace, reduced over its heads."""

    trace: TraceData
    layer: int
    head: str = "mean"
    queries: Queries = "answer"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", resolve_layer(self.trace.header, self.layer))
        check_recorded(self.trace.header, self.layer, parse_head(self.head))
        if self.queries == "all" and self.trace.header.query_rows != "all":
            raise TraceError(
                "the rows of the prompt were not recorded in this trace; record again with --record_rows all"
            )

    @property
    def title(self) -> str:
        """Which rows these are, in words."""
        return f"layer {self.layer}, {parse_head(self.head)}"

    def __iter__(self) -> Iterator[tuple[int, Float[np.ndarray, "keys"]]]:
        """Position of each query, and its row over all positions up to its own, float32."""
        head, n_prompt = parse_head(self.head), self.trace.n_prompt
        if self.queries == "all":
            yield from self._prompt_rows()
        for step in self.trace.steps:
            if step.recorded:
                yield n_prompt - 1 + step.index, reduce_heads(self.trace, step.index, self.layer, head)

    def _prompt_rows(self) -> Iterator[tuple[int, Float[np.ndarray, "keys"]]]:
        """The prompt's own queries, all but its last, which produced the first token of the answer."""
        head, header = parse_head(self.head), self.trace.header
        rows = self.trace.rows.prompt_rows(self.layer)
        if head.kind == "one":
            rows = rows[[header.heads.index(head.number)]]
        for query in range(rows.shape[1]):
            yield query, reduce_rows(rows[:, query, : query + 1], head)


def given(rows: LayerRows, top_keys: int = 10) -> Table:
    """The `top_keys` heaviest keys of every row, heaviest first; of equal ones the earlier position comes first."""
    trace, names = rows.trace, position_names(rows.trace)
    found: dict[str, list[Any]] = {
        name: [] for name in ("query", "produced", "token", "rank", "key", "key_token", "weight")
    }
    for query, row in rows:
        order = np.argsort(-np.nan_to_num(row, nan=-1.0), kind="stable")[:top_keys]
        for rank, key in enumerate(order.tolist(), 1):
            line = (query, query + 1, produced(trace, query), rank, key, names[key], float(row[key]))
            for column, value in zip(found.values(), line, strict=True):
                column.append(value)
    return Table(f"heaviest keys of every query, {rows.title}", found)


def weights(rows: LayerRows) -> Table:
    """The attention matrix: one line per query, one column per key; NaN where a query does not see a key."""
    trace, names = rows.trace, position_names(rows.trace)
    queries, matrix = [], []
    for query, row in rows:
        queries.append(query)
        matrix.append(np.pad(row.astype(np.float32), (0, len(trace.tokens) - len(row)), constant_values=np.nan))
    keys = np.stack(matrix, axis=1) if matrix else np.zeros((len(trace.tokens), 0), np.float32)
    columns: dict[str, Sequence[Any] | np.ndarray] = {
        "query": queries,
        "produced": [query + 1 for query in queries],
        "token": [produced(trace, query) for query in queries],
    }
    last = max((query for query in queries), default=-1)
    columns |= {f"{key} {names[key]}": keys[key] for key in range(last + 1)}
    return Table(f"attention weights, query by key, {rows.title}", columns)


def received(rows: LayerRows) -> Table:
    """Sum and mean of every column: what each position received from the queries that see it."""
    trace, names = rows.trace, position_names(rows.trace)
    count = len(trace.tokens)
    total, seen, most = np.zeros(count), np.zeros(count, np.int64), np.zeros(count)
    heaviest = np.full(count, -1)
    for query, row in rows:
        size = len(row)
        clean = np.where(np.isfinite(row) & (row > 0), row, 0.0)
        total[:size] += clean
        seen[:size] += 1
        above = clean > most[:size]
        most[:size][above], heaviest[:size][above] = clean[above], query
    return Table(
        f"attention received by every position (column sums over {rows.queries} queries), {rows.title}",
        {
            "key": list(range(count)),
            "key_token": names,
            "role": [token.role for token in trace.tokens],
            "queries_that_see_it": seen,
            "received_sum": total,
            "received_mean": np.divide(total, seen, out=np.full(count, np.nan), where=seen > 0),
            "received_max": np.where(seen > 0, most, np.nan),
            "heaviest_query": heaviest,
        },
    )


def shares(rows: LayerRows) -> Table:
    """Shares of every row on text and on each image (together 1), and its first token, entropy (nats) and maximum."""
    trace = rows.trace
    regions = regions_of(trace.layout, len(trace.tokens))
    everything = np.ones(len(trace.tokens), dtype=bool)
    steps = {trace.n_prompt - 1 + step.index: step for step in trace.steps}
    names = ["query", "produced", "token", "probability", "text_share"]
    names += [f"image_{image + 1}_share" for image in range(len(trace.layout.images))]
    names += ["first_token", "entropy", "maximum"]
    found: dict[str, list[Any]] = {name: [] for name in names}
    for query, row in rows:
        # A query inside the prompt sees only the images before it.
        share = row_shares(np.pad(row, (0, max(0, trace.n_prompt - len(row)))), regions, everything)
        step = steps.get(query)
        probability = math.nan if step is None else math.exp(step.log_probability)
        positive = row[row > 0].astype(np.float64)
        entropy = -float(np.sum(positive * np.log(positive)))
        images = [float(value) for value in share.images]
        line = (query, query + 1, produced(trace, query), probability, share.shown, *images)
        line += (float(row[0]), entropy, float(row.max()))
        for column, value in zip(found.values(), line, strict=True):
            column.append(value)
    return Table(f"shares of every row, {rows.title}", found)


def make_table(name: TableName, rows: LayerRows, top_keys: int = 10) -> Table:
    """The table called `name`."""
    makers: dict[str, Callable[[], Table]] = {
        "given": lambda: given(rows, top_keys),
        "weights": lambda: weights(rows),
        "received": lambda: received(rows),
        "shares": lambda: shares(rows),
    }
    return makers[name]()


def produced(trace: TraceData, query: int) -> str:
    """The text of the token that the query produced; in the prompt, of the token that follows it."""
    return trace.tokens[query + 1].piece if query + 1 < len(trace.tokens) else ""


def position_names(trace: TraceData) -> list[str]:
    """What stands at every position: the token's text, or the patch: `image 1 row 3 col 4` (all counted from 1)."""
    grids = [trace.layout.grids_of(image) for image in range(len(trace.layout.images))]
    names = []
    for token in trace.tokens:
        if token.image < 0 or token.patch < 0:
            names.append(token.piece or "".join(f"<0x{byte:02X}>" for byte in token.raw))
            continue
        number, grid = next(
            (number, grid)
            for number, grid in enumerate(grids[token.image])
            if grid.first_patch <= token.patch < grid.first_patch + grid.n_patches
        )
        row, column = divmod(token.patch - grid.first_patch, grid.columns)
        area = "" if len(grids[token.image]) == 1 else f" {grid.area} {number + 1}"
        names.append(f"image {token.image + 1}{area} row {row + 1} col {column + 1}")
    return names
