"""The attention matrix of one layer, with rows and columns that a reader can name: tokens, words, whole images.

A column that stands for several keys holds the sum of their weights (how much of the row falls on them together), a row
that stands for several queries the mean of their rows; so a row over all columns of a sequence still sums to 1. With A
of queries q and keys k, and groups u of queries and v of keys,

    W[u, v] = 1/|u| · Σ_{q ∈ u} Σ_{k ∈ v} A[q, k]

(Clark et al. 2019, "What Does BERT Look At?", section 4.1, for words). Nothing is renormalised. Text is merged only to
words, and only where that is asked for: else every token has its own row and column, a part of a character too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from attnviz_video.analysis.checks import RowReport, check_rows
from attnviz_video.analysis.heads import check_recorded, parse_head, resolve_layer
from attnviz_video.analysis.regions import regions_of
from attnviz_video.analysis.scale import COVERED, WeightTally, level
from attnviz_video.analysis.scores import shown_steps
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.sinks import SinkTally
from attnviz_video.analysis.tables import LayerRows, Queries, token_name
from attnviz_video.analysis.words import merge_words
from attnviz_video.core.scores import ColorScale, Sink
from attnviz_video.core.shown import ShowPrompt, first_shown
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError

#: Where the start phrase was found nowhere, so many tokens of the user's text are shown all the same; longer texts
#: would leave the answer no room.
MOST_OF_A_PROMPT = 200


@dataclass(frozen=True)
class MatrixChoice:
    """Which rows and columns a matrix has."""

    queries: Queries = "answer"
    show_prompt: ShowPrompt = "phrase"
    #: A column for every patch; else one for every image.
    patches: bool = False
    words: bool = False
    #: Whether a row is named by the token that it produced, or by the query itself.
    convention: Literal["predicting", "reading"] = "predicting"


@dataclass(frozen=True, slots=True)
class Line:
    """What one row or column stands for: text that is one to the reader, an image, or a patch of one."""

    #: Its first position and the one behind its last, in prompt + answer.
    first: int
    stop: int
    text: str
    special: bool = False
    #: -1 for text.
    image: int = -1
    #: -1 for text and for whole images.
    patch: int = -1


@dataclass(frozen=True, eq=False)
class AttentionMatrix:
    """Weights of one layer, query by key, for one reduction of its heads or for each of them."""

    queries: tuple[Line, ...]
    keys: tuple[Line, ...]
    #: NaN where a query does not see a key, and where the recorded weight is no number.
    weights: Float[np.ndarray, "heads queries keys"]
    #: Whether a query of the row sees a key of the column.
    seen: Bool[np.ndarray, "queries keys"]
    #: Positions that take attention whatever is written (see `analysis.sinks`), heaviest first.
    sinks: tuple[Sink, ...] = ()
    report: RowReport = field(default_factory=RowReport)
    #: Part of each row that lies on text without a column, 0 to 1; NaN where a row holds no weight at all.
    hidden: Float[np.ndarray, "heads queries"] = field(default_factory=lambda: np.zeros((1, 0)))
    #: Whether that text is part of the prompt and nothing else.
    hides_prompt_only: bool = True

    @property
    def is_image(self) -> Bool[np.ndarray, "keys"]:
        """True for columns of images and patches."""
        return np.array([line.image >= 0 for line in self.keys], dtype=bool)

    @property
    def is_sink(self) -> Bool[np.ndarray, "keys"]:
        """True for columns of text that hold a sink, and for patches that are one."""
        positions = np.array([sink.position for sink in self.sinks], dtype=np.int64)
        found = [bool(((positions >= line.first) & (positions < line.stop)).any()) for line in self.keys]
        whole = [line.image >= 0 and line.patch < 0 for line in self.keys]
        marked: Bool[np.ndarray, "keys"] = np.array(found, dtype=bool) & ~np.array(whole, dtype=bool)
        return marked


def attention_matrix(
    trace: TraceData, layer: int, head: str | None, choice: MatrixChoice, on_row: Callable[[], None] = lambda: None
) -> AttentionMatrix:
    """The matrix of `layer` for the reduction `head` (mean, max, a number), or for each recorded head with None.

    The rows are read once, one at a time. `on_row` hears each.

    Raises:
        UsageError: the model has no such layer or head.
        TraceError: it was not recorded, or no query is left.
    """
    layer = check_matrix(trace, layer, head, choice)
    keys = key_lines(trace, choice)
    queries, row_of = query_lines(trace, choice, keys)
    column_of = _owners(trace, keys)
    n_heads = len(trace.header.heads) if head is None else 1
    # The last column takes what lies on text that has no column of its own.
    total = np.zeros((n_heads, len(queries), len(keys) + 1))
    count, last = np.zeros(len(queries), np.int64), np.zeros(len(queries), np.int64)
    report, tally = RowReport(), SinkTally(regions_of(trace.layout, len(trace.tokens)))
    for query, rows in _rows(trace, layer, head, choice):
        on_row()
        line = row_of.get(query)
        if query >= trace.n_prompt - 1 or trace.is_encoding:
            tally.add(rows.mean(axis=0, dtype=np.float64).astype(np.float32))
        if line is None:
            continue
        report += check_rows(rows)
        owner = column_of[: rows.shape[1]]
        for number, row in enumerate(rows):
            total[number, line] += np.bincount(owner, weights=row, minlength=len(keys) + 1)
        count[line] += 1
        last[line] = max(last[line], query)
    firsts = np.array([line.first for line in keys], dtype=np.int64)
    seen: Bool[np.ndarray, "queries keys"] = np.array([firsts < trace.seen_keys(int(query)) for query in last])
    weights = np.where(seen, total[..., :-1] / count[:, np.newaxis], np.nan).astype(np.float32)
    # The last token of an answer is a key of nobody.
    used: Bool[np.ndarray, "keys"] = np.asarray(seen.any(axis=0))
    keys = tuple(line for line, own in zip(keys, used.tolist(), strict=True) if own)
    uncovered = np.flatnonzero(column_of == len(used))
    return AttentionMatrix(
        queries, keys, weights[:, :, used], seen[:, used], tally.sinks(), report, _last_share(total),
        hides_prompt_only=bool((uncovered < trace.n_prompt).all()),
    )  # fmt: skip


def computed_matrix(trace: TraceData, weights: Float[np.ndarray, "queries keys"]) -> AttentionMatrix:
    """Rows that were computed for every query of an encoding, as a matrix of its tokens."""
    lines = key_lines(trace, MatrixChoice(queries="all"))
    tally = SinkTally(regions_of(trace.layout, len(trace.tokens)))
    for row in weights:
        tally.add(row)
    matrix = weights[np.newaxis].astype(np.float32)
    return AttentionMatrix(lines, lines, matrix, np.ones(weights.shape, dtype=bool), tally.sinks())


def check_matrix(trace: TraceData, layer: int, head: str | None, choice: MatrixChoice) -> int:
    """Make sure that a matrix can be made, before any row is read; returns the layer counted from 0.

    Raises:
        UsageError, TraceError: as `attention_matrix`.
    """
    found = resolve_layer(trace.header, layer)
    if head is not None:
        check_recorded(trace.header, found, parse_head(head))
    elif found not in trace.header.head_layers:
        raise TraceError(
            f"the heads of layer {found} were not recorded one by one in this trace; record again with --layers {found}"
        )
    if choice.queries == "all" and trace.header.query_rows != "all":
        raise TraceError("the rows of the prompt were not recorded in this trace; record again with --record_rows all")
    if not trace.is_encoding:
        shown_steps(trace)
    return found


def key_lines(trace: TraceData, choice: MatrixChoice) -> tuple[Line, ...]:
    """The columns, in the order of the sequence: every token (or word) of the text that is shown, and every image."""
    start = first_column(trace, choice.show_prompt)
    lines = []
    if choice.words:
        words = (word for word in merge_words(trace.tokens) if word.image < 0)
        lines += [Line(word.first, word.stop, word.text, word.special) for word in words if word.first >= start]
    else:
        # Tokens between the patches of an image, such as those that end its rows, are part of a whole prompt only.
        whole = choice.show_prompt == "full"
        tokens = (token for token in trace.tokens[start:] if token.image < 0 or (whole and token.patch < 0))
        lines += [Line(token.position, token.position + 1, token_name(token), token.special) for token in tokens]
    for image in range(len(trace.layout.images)):
        lines += _image_lines(trace, image, choice)
    return tuple(sorted(lines, key=lambda line: line.first))


def first_column(trace: TraceData, show_prompt: ShowPrompt) -> int:
    """The first position whose text has a column.

    Where the start phrase was found nowhere and only the answer would be shown, it is the first word of the user's
    text, if that is no longer than `MOST_OF_A_PROMPT` tokens: else a matrix of a few answer tokens would hide most of
    what they look at.
    """
    start = trace.header.start
    if trace.is_encoding:
        return 0
    if show_prompt == "phrase" and start.found_in == "none":
        own = [token.position for token in trace.tokens[: trace.n_prompt] if token.role == "user"]
        if 0 < len(own) <= MOST_OF_A_PROMPT:
            return min(own[0], start.first_shown)
    return first_shown(trace, show_prompt)


def query_lines(
    trace: TraceData, choice: MatrixChoice, keys: Sequence[Line]
) -> tuple[tuple[Line, ...], dict[int, int]]:
    """The rows, in the order of the sequence, and which of them each recorded query belongs to.

    Raises:
        TraceError: no query is left.
    """
    known = {trace.query_of(step) for step in (() if trace.is_encoding else shown_steps(trace))}
    if choice.queries == "all" or trace.is_encoding:
        known |= set(range(trace.n_prompt if trace.is_encoding else trace.n_prompt - 1))
    ahead = 1 if choice.convention == "predicting" and not trace.is_encoding else 0
    lines: list[Line] = []
    row_of: dict[int, int] = {}
    for line in keys:
        if choice.queries == "answer" and not trace.is_encoding and line.first < trace.n_prompt:
            continue
        own = [position - ahead for position in positions_of(trace, line) if position - ahead in known]
        row_of |= dict.fromkeys(own, len(lines))
        lines += [line] if own else []
    if not lines:
        raise TraceError("nothing to plot: no recorded query belongs to the text shown; show more with --show_prompt")
    return tuple(lines), row_of


def positions_of(trace: TraceData, line: Line) -> Sequence[int]:
    """The positions that a row or column stands for."""
    if line.image < 0 or line.patch >= 0:
        return range(line.first, line.stop)
    found: list[int] = trace.layout.patch_positions(line.image).tolist()
    return found


def treated(matrix: AttentionMatrix, sinks: str) -> Float[np.ndarray, "heads queries keys"]:
    """The weights as `--sinks` says: as they are, NaN in the columns of sinks, or over the mean of their column.

    The column of a whole image keeps all of its patches. The mean is that of the rows that see the column.
    """
    if sinks == "mask":
        return np.where(matrix.is_sink, np.float32(np.nan), matrix.weights)
    if sinks == "relative":
        clean = np.where(matrix.seen & np.isfinite(matrix.weights), matrix.weights, 0.0).astype(np.float64)
        mean = clean.sum(axis=1, keepdims=True) / np.maximum(matrix.seen.sum(axis=0), 1)
        over: Float[np.ndarray, "heads queries keys"] = np.full_like(matrix.weights, np.nan)
        np.divide(matrix.weights, mean, out=over, where=mean > 0)
        return over
    return matrix.weights


def matrix_scale(
    weights: Float[np.ndarray, "heads queries keys"], matrix: AttentionMatrix, settings: AnalysisSettings
) -> ColorScale:
    """The one scale of all rows and heads, found as for a video: a row counts as a frame (see `analysis.scale`).

    "text" are the columns of text, "image" those of images or patches.
    """
    tally = WeightTally()
    is_image, is_sink = matrix.is_image, matrix.is_sink
    for rows in weights:
        for row, seen in zip(rows, matrix.seen, strict=True):
            tally.add_row("text", row[seen & ~is_image & ~is_sink], row[seen & ~is_image & is_sink])
            tally.add_row("image", row[seen & is_image & ~is_sink], row[seen & is_image & is_sink])
    return tally.scale(covered=COVERED, joint=settings.scale_scope == "joint", gamma=settings.gamma)


def matrix_levels(
    weights: Float[np.ndarray, "heads queries keys"], matrix: AttentionMatrix, settings: AnalysisSettings
) -> tuple[Float[np.ndarray, "heads queries keys"], ColorScale | None]:
    """Levels from 0 to 1 (NaN: no value) and their scale; None where each row has its own, up to its maximum."""
    is_image = matrix.is_image
    if settings.scale == "shared":
        scale = matrix_scale(weights, matrix, settings)
        text, image = level(weights, scale, "text"), level(weights, scale, "image")
        return np.where(is_image, image, text), scale
    usable = np.where(np.isfinite(weights) & (weights >= 0), weights, np.float32(np.nan))
    joint = settings.scale_scope == "joint"
    tops = [_row_tops(usable, own | joint, matrix.is_sink) for own in (~is_image, is_image)]
    top = np.where(is_image, tops[1], tops[0])
    levels = np.clip(usable / np.where(top > 0, top, 1.0), 0.0, 1.0) ** settings.gamma
    return levels.astype(np.float32), None


def _row_tops(
    weights: Float[np.ndarray, "heads queries keys"], own: Bool[np.ndarray, "keys"], is_sink: Bool[np.ndarray, "keys"]
) -> Float[np.ndarray, "heads queries 1"]:
    """Largest weight of every row in the columns `own`, sinks aside where there is anything else."""
    plain = np.where(own & ~is_sink, np.nan_to_num(weights), 0.0).max(axis=2, initial=0.0)
    with_sinks = np.where(own, np.nan_to_num(weights), 0.0).max(axis=2, initial=0.0)
    tops: Float[np.ndarray, "heads queries 1"] = np.where(plain > 0, plain, with_sinks)[..., np.newaxis]
    return tops


def _last_share(total: Float[np.ndarray, "heads queries columns"]) -> Float[np.ndarray, "heads queries"]:
    """Part of every row that is in its last column, of what is a weight; NaN for rows of nothing."""
    clean = np.where(np.isfinite(total) & (total > 0), total, 0.0)
    sums = clean.sum(axis=2)
    shares: Float[np.ndarray, "heads queries"] = np.full_like(sums, np.nan)
    np.divide(clean[..., -1], sums, out=shares, where=sums > 0)
    return shares


def _image_lines(trace: TraceData, image: int, choice: MatrixChoice) -> list[Line]:
    positions = trace.layout.patch_positions(image).tolist()
    several = len(trace.layout.images) > 1
    name = f"image {image + 1}" if several else "image"
    if not positions:
        return []
    if not choice.patches:
        return [Line(min(positions), max(positions) + 1, name, image=image)]
    before = f"{image + 1}: " if several else ""
    grids = trace.layout.grids_of(image)
    names = []
    for number, grid in enumerate(grids):
        area = f"{grid.area} {number + 1} " if len(grids) > 1 else ""
        names += [
            f"{before}{area}r{row + 1} c{column + 1}" for row in range(grid.rows) for column in range(grid.columns)
        ]
    return [
        Line(position, position + 1, own, image=image, patch=patch)
        for patch, (position, own) in enumerate(zip(positions, names, strict=True))
    ]


def _owners(trace: TraceData, keys: Sequence[Line]) -> Int[np.ndarray, "positions"]:
    """Column of every position; the number of columns where it is in none."""
    owners = np.full(len(trace.tokens), len(keys), dtype=np.int64)
    for number, line in enumerate(keys):
        owners[np.asarray(positions_of(trace, line), dtype=np.int64)] = number
    return owners


def _rows(
    trace: TraceData, layer: int, head: str | None, choice: MatrixChoice
) -> Iterator[tuple[int, Float[np.ndarray, "heads keys"]]]:
    """Every wanted query with its row, or with that of each recorded head."""
    if head is not None:
        for query, row in LayerRows(trace, layer, head, choice.queries):
            yield query, row[np.newaxis]
        return
    if choice.queries == "all" or trace.is_encoding:
        prompt = trace.rows.prompt_rows(layer)
        for query in range(prompt.shape[1]):
            yield query, prompt[:, query, : trace.seen_keys(query)]
    for step in trace.steps:
        if step.recorded:
            yield trace.query_of(step.index), trace.rows.head_rows(step.index, layer).astype(np.float32, copy=False)
