"""Plot `matrix`: the attention of one layer, query by key."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz_video.analysis.checks import refuse_unclean
from attnviz_video.analysis.heads import heads_in_words
from attnviz_video.analysis.matrices import (
    AttentionMatrix,
    Line,
    MatrixChoice,
    attention_matrix,
    check_matrix,
    matrix_levels,
    treated,
)
from attnviz_video.analysis.words import WORDS_CAPTION
from attnviz_video.core.scores import ColorScale
from attnviz_video.core.trace import TraceData
from attnviz_video.export.figures.look import pt
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.figures.step_figure import Drawn
from attnviz_video.export.plots.heat_map import HeatMap, Name, draw_heat_map
from attnviz_video.export.plots.parts import Bar, draw_bars, draw_notes, draw_title, weight_bar
from attnviz_video.export.plots.request import PlotRequest
from attnviz_video.render.numbers import percent

#: Greatest height of the cells in points: with title, bars and caption the plot still fits on a page.
TALLEST = 480.0
#: Matrices of more cells than this are never large enough for numbers.
_MOST_NUMBERS = 1000


def matrix_name(request: PlotRequest) -> str:
    """`attention_matrix_layer20`, `attention_matrix_layer20_head3`."""
    head = request.analysis.head
    of_head = "" if head == "mean" else f"_{'head' if head.isdigit() else ''}{head}"
    return f"attention_matrix_layer{request.layer}{of_head}"


def draw_matrix(request: PlotRequest) -> Drawn:
    """The matrix of one layer with a name on every row and column.

    Raises:
        UsageError, TraceError: as `analysis.matrices.attention_matrix`.
    """
    matrix = read_matrix(request, request.analysis.head)
    what = f"attention matrix of layer {request.layer}, {head_words(request)}"
    return draw_whole_matrix(request, matrix, matrix_words(request, matrix, head_words(request)), what)


def draw_whole_matrix(
    request: PlotRequest, matrix: AttentionMatrix, words: Sequence[str], what: str, measure: str = "attention"
) -> Drawn:
    """The first matrix of `matrix` with its names, bars and caption, which begins with `words`.

    `what` describes the plot in the file itself, `measure` says what the numbers are.
    """
    weights = treated(matrix, request.analysis.sinks)
    levels, scale = matrix_levels(weights, matrix, request.analysis)
    sheet, look, margin = request.sheet(), request.look, pt("margin")
    top = draw_title(request, sheet, margin)
    has_numbers = weights[0].size <= _MOST_NUMBERS and request.analysis.sinks != "relative"
    cells = weights[0].tolist() if has_numbers else None
    heat = HeatMap(
        levels[0],
        matrix.seen,
        tuple(Name(label_text(line), line.image >= 0 and line.patch < 0) for line in matrix.queries),
        key_names(matrix, request),
        row_title=row_title(request),
        column_title="key: what is attended to",
        numbers=None if cells is None else tuple(tuple(map(cell_words, row)) for row in cells),
        rows_before=lines_of_first_sentence(request.trace, matrix.queries),
        columns_before=lines_of_first_sentence(request.trace, matrix.keys),
    )
    placed = draw_heat_map(sheet, look, heat, (margin, top), sheet.width - 2 * margin, TALLEST)
    top = placed.box[3] + pt("row_gap")
    top = draw_matrix_bars(request, sheet, matrix, scale, top, measure)
    numbers = "numbers in the cells: percent" if placed.numbered else ""
    notes = [*words, numbers, *scale_words(request, matrix), *placed.notes]
    height = draw_notes(request, sheet, notes, top)
    return request.drawn(sheet, height, what)


def lines_of_first_sentence(trace: TraceData, lines: Sequence[Line]) -> int:
    """How many rows or columns stand before the second of two sentences; 0 where there are no two."""
    second = [place for place, line in enumerate(lines) if trace.tokens[line.first].segment == "second"]
    return min(second, default=0)


def cell_words(value: float) -> str:
    """A weight in percent, with two digits where it is large and one behind the point where it is small."""
    return f"{100 * value:.{0 if value >= 0.0995 else 1}f}"


def matrix_choice(request: PlotRequest) -> MatrixChoice:
    """The rows and columns that the settings ask for."""
    settings = request.settings
    return MatrixChoice(
        settings.queries, request.render.show_prompt, settings.patches, settings.words, request.analysis.convention
    )


def read_matrix(request: PlotRequest, head: str | None) -> AttentionMatrix:
    """The matrix, read with a bar for what takes long; None as `head` reads that of each recorded head.

    Raises:
        UsageError, TraceError: as `analysis.matrices.attention_matrix`.
    """
    trace, choice = request.trace, matrix_choice(request)
    check_matrix(trace, request.layer, head, choice)
    every = choice.queries == "all" or trace.is_encoding
    count = trace.n_queries if every else sum(step.recorded for step in trace.steps)
    with request.progress.track(f"layer {request.layer}", count, "row") as advance:
        matrix = attention_matrix(trace, request.layer, head, choice, lambda: advance(1))
    if request.analysis.strict:
        refuse_unclean(matrix.report, request.layer)
    if matrix.report.sentence():
        request.progress.notice(matrix.report.sentence())
    return matrix


def label_text(line: Line) -> str:
    """What a row or column is called: its text without the spaces around it, which no reader sees anyway."""
    return line.text.strip(" ") or "␣" * len(line.text)


def key_names(matrix: AttentionMatrix, request: PlotRequest) -> tuple[Name, ...]:
    """The names of the columns; sinks are marked where they are shown as they are."""
    marked = matrix.is_sink if request.analysis.sinks == "raw" else np.zeros(len(matrix.keys), dtype=bool)
    return tuple(
        Name(label_text(line), line.image >= 0 and line.patch < 0, sink)
        for line, sink in zip(matrix.keys, marked.tolist(), strict=True)
    )


def row_title(request: PlotRequest) -> str:
    """What a row is named by."""
    if request.trace.is_encoding or request.analysis.convention == "reading":
        return "query: the token that attends"
    if request.settings.queries == "all":
        return "token that follows the query"
    return "token that the query produced"


def head_words(request: PlotRequest) -> str:
    """`mean of 28 heads`, `head 3`."""
    return heads_in_words(request.analysis.head, request.trace.header.model.n_heads)


def layer_words(request: PlotRequest) -> str:
    """`layer 20 of 0–27`, with the window of a layer that has one."""
    model = request.trace.header.model
    kind = model.layer_kinds[request.layer] if request.layer < len(model.layer_kinds) else "full"
    return f"layer {request.layer} of 0–{model.n_layers - 1}{'' if kind == 'full' else f' ({kind})'}"


def matrix_words(request: PlotRequest, matrix: AttentionMatrix, heads: str) -> list[str]:
    """Layer, `heads`, rows, merging, and what has no column, for the caption."""
    count, every = len(matrix.queries), request.settings.queries == "all" or request.trace.is_encoding
    rows = f"{count} {'row' if count == 1 else 'rows'}: {'all queries shown' if every else 'queries of the answer'}"
    words = [layer_words(request), f"attention, {heads}", rows]
    if request.settings.words:
        words.append(WORDS_CAPTION)
    if any(line.image >= 0 and line.patch < 0 for line in matrix.keys):
        words.append("a column of an image sums its patches")
    words += image_row_words(request.trace, matrix)
    if request.settings.patches and matrix.is_image.any():
        first = "1: r1 c1: row 1, column 1 of image 1"
        words.append(first if len(request.trace.layout.images) > 1 else "r1 c1: patch in row 1, column 1 of the image")
    return [*words, *sentence_words(request.trace, matrix), *hidden_words(matrix)]


def sentence_words(trace: TraceData, matrix: AttentionMatrix) -> list[str]:
    """What the lines across a matrix of two sentences are."""
    return ["lines part sentence A from sentence B"] if lines_of_first_sentence(trace, matrix.keys) else []


def image_row_words(trace: TraceData, matrix: AttentionMatrix) -> list[str]:
    """How many rows are behind the row of an image, where there is one."""
    images = [line.image for line in matrix.queries if line.image >= 0 and line.patch < 0]
    counts = [len(trace.layout.patch_positions(image)) for image in images]
    if len(trace.layout.images) == 1 and counts:
        return [f"row of the image: mean over its {counts[0]} patches"]
    each = ", ".join(f"{count} of image {image + 1}" for image, count in zip(images, counts, strict=True))
    return [f"row of an image: mean over its patches ({each})"] if counts else []


def hidden_words(matrix: AttentionMatrix) -> list[str]:
    """How much of the rows lies on text that has no column; nothing where all has one."""
    hidden = matrix.hidden[np.isfinite(matrix.hidden)]
    if not hidden.size or not hidden.max() > 0:
        return []
    which = "prompt text" if matrix.hides_prompt_only else "text"
    return [f"{which} not shown: mean {percent(float(hidden.mean()))}, at most {percent(float(hidden.max()))} of a row"]


def scale_words(request: PlotRequest, matrix: AttentionMatrix) -> list[str]:
    """What was done to the weights before they were painted, and what the marks are."""
    sinks = request.analysis.sinks
    words = {"raw": "", "mask": "sinks left out", "relative": "weights over the mean of their column"}[sinks]
    marked = sinks == "raw" and bool(matrix.is_sink.any())
    holes = bool((matrix.seen & ~(np.isfinite(treated(matrix, sinks)) & (matrix.weights >= 0))).any())
    return [words, "purple dot: attention sink" if marked else "", "grey: no value" if holes else ""]


def draw_matrix_bars(
    request: PlotRequest, sheet: Sheet, matrix: AttentionMatrix, scale: ColorScale | None, top: float,
    measure: str = "attention",
) -> float:  # fmt: skip
    """One bar for text and one for images, or one for both; returns where they end."""
    return draw_bars(request, sheet, matrix_bars(request, matrix, scale, measure), top)


def matrix_bars(
    request: PlotRequest, matrix: AttentionMatrix, scale: ColorScale | None, measure: str = "attention"
) -> list[Bar]:
    """What the colours of text columns and of image columns mean; `measure` is what the numbers are."""
    settings, is_image = request.analysis, matrix.is_image
    what = f"{measure} over its mean" if settings.sinks == "relative" else measure
    unit = "word" if request.settings.words else "token"
    image = "image patch" if request.settings.patches else "image (sum of its patches)"
    short = "image patch" if request.settings.patches else "image (sum)"
    gamma = f", gamma {settings.gamma:g}" if settings.gamma != 1 else ""
    if scale is None:
        apart = "" if settings.scale_scope == "joint" or not is_image.any() else ", text and images apart"
        return [Bar(f"{what}, each row by itself", ("0", "", "largest of its row"), f"one scale per row{apart}{gamma}")]
    if is_image.all():
        return [weight_bar(f"{what} per {image}", scale, "image", f"one scale{gamma}")]
    if settings.scale_scope == "joint" or not is_image.any():
        things = f"per {unit} or {image}" if is_image.any() else f"per {unit}"
        return [weight_bar(f"{what} {things}", scale, "text", f"one scale{gamma}")]
    return [
        weight_bar(f"{what} per text {unit}", scale, "text", f"one scale for text{gamma}"),
        weight_bar(f"{what} per {image}", scale, "image", f"one scale for images{gamma}", f"{what} per {short}"),
    ]
