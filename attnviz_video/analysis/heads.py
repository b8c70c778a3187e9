"""From the rows of several query heads to one row: their mean, their maximum, or one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from attnviz_video.core.trace import TraceData, TraceHeader
from attnviz_video.errors import TraceError, UsageError


@dataclass(frozen=True, slots=True)
class HeadReduction:
    """How the rows of the heads become one: `mean` or `max` over all query heads, or `one` head by its number."""

    kind: Literal["mean", "max", "one"]
    #: Number of the query head; -1 unless `kind` is "one".
    number: int = -1

    def __str__(self) -> str:
        return f"head {self.number}" if self.kind == "one" else f"{self.kind} over heads"


def parse_head(text: str) -> HeadReduction:
    """The reduction that `--head` names.

    Raises:
        UsageError: neither mean, max nor the number of a head.
    """
    word = text.strip()
    if word == "mean":
        return HeadReduction("mean")
    if word == "max":
        return HeadReduction("max")
    if word.isascii() and word.isdigit():
        return HeadReduction("one", int(word))
    raise UsageError(f"--head: expected mean, max or the number of a query head (0, 1, …), got {text!r}")


def heads_in_words(head: str, n_heads: int, *, short: bool = False) -> str:
    """What a picture says of the reduction `--head`: `mean of 28 heads`, `maximum of 28 heads (rows do not sum to 1)`,
    `head 3`; `short` leaves out what is in brackets.
    """
    if head not in ("mean", "max"):
        return f"head {head}"
    said = f"{'mean' if head == 'mean' else 'maximum'} of {n_heads} heads"
    return said if head == "mean" or short else f"{said} (rows do not sum to 1)"


def resolve_layer(header: TraceHeader, layer: int) -> int:
    """The decoder layer meant by `layer` (negative counts from the end), if the trace recorded it.

    Raises:
        UsageError: the model has no such layer.
        TraceError: the model has it, the trace does not.
    """
    n_layers = header.model.n_layers
    found = layer + n_layers if layer < 0 else layer
    if not 0 <= found < n_layers:
        raise UsageError(
            f"layer {layer} is out of range: the model has layers 0 to {n_layers - 1} (or {-n_layers} to -1)"
        )
    recorded = sorted({*header.head_layers, *header.mean_layers})
    if found not in recorded:
        raise TraceError(
            f"layer {found} was not recorded in this trace: it holds {_listed('layer', recorded)}; "
            f"record again with --layers {found}"
        )
    return found


def check_recorded(header: TraceHeader, layer: int, head: HeadReduction) -> None:
    """Make sure that the rows which `head` needs at `layer` are in the trace, before any work is done.

    Raises:
        UsageError: the model has no head of that number.
        TraceError: the rows were not recorded.
    """
    n_heads = header.model.n_heads
    if head.kind == "one" and head.number >= n_heads:
        raise UsageError(f"--head {head.number} is out of range: the model has query heads 0 to {n_heads - 1}")
    if head.kind == "mean" and layer in header.mean_layers:
        return
    if layer not in header.head_layers:
        raise TraceError(
            f"{head} of layer {layer} was not recorded in this trace: it holds single heads of "
            f"{_listed('layer', sorted(header.head_layers))}; record again with --layers {layer}, or use --head mean"
        )
    wanted = {head.number} if head.kind == "one" else set(range(n_heads))
    if not wanted <= set(header.heads):
        flag = str(head.number) if head.kind == "one" else "all"
        raise TraceError(
            f"{head} of layer {layer} was not recorded in this trace: it holds {_listed('head', sorted(header.heads))} "
            f"of {n_heads}; record again with --heads {flag}"
        )


def source_rows(trace: TraceData, step: int, layer: int, head: HeadReduction) -> Float[np.ndarray, "rows keys"]:
    """The stored rows that `head` is made of: one row, or one per head for a maximum; n_prompt + step keys.

    Raises:
        UsageError, TraceError: as `check_recorded`; or a row has a wrong number of keys.
    """
    check_recorded(trace.header, layer, head)
    if head.kind == "mean" and layer in trace.header.mean_layers:
        rows = trace.rows.mean_row(step, layer)[np.newaxis]
    else:
        rows = trace.rows.head_rows(step, layer)
        if head.kind == "one":
            rows = rows[[trace.header.heads.index(head.number)]]
    keys = trace.n_keys(step)
    if rows.shape[-1] != keys:
        raise TraceError(
            f"step {step}, layer {layer}: expected rows of {keys} keys, found {rows.shape[-1]}; "
            "the trace is damaged, record it again"
        )
    return rows.astype(np.float32, copy=False)


def reduce_rows(rows: Float[np.ndarray, "rows keys"], head: HeadReduction) -> Float[np.ndarray, "keys"]:
    """One float32 row from those of `source_rows`; a NaN in any of them stays NaN."""
    reduced: np.ndarray = rows.max(axis=0) if head.kind == "max" else rows.mean(axis=0, dtype=np.float64)
    return reduced.astype(np.float32)


def reduce_heads(trace: TraceData, step: int, layer: int, head: HeadReduction) -> Float[np.ndarray, "keys"]:
    """The row of `step` at `layer`, reduced over heads; n_prompt + step keys, float32.

    Raises:
        UsageError, TraceError: as `source_rows`.
    """
    return reduce_rows(source_rows(trace, step, layer, head), head)


def _listed(noun: str, numbers: Iterable[int]) -> str:
    found = list(numbers)
    if not found:
        return f"no {noun}s"
    return f"{noun}{'s' if len(found) > 1 else ''} {', '.join(map(str, found))}"
