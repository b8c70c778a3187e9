"""`AttentionRecorder`: the attention rows of the wanted layers, computed beside the model's own attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
import torch
from torch import Tensor, nn

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.holder import StepHolder, not_seen
from attnviz_video.capture.intercept import AttentionCall, NotRoutedError, watched_attention
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.ring import HeldQuery
from attnviz_video.capture.rows import attention_row_chunks, attention_rows
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.core.step import PromptRows
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError

#: How far the model's own output may lie from the one our weights give, relative to its largest value.
_OUTPUT_TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_SUM_TOLERANCE = 1e-3


class AttentionRecorder(StepHolder):
    """Records one generation or one prefill inside a `with` block; the model's functions are restored afterwards.

    `on_prompt_rows` receives the prompt's own rows of each head layer during the prefill, where the plan asks for them.
    """

    def __init__(
        self,
        modules: Mapping[int, nn.Module],
        plan: RecordingPlan,
        identity: ModelIdentity,
        layout: TokenLayout,
        on_prompt_rows: Callable[[PromptRows], None] | None = None,
        columns: KeyColumns | None = None,
    ) -> None:
        wanted = wanted_modules(modules, plan)
        super().__init__(wanted, plan, identity, layout, columns)
        #: The attention modules that are watched.
        self.modules = {layer: wanted[layer] for layer in self.layers}
        self._on_prompt_rows = on_prompt_rows if plan.query_rows == "all" else None
        self._checked: set[int] = set()
        self._watching: AbstractContextManager[None] | None = None

    def __enter__(self) -> AttentionRecorder:
        self._watching = watched_attention(self.modules, self.watch)
        self._watching.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        if self._watching is not None:
            self._watching.__exit__(kind, error, trace)
            self._watching = None

    def watch(self, call: AttentionCall) -> None:
        """Take one call of a watched layer, of one sequence.

        Raises:
            ModelError: several sequences, or attention that cannot be recorded.
        """
        if call.query.shape[0] != 1:
            raise ModelError(
                f"recording takes one sequence at a time, the model runs {call.query.shape[0]}; "
                "for beams and batches, replay the finished text instead"
            )
        unchecked = call.layer not in self._checked
        found: HeldQuery | Tensor | None = None
        if self.enabled and not unchecked and self._can_wait(call):
            found = HeldQuery(call.query, call.options)
            self._keys[call.layer] = call.key
        elif self.enabled or unchecked:
            last = call.query.shape[2] - 1
            found = attention_rows(call.query, call.key, call.options, range(last, last + 1))[0, :, 0]
        if unchecked and isinstance(found, Tensor):
            check_row(call, found, self._identity.n_heads)
            self._checked.add(call.layer)
            self._alone = True
        if self._on_prompt_rows is not None and call.query.shape[2] > 1 and call.layer in self._plan.head_layers:
            self._on_prompt_rows(prompt_rows(call, self._plan, self._columns))
        if self.enabled and found is not None:
            self._rows[call.layer] = found

    def skip(self) -> None:
        """Take note of a step of which nothing is kept.

        Raises:
            NotRoutedError: a wanted layer has not been seen.
        """
        missing = sorted(self.modules.keys() - self._checked)
        if missing:
            raise not_seen(missing)

    def _can_wait(self, call: AttentionCall) -> bool:
        """Whether the keys of this step will all be there later: a window drops its first ones."""
        whole = self._identity.layer_kinds[call.layer] == "full" and call.options.sliding_window is None
        return whole and call.query.shape[2] == 1


def wanted_modules(modules: Mapping[int, nn.Module], plan: RecordingPlan) -> dict[int, nn.Module]:
    """The attention modules of every layer of which anything is kept, ascending.

    Raises:
        NotRoutedError: a layer has none that can be recorded.
    """
    wanted = sorted({*plan.head_layers, *plan.mean_layers, *plan.scalar_layers})
    missing = [layer for layer in wanted if layer not in modules]
    if missing:
        raise NotRoutedError(
            f"layer {', '.join(map(str, missing))} has no attention module that can be recorded",
            f"layers that have one: {', '.join(map(str, sorted(modules)))}",
        )
    return {layer: modules[layer] for layer in wanted}


def prompt_rows(call: AttentionCall, plan: RecordingPlan, columns: TraceColumns) -> PromptRows:
    """The prompt's own rows of one layer (all but its last query), float16, computed in chunks of queries.

    Raises:
        ModelError: the prompt did not arrive whole (chunked prefill).
    """
    queries, n_queries = call.query.shape[2], columns.n_model_prompt
    if queries != n_queries or not columns.has_whole_prompt(call.key.shape[2], call.layer):
        raise ModelError(
            f"layer {call.layer}: the prompt's rows need its {n_queries} queries in one pass, {queries} came; "
            "use --record_rows answer"
        )
    heads = torch.tensor(plan.heads, device=call.query.device)
    result = np.zeros((len(plan.heads), columns.n_prompt - 1, columns.n_prompt), dtype=np.float16)
    for part, rows in attention_row_chunks(call.query, call.key, call.options, range(n_queries - 1)):
        placed = columns.prompt_rows(rows[0, heads], call.layer).half().cpu().numpy()
        result[:, columns.query_positions(part)] = placed
    return PromptRows(call.layer, result)


def check_row(call: AttentionCall, row: Tensor, n_heads: int) -> None:
    """Compare one layer's first row with what the model itself made of it.

    Raises:
        ModelError: the row is not a number, or has other heads than the model.
        NotRoutedError: it is not a distribution, or the layer's attention is not the one of `rows.py`.
    """
    if row.shape[0] != n_heads:
        raise ModelError(
            f"layer {call.layer} has {row.shape[0]} query heads, the model's configuration says {n_heads}; "
            "models whose layers differ in heads cannot be recorded"
        )
    sums = row.sum(-1)
    if not bool(torch.isfinite(sums).all()):
        raise ModelError(
            f"layer {call.layer}: attention is not a number in {_name(call.query.dtype)}; "
            "load the model with --dtype bfloat16 or float32"
        )
    wrong = sums > 1 + _SUM_TOLERANCE if call.options.sinks is not None else (sums - 1).abs() > _SUM_TOLERANCE
    own = call.output[0, -1].float()
    value = call.value[0].float()
    grouped = row.reshape(value.shape[0], -1, row.shape[-1])
    ours = torch.matmul(grouped, value).flatten(0, 1)[:, : own.shape[-1]]
    limit = _OUTPUT_TOLERANCE.get(call.query.dtype, 1e-1) * value.abs().amax().clamp_min(1e-6)
    if bool(wrong.any()) or ours.shape != own.shape or bool((ours - own).abs().max() > limit):
        raise NotRoutedError(
            f"layer {call.layer}: the recorded weights do not give the model's own output, so its attention is of a "
            "kind that cannot be recorded",
            "load the model with sdpa attention, or choose another model",
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
