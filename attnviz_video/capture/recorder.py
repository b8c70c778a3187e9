"""`AttentionRecorder`: the attention rows of the wanted layers, computed beside the model's own attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType

import numpy as np
import torch
from torch import Tensor, nn

from attnviz_video.capture.intercept import AttentionCall, watched_attention
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.reduce import absolute_columns, reduce_step
from attnviz_video.capture.rows import attention_row_chunks, attention_rows
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.step import PromptRows, StepRows, StepScalars
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError

#: How far the model's own output may lie from the one our weights give, relative to its largest value.
_OUTPUT_TOLERANCE = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_SUM_TOLERANCE = 1e-3


class AttentionRecorder:
    """Records one generation or one prefill inside a `with` block; the model's functions are restored afterwards.

    While `enabled` is False nothing is computed (steps before the start phrase). `on_prompt_rows` receives the
    prompt's own rows of each head layer during the prefill, where the plan asks for them. The recorder keeps the
    rows of the running step only.
    """

    def __init__(
        self,
        modules: Mapping[int, nn.Module],
        plan: RecordingPlan,
        identity: ModelIdentity,
        layout: TokenLayout,
        on_prompt_rows: Callable[[PromptRows], None] | None = None,
    ) -> None:
        self.enabled = True
        self._plan = plan
        self._identity = identity
        self._layout = layout
        self._on_prompt_rows = on_prompt_rows if plan.query_rows == "all" else None
        self._modules = _wanted_modules(modules, plan)
        self._rows: dict[int, Tensor] = {}
        self._checked: set[int] = set()
        self._patches: list[Tensor] = []
        self._watching: AbstractContextManager[None] | None = None

    def __enter__(self) -> AttentionRecorder:
        self._watching = watched_attention(self._modules, self._watch)
        self._watching.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rows.clear()
        if self._watching is not None:
            self._watching.__exit__(kind, error, trace)
            self._watching = None

    def take(self, step: int) -> tuple[StepRows, StepScalars]:
        """What the last forward pass left behind: the row that produced answer token `step`, and its scalars.

        Raises:
            ModelError: a wanted layer did not run through the attention interface, or its keys are not the text.
        """
        missing = sorted(self._modules.keys() - self._rows.keys())
        if missing:
            raise ModelError(
                f"the attention of layer {', '.join(map(str, missing))} did not go through transformers' attention "
                "interface and cannot be recorded; choose other layers with --layer_idx, or another model"
            )
        n_keys = self._layout.n_prompt + step
        kinds = self._identity.layer_kinds
        device = next(iter(self._rows.values())).device
        rows = {
            layer: absolute_columns(row.to(device), n_keys, layer, kinds[layer]) for layer, row in self._rows.items()
        }
        self._rows.clear()
        return reduce_step(rows, self._plan, self._patch_positions(device))

    def _patch_positions(self, device: torch.device) -> list[Tensor]:
        if not self._patches:
            images = range(len(self._layout.images))
            self._patches = [torch.from_numpy(self._layout.patch_positions(image)).to(device) for image in images]
        return self._patches

    def _watch(self, call: AttentionCall) -> None:
        if call.query.shape[0] != 1:
            raise ModelError(
                f"recording takes one sequence at a time, the model runs {call.query.shape[0]}; "
                "for beams and batches, replay the finished text instead"
            )
        if self._on_prompt_rows is not None and call.query.shape[2] > 1 and call.layer in self._plan.head_layers:
            self._on_prompt_rows(prompt_rows(call, self._plan, self._layout.n_prompt))
        if not self.enabled:
            return
        last = call.query.shape[2] - 1
        row = attention_rows(call.query, call.key, call.options, range(last, last + 1))[0, :, 0]
        if call.layer not in self._checked:
            check_row(call, row, self._identity.n_heads)
            self._checked.add(call.layer)
        self._rows[call.layer] = row


def _wanted_modules(modules: Mapping[int, nn.Module], plan: RecordingPlan) -> dict[int, nn.Module]:
    wanted = sorted({*plan.head_layers, *plan.mean_layers, *plan.scalar_layers})
    missing = [layer for layer in wanted if layer not in modules]
    if missing:
        raise ModelError(
            f"layer {', '.join(map(str, missing))} has no attention module that can be recorded; "
            f"layers that have one: {', '.join(map(str, sorted(modules)))}"
        )
    return {layer: modules[layer] for layer in wanted}


def prompt_rows(call: AttentionCall, plan: RecordingPlan, n_prompt: int) -> PromptRows:
    """The prompt's own rows of one layer (all but its last query), float16, computed in chunks of queries.

    Raises:
        ModelError: the prompt did not arrive whole (chunked prefill).
    """
    queries, keys = call.query.shape[2], call.key.shape[2]
    if queries != n_prompt or keys < n_prompt:
        raise ModelError(
            f"layer {call.layer}: the prompt's rows need its {n_prompt} queries in one pass, {queries} came; "
            "use --record_rows answer"
        )
    heads = torch.tensor(plan.heads, device=call.query.device)
    result = np.zeros((len(plan.heads), n_prompt - 1, n_prompt), dtype=np.float16)
    for part, rows in attention_row_chunks(call.query, call.key, call.options, range(n_prompt - 1)):
        result[:, part.start : part.stop] = rows[0, heads, :, :n_prompt].half().cpu().numpy()
    return PromptRows(call.layer, result)


def check_row(call: AttentionCall, row: Tensor, n_heads: int) -> None:
    """Compare one layer's first row with what the model itself made of it.

    Raises:
        ModelError: the row is not a distribution, or the layer's attention is not the one of `rows.py`.
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
    value = call.value[0].float().repeat_interleave(row.shape[0] // call.value.shape[1], dim=0)
    ours = torch.einsum("hk,hkd->hd", row, value)[:, : own.shape[-1]]
    limit = _OUTPUT_TOLERANCE.get(call.query.dtype, 1e-1) * value.abs().max().clamp_min(1e-6)
    if bool(wrong.any()) or ours.shape != own.shape or bool((ours - own).abs().max() > limit):
        raise ModelError(
            f"layer {call.layer}: the recorded weights do not give the model's own output, so its attention is of a "
            "kind that cannot be recorded; load the model with sdpa attention, or choose another model"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
