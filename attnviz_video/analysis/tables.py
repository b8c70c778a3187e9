"""A layer of a trace as numbers in named columns: what each row gives, and what each column receives.

A row of the attention matrix says where one query looks and sums to 1 (`given`, `weights`, `shares`). A column says how
much attention one position gets from all queries that see it, and sums to anything (`received`). The two are never
called by the same name.

In an encoding (one pass over a text) nothing is produced: a row is that of the query's own token.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.encoding import as_steps
from attnviz_video.analysis.heads import check_recorded, parse_head, reduce_heads, reduce_rows, resolve_layer
from attnviz_video.analysis.regions import Regions, regions_of
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.analysis.shares import row_shares
from attnviz_video.core.tokens import SEGMENT_NAMES, Token
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError

#: Bytes at the start of a piece that form no character: they may be those of tokens before it.
_BYTES_BEFORE = re.compile(r"^(?:<0x[0-9A-F]{2}>)+")
#: Names of the tables, and what a line of each is.
TABLES: Mapping[str, str] = {
    "given": "the heaviest keys of every generated token: one line per token and key",
    "weights": "the attention matrix: one line per query, one column per key",
    "received": "how much attention every position received, as a sum and a mean over the queries that see it",
    "shares": "where every row lies as a whole: text, each image, first token; entropy and maximum",
    "masked": "what an encoder would put in place of each mask token: one line per mask and candidate",
}
TableName = Literal["given", "weights", "received", "shares", "masked"]
#: The queries whose rows are taken: those that produced the answer, or the prompt's own as well.
Queries = Literal["answer", "all"]


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of equal length, in order."""

    #: What the numbers are, in one line.
    title: str
    columns: Mapping[str, Sequence[Any] | np.ndarray]

    def __repr__(self) -> str:
        """One line: the numbers would fill the screen."""
        names = list(self.columns)
        shown = ", ".join(names if len(names) <= 10 else [*names[:9], f"… {len(names) - 9} more"])
        return f"Table({self.title!r}: {self.n_lines} lines of {shown})"

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
    #: Positions of the queries whose rows are wanted; None takes all of `queries`.
    only: frozenset[int] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", resolve_layer(self.trace.header, self.layer))
        check_recorded(self.trace.header, self.layer, parse_head(self.head))
        if self.trace.is_encoding:
            object.__setattr__(self, "queries", "all")
        if self.queries == "all" and self.trace.header.query_rows != "all":
            raise TraceError(
                "the rows of the prompt were not recorded in this trace; record again with --record_rows all"
            )
        header, head = self.trace.header, parse_head(self.head)
        if self.queries == "all" and head.kind != "one" and len(header.heads) < header.model.n_heads:
            raise TraceError(
                f"the prompt's rows hold {len(header.heads)} of {header.model.n_heads} heads in this trace, which is "
                f"no {head}; name one of them with --head, or record again with --record_rows all --heads all"
            )

    @property
    def title(self) -> str:
        """Which rows these are, in words."""
        return f"layer {self.layer}, {parse_head(self.head)}"

    @property
    def queries_in_words(self) -> str:
        """`answer queries`, `all queries`, or the steps whose rows were asked for, as the video numbers them."""
        if self.only is None:
            return f"{self.queries} queries"
        steps = shown_steps(as_steps(self.trace))
        numbers = [number for number, step in enumerate(steps, 1) if self.trace.query_of(step) in self.only]
        if len(numbers) != len(self.only):
            return f"{len(self.only)} queries"
        one, several = ("query", "queries") if self.trace.is_encoding else ("step", "steps")
        return f"{several if len(numbers) > 1 else one} {', '.join(map(str, numbers))}"

    @property
    def sums_to_one(self) -> bool:
        """Whether a row says how one whole is spread; the maximum over heads does not."""
        return parse_head(self.head).kind != "max"

    def __iter__(self) -> Iterator[tuple[int, Float[np.ndarray, "keys"]]]:
        """Position of each wanted query, and its row over all positions that it sees, float32: those up to its own, in
        an encoding all of them.
        """
        head, n_prompt = parse_head(self.head), self.trace.n_prompt
        if self.queries == "all":
            yield from ((query, row) for query, row in self._prompt_rows() if self._is_wanted(query))
        for step in self.trace.steps:
            if step.recorded and self._is_wanted(n_prompt - 1 + step.index):
                yield n_prompt - 1 + step.index, reduce_heads(self.trace, step.index, self.layer, head)

    def _is_wanted(self, query: int) -> bool:
        return self.only is None or query in self.only

    def _prompt_rows(self) -> Iterator[tuple[int, Float[np.ndarray, "keys"]]]:
        """The prompt's own queries, all but its last, which produced the first token of the answer; in an encoding
        that one too.
        """
        head, header = parse_head(self.head), self.trace.header
        rows = self.trace.rows.prompt_rows(self.layer)
        if head.kind == "one":
            rows = rows[[header.heads.index(head.number)]]
        for query in range(rows.shape[1]):
            yield query, reduce_rows(rows[:, query, : self.trace.seen_keys(query)], head)


