"""Plot `rollout`: all layers taken together, on the images and on the text; see `analysis.rollout` for the equation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.convention import row_of_frame
from attnviz_video.analysis.layer_comparison import text_label
from attnviz_video.analysis.matrices import computed_matrix
from attnviz_video.analysis.rollout import check_rollout, rollout, rollout_from
from attnviz_video.analysis.scores import Scores, score, shown_steps
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.step_figure import Drawn, Wording, draw_step
from attnviz_video.export.plots.matrix import draw_whole_matrix, sentence_words
from attnviz_video.export.plots.request import PlotRequest


@dataclass(frozen=True, eq=False)
class RolledRows:
    """Rows that were computed, by the step that they stand for; a `RowStore` of one layer and one head."""

    rows: Mapping[int, Float[np.ndarray, "keys"]]

    def head_rows(self, step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        """The one row of `step`."""
        return self.rows[step][np.newaxis]

    def mean_row(self, step: int, layer: int) -> Float[np.ndarray, "keys"]:
        """The same."""
        return self.rows[step]

    def prompt_rows(self, layer: int) -> Float[np.ndarray, "heads queries keys"]:
        """There are none.

        Raises:
            TraceError: always.
        """
        raise TraceError(f"a rollout was computed for steps of the answer only (layer {layer})")


@dataclass(frozen=True, eq=False)
class RolledStep:
    """The rollout of one step, or of the mean over all, as scores of one frame."""

    scores: Scores
    #: The row itself, over prompt and answer; it sums to 1.
    row: Float[np.ndarray, "keys"]
    #: How many steps it is the mean of.
    n_steps: int


def rollout_name(request: PlotRequest) -> str:
    """`attention_rollout_layers0-21`, `attention_rollout_layers0-21_step12`."""
    step = "" if request.settings.step is None else f"_step{request.step_number}"
    return f"attention_rollout_layers{request.settings.start_layer}-{end_layer(request)}{step}"


def end_layer(request: PlotRequest) -> int:
    """The layer that the rollout ends at: that of `--layer_idx`, else the model's last.

    Raises:
        UsageError: several are named.
    """
    if not request.layers_named:
        return request.trace.header.model.n_layers - 1
    if len(request.layers) > 1:
        raise UsageError("--what rollout ends at one layer; name one with --layer_idx (--start_layer is the first)")
    return request.layers[0]


def draw_rollout(request: PlotRequest) -> Drawn:
    """The rollout of `--step`, or the mean over all steps, painted like a step: the images and the text before it.

    Of an encoding, in which every token is a query, it is the whole matrix R, query by key.

    Raises:
        UsageError: layers or ratios out of range, a single head, or a step without a row.
        TraceError: the rows of all queries, heads and layers were not recorded.
    """
    if request.trace.is_encoding:
        return _draw_encoding(request)
    rolled = read_rollout(request)
    settings = FigureSettings(columns=request.settings.columns, dpi=request.settings.dpi)
    wording = Wording(rollout_words(request, rolled), "rollout", has_current=request.settings.step is not None)
    drawn = draw_step(rolled.scores, 0, settings, request.picture_render, wording)
    title = f"Attention rollout of {request.trace.header.model.short_name}, sample {request.trace.header.sample.id}"
    return replace(drawn, title=title, description=f"{title}, {', '.join(wording.caption)}")


def read_rollout(request: PlotRequest) -> RolledStep:
    """The numbers of the plot.

    Raises:
        UsageError, TraceError: as `draw_rollout`.
    """
    trace, settings, end = request.trace, request.settings, end_layer(request)
    _refuse_single_heads(request)
    check_rollout(trace, end, settings.start_layer, settings.discard_ratio, settings.residual)
    steps, convention = shown_steps(trace), request.analysis.convention
    wanted = steps if request.step is None else (request.step,)
    rows = {step: row_of_frame(step, frozenset(steps), convention) for step in wanted}
    found = {step: row for step, row in rows.items() if row is not None}
    if not found:
        raise UsageError(
            f"--step {settings.step}: nothing was written after this token, so it has no row with "
            "--convention reading; choose an earlier step"
        )
    queries = np.zeros((1, trace.n_queries))
    for row in found.values():
        queries[0, trace.query_of(row)] = 1 / len(found)
    with request.progress.track("rollout", end - settings.start_layer + 1, "layer") as advance:
        rolled = rollout_from(
            trace, end, queries, start_layer=settings.start_layer, discard_ratio=settings.discard_ratio,
            residual=settings.residual, on_layer=lambda _: advance(1),
        )[0]  # fmt: skip
    step, row = max(found.items())
    rolled = rolled[: trace.n_keys(row)]
    return RolledStep(_scores(request, end, {step, row}, row, rolled), rolled, len(found))


def _refuse_single_heads(request: PlotRequest) -> None:
    if request.analysis.head != "mean":
        raise UsageError(
            f"--what rollout takes the mean over the heads of each layer; leave out --head {request.analysis.head}"
        )


def _draw_encoding(request: PlotRequest) -> Drawn:
    """The rollout of every query of an encoding as a matrix."""
    _refuse_single_heads(request)
    trace, settings, end = request.trace, request.settings, end_layer(request)
    if settings.step is not None:
        raise UsageError(
            f"--step {settings.step}: the rollout of one pass over a text is a matrix of all its queries, the row of "
            "each token among them; leave out --step"
        )
    check_rollout(trace, end, settings.start_layer, settings.discard_ratio, settings.residual)
    with request.progress.track("rollout", end - settings.start_layer + 1, "layer") as advance:
        rolled = rollout(
            trace, end, start_layer=settings.start_layer, discard_ratio=settings.discard_ratio,
            residual=settings.residual, on_layer=lambda _: advance(1),
        )  # fmt: skip
    matrix = computed_matrix(trace, rolled)
    words = [
        *_settings_words(request),
        f"{len(matrix.queries)} rows: all queries shown",
        *sentence_words(trace, matrix),
    ]
    return draw_whole_matrix(request, matrix, words, words[0], "rollout")


def _scores(request: PlotRequest, layer: int, steps: set[int], row: int, rolled: Float[np.ndarray, "keys"]) -> Scores:
    """Scores whose first frame shows `rolled` as the row of the step `row`."""
    trace = request.trace
    header = replace(trace.header, head_layers=(layer,), heads=(0,), mean_layers=(layer,), query_rows="answer")
    kept = tuple(replace(info, recorded=info.index in steps) for info in trace.steps)
    computed: TraceData = replace(trace, header=header, steps=kept, rows=RolledRows({row: rolled.astype(np.float32)}))
    return score(computed, layer, request.analysis, show_prompt=request.render.show_prompt)


def rollout_words(request: PlotRequest, rolled: RolledStep) -> tuple[str, ...]:
    """What the caption says: the layers, the rows, what was done to each."""
    layers, *treatment = _settings_words(request)
    kind = "predicting" if request.analysis.convention == "predicting" else "reading"
    if request.step is None:
        rows = {"predicting": "rows that produced", "reading": "rows of"}[kind]
        which = f"mean over {rolled.n_steps} steps ({rows} the tokens)"
    else:
        token = text_label(request.trace.tokens[request.trace.n_prompt + request.step].piece)
        rows = {"predicting": "row that produced", "reading": "row of"}[kind]
        which = f"step {request.step_number}, {rows} “{token}”"
    return layers, which, *treatment


def _settings_words(request: PlotRequest) -> tuple[str, ...]:
    """The layers, and what was done to each: heads, residual connection, weights that were discarded."""
    settings, n_heads = request.settings, request.trace.header.model.n_heads
    words = (
        f"attention rollout, layers {settings.start_layer} to {end_layer(request)}", f"mean of {n_heads} heads",
        f"residual {settings.residual:g}",
        f"lightest {100 * settings.discard_ratio:g} % of each row discarded" if settings.discard_ratio else "",
    )  # fmt: skip
    return tuple(word for word in words if word)
