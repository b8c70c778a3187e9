"""Which rows a report holds, and their blocks, one layer in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from attnviz_video.analysis.heads import check_recorded, parse_head, resolve_layer
from attnviz_video.core.trace import TraceData
from attnviz_video.export.report.rollout import rollout_rows
from attnviz_video.export.report.rows import Coding, RowBlock, encode_rows
from attnviz_video.export.report.settings import ReportSettings

#: Single heads of all recorded layers are held where their float16 rows stay below so many bytes …
ALL_HEADS_BYTES = 12_000_000
#: … and rows are held as recorded where all of them do.
EXACT_BYTES = 16_000_000
#: The prompt's own rows are held up to so many positions: they grow with its square.
MOST_PROMPT = 512


@dataclass(frozen=True)
class Held:
    """Which rows the report holds."""

    #: Layers with the mean over all heads.
    mean_layers: tuple[int, ...]
    #: Layers with single heads.
    head_layers: tuple[int, ...]
    #: The answer tokens that have rows, in the order of the blocks' rows.
    steps: tuple[int, ...]
    #: Whether the prompt's own rows stand before those of the answer in every block.
    prompt: bool = False


def held_rows(trace: TraceData, studied: Sequence[int], settings: ReportSettings) -> Held:
    """Which rows the report holds when the layers `studied` are asked for.

    Raises:
        UsageError: `--report_layers` names a layer that the model does not have.
        TraceError: it names one whose rows were not recorded.
    """
    header = trace.header
    steps = tuple(info.index for info in trace.steps if info.recorded)
    if settings.report_layers == "all":
        layers = header.head_layers
    elif settings.report_layers is not None:
        layers = tuple(dict.fromkeys(resolve_layer(header, asked) for asked in settings.report_layers))
        for asked in layers:
            if asked not in header.head_layers:
                check_recorded(header, asked, parse_head("max"))
    else:
        all_bytes = 2 * _n_keys(trace, steps) * len(header.heads) * len(header.head_layers)
        layers = header.head_layers if all_bytes <= ALL_HEADS_BYTES else tuple(studied)
    return Held(tuple(header.mean_layers), tuple(sorted(set(layers) & set(header.head_layers))), steps, _prompt(trace))


def _prompt(trace: TraceData) -> bool:
    """Whether the prompt's own rows are there for every block, and few."""
    header = trace.header
    every = set(header.mean_layers) <= set(header.head_layers) and len(header.heads) == header.model.n_heads
    return every and header.query_rows == "all" and trace.status == "complete" and 1 < trace.n_prompt <= MOST_PROMPT


def _n_keys(trace: TraceData, steps: tuple[int, ...]) -> int:
    return sum(trace.n_keys(step) for step in steps)


def coding_of(trace: TraceData, held: Held, settings: ReportSettings) -> Coding:
    """How the rows are written; `auto` keeps them as recorded where that is small."""
    if settings.report_weights != "auto":
        return settings.report_weights
    n_rows = len(held.mean_layers) + len(held.head_layers) * len(trace.header.heads)
    return "exact" if 2 * _n_keys(trace, held.steps) * n_rows <= EXACT_BYTES else "short"


def row_blocks(trace: TraceData, held: Held, coding: Coding) -> Iterator[RowBlock]:
    """The blocks of all rows held: named `rows-LAYER-mean`, `rows-LAYER-HEAD`, `rows-LAYER-rollout`.

    The rows of a block are those of the prompt's queries 0 … n_prompt - 2 where they are held, then those of the steps.
    """
    for layer in held.mean_layers:
        means = _empty(trace, held)
        if held.prompt:
            prompt = trace.rows.prompt_rows(layer).mean(axis=0, dtype=np.float64)
            means[: len(prompt), : trace.n_prompt] = prompt
        for number, step in enumerate(held.steps, start=_first_step_row(trace, held)):
            row = trace.rows.mean_row(step, layer)
            means[number, : row.shape[0]] = row
        yield encode_rows(f"rows-{layer}-mean", means, coding)
    for layer in held.head_layers:
        yield from _head_blocks(trace, held, layer, coding)
    for layer, rolled in rollout_rows(trace, held.steps, prompt=held.prompt):
        yield encode_rows(f"rows-{layer}-rollout", rolled, coding)


def _head_blocks(trace: TraceData, held: Held, layer: int, coding: Coding) -> Iterator[RowBlock]:
    heads = trace.header.heads
    rows = np.stack([_empty(trace, held).astype(np.float16)] * len(heads)) if heads else np.zeros((0, 1, 1), np.float16)
    with np.errstate(over="ignore"):  # what float16 cannot hold was infinite in the trace already
        if held.prompt:
            prompt = trace.rows.prompt_rows(layer)
            rows[:, : prompt.shape[1], : trace.n_prompt] = prompt
        for number, step in enumerate(held.steps, start=_first_step_row(trace, held)):
            own = trace.rows.head_rows(step, layer)
            rows[:, number, : own.shape[1]] = own
    for head, one in zip(heads, rows, strict=True):
        yield encode_rows(f"rows-{layer}-{head}", one.astype(np.float32), coding)


def _first_step_row(trace: TraceData, held: Held) -> int:
    return trace.n_prompt - 1 if held.prompt else 0


def _empty(trace: TraceData, held: Held) -> Float[np.ndarray, "queries positions"]:
    """Room for all rows of a block: as many positions as the longest row sees."""
    n_positions = trace.n_keys(max(held.steps, default=0))
    return np.zeros((_first_step_row(trace, held) + len(held.steps), n_positions), dtype=np.float32)