def given(rows: LayerRows, top_keys: int = 10) -> Table:
    """The `top_keys` heaviest keys of every row, heaviest first; of equal ones the earlier position comes first."""
    trace, names = rows.trace, position_names(rows.trace)
    found: dict[str, list[Any]] = {name: [] for name in (*line_columns(trace), "rank", "key", "key_token", "weight")}
    for query, row in rows:
        order = np.argsort(-np.nan_to_num(row, nan=-1.0), kind="stable")[:top_keys]
        for rank, key in enumerate(order.tolist(), 1):
            line = (*line_names(trace, query), rank, key, names[key], float(row[key]))
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
    lines = [line_names(trace, query) for query in queries]
    columns: dict[str, Sequence[Any] | np.ndarray] = {
        name: [line[place] for line in lines] for place, name in enumerate(line_columns(trace))
    }
    last = max((trace.seen_keys(query) for query in queries), default=0)
    columns |= {f"{key} {names[key]}": keys[key] for key in range(last)}
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
        f"attention received by every position (column sums over {rows.queries_in_words}), {rows.title}",
        {
            "key": list(range(count)),
            "key_token": names,
            **where_it_stands(trace),
            "queries_that_see_it": seen,
            "received_sum": total,
            "received_mean": np.divide(total, seen, out=np.full(count, np.nan), where=seen > 0),
            "received_max": np.where(seen > 0, most, np.nan),
            "heaviest_query": heaviest,
        },
    )


def where_it_stands(trace: TraceData) -> dict[str, list[str]]:
    """The column that says who wrote each position, or in an encoding which sentence it is in."""
    if trace.is_encoding:
        return {"segment": [SEGMENT_NAMES[token.segment] for token in trace.tokens]}
    return {"role": [token.role for token in trace.tokens]}


def shares(rows: LayerRows) -> Table:
    """Where every row lies as a whole; the sentences of a pair take the place of text and images in an encoding."""
    return sentence_shares(rows) if rows.trace.is_encoding else region_shares(rows)


def sentence_shares(rows: LayerRows) -> Table:
    """Shares of every row on each sentence (together 1), and its first token, own token, entropy (nats) and maximum.

    Of a maximum over heads the sums, as in `region_shares`.
    """
    trace = rows.trace
    segments = list(dict.fromkeys(token.segment for token in trace.tokens))
    inside = {segment: np.array([token.segment == segment for token in trace.tokens]) for segment in segments}
    names = [f"{SEGMENT_NAMES[segment].replace(' ', '_')}_{part_word(rows)}" for segment in segments]
    names += row_sum_column(rows)
    found: dict[str, list[Any]] = {
        name: [] for name in (*line_columns(trace), *names, "first_token", "own_token", entropy_column(rows), "maximum")
    }
    for query, row in rows:
        parts = [float(row[inside[segment]].sum(dtype=np.float64)) for segment in segments]
        parts += [sum(parts)] if not rows.sums_to_one else []
        line = (
            *line_names(trace, query), *parts, float(row[0]), float(row[query]), row_entropy(rows, row),
            float(row.max()),
        )  # fmt: skip
        for column, value in zip(found.values(), line, strict=True):
            column.append(value)
    return Table(shares_title(rows, "every row", rows.title), found)


def region_shares(rows: LayerRows) -> Table:
    """Shares of every row on text and on each image (together 1), and its first token, entropy (nats) and maximum.

    A maximum over heads is no distribution: its columns are sums, as they are, with that of the whole row beside them,
    and its entropy is that of the row divided by its sum. All of them are named so.
    """
    trace = rows.trace
    regions = regions_of(trace.layout, len(trace.tokens))
    steps = {trace.n_prompt - 1 + step.index: step for step in trace.steps}
    names = ["query", "produced", "token", "probability", f"text_{part_word(rows)}"]
    names += [f"image_{image + 1}_{part_word(rows)}" for image in range(len(trace.layout.images))]
    names += [*row_sum_column(rows), "first_token", entropy_column(rows), "maximum"]
    found: dict[str, list[Any]] = {name: [] for name in names}
    for query, row in rows:
        step = steps.get(query)
        probability = math.nan if step is None else math.exp(step.log_probability)
        line = (query, query + 1, produced(trace, query), probability, *region_parts(rows, row, regions))
        line += (float(row[0]), row_entropy(rows, row), float(row.max()))
        for column, value in zip(found.values(), line, strict=True):
            column.append(value)
    return Table(shares_title(rows, "every row", rows.title), found)


def region_parts(rows: LayerRows, row: Float[np.ndarray, "keys"], regions: Regions) -> tuple[float, ...]:
    """Share of `row` on text and on each image; of a maximum over heads the sums there, and that of the whole row."""
    # A query inside the prompt sees only the images before it.
    padded = np.pad(row, (0, max(0, rows.trace.n_prompt - len(row))))
    share = row_shares(padded, regions, np.ones(len(rows.trace.tokens), dtype=bool))
    parts = (share.shown, *(float(value) for value in share.images))
    if rows.sums_to_one:
        return parts
    whole = float(np.where(np.isfinite(row) & (row > 0), row, 0.0).sum(dtype=np.float64))
    return (*(whole * part for part in parts), whole)


def part_word(rows: LayerRows) -> str:
    """What a column of `shares` holds: a share of the row, or where the row is no whole, a sum."""
    return "share" if rows.sums_to_one else "sum"


def row_sum_column(rows: LayerRows) -> list[str]:
    """The column of whole sums, where rows do not sum to 1."""
    return [] if rows.sums_to_one else ["row_sum"]


def entropy_column(rows: LayerRows) -> str:
    """What the column of entropies is called."""
    return "entropy" if rows.sums_to_one else "entropy_of_row_over_its_sum"


def row_entropy(rows: LayerRows, row: Float[np.ndarray, "keys"]) -> float:
    """Entropy of a row in nats; of a maximum over heads that of the row over its sum, NaN where it is 0."""
    positive = row[row > 0].astype(np.float64)
    if not rows.sums_to_one:
        if not positive.size:
            return math.nan
        positive = positive / positive.sum()
    return -float(np.sum(positive * np.log(positive)))


def shares_title(rows: LayerRows, what: str, which: str) -> str:
    """The title of a table of shares; a maximum over heads has sums, and the title says why."""
    if rows.sums_to_one:
        return f"shares of {what}, {which}"
    return f"sums over {what} (a maximum over heads does not sum to 1), {which}"


def make_table(name: TableName, rows: LayerRows, top_keys: int = 10) -> Table:
    """The table called `name`."""
    makers: dict[str, Callable[[], Table]] = {
        "given": lambda: given(rows, top_keys),
        "weights": lambda: weights(rows),
        "received": lambda: received(rows),
        "shares": lambda: shares(rows),
        "masked": lambda: masked(rows.trace),
    }
    return makers[name]()


def masked(trace: TraceData) -> Table:
    """What an encoder would put in place of each mask token of its text: raw probabilities over all its vocabulary.

    Raises:
        TraceError: the trace holds no mask token.
    """
    if not trace.masked:
        raise TraceError(
            "this trace holds no candidates for mask tokens; record a text with a mask by an encoder that fills them "
            '(run --model_path MODEL --question "The cat [MASK] on the mat.")'
        )
    lines = [
        (one.position, rank, candidate.piece, candidate.id, candidate.probability)
        for one in trace.masked
        for rank, candidate in enumerate(one.candidates, 1)
    ]
    names = ("position", "rank", "candidate", "candidate_id", "probability")
    columns = {name: [line[place] for line in lines] for place, name in enumerate(names)}
    return Table("what the model would put in place of its mask tokens", columns)


def line_columns(trace: TraceData) -> tuple[str, str, str]:
    """Names of the three columns that name the query of a line."""
    return ("query", "segment", "token") if trace.is_encoding else ("query", "produced", "token")


def line_names(trace: TraceData, query: int) -> tuple[int, int | str, str]:
    """What stands in them: the query's position, and the token it produced; in an encoding its sentence and itself."""
    if trace.is_encoding:
        return query, SEGMENT_NAMES[trace.tokens[query].segment], token_name(trace.tokens[query])
    return query, query + 1, produced(trace, query)


def produced(trace: TraceData, query: int) -> str:
    """The text of the token that the query produced; in the prompt, of the token that follows it."""
    return token_name(trace.tokens[query + 1]) if query + 1 < len(trace.tokens) else ""


def token_name(token: Token) -> str:
    """The text that a token completes, without bytes of tokens before it; its own bytes where it completes none."""
    own = token.raw.decode("utf-8", "replace")
    piece = token.piece if token.piece == own else _BYTES_BEFORE.sub("", token.piece)
    return piece or "".join(f"<0x{byte:02X}>" for byte in token.raw)


def position_names(trace: TraceData) -> list[str]:
    """What stands at every position: the token's text, or the patch: `image 1 row 3 col 4` (all counted from 1)."""
    grids = [trace.layout.grids_of(image) for image in range(len(trace.layout.images))]
    names = []
    for token in trace.tokens:
        if token.image < 0 or token.patch < 0:
            names.append(token_name(token))
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
