"""One forward pass over prompts and finished answers that leaves behind the answers' queries and the keys they see.

Rows are computed from these later, a few steps of all layers at a time: the steps of a trace come one after another,
and the rows of all layers at once would not fit into memory, whereas queries and keys are about what the cache of a
generation holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from attnviz_video.capture.call_part import part_of_call
from attnviz_video.capture.holder import not_seen
from attnviz_video.capture.intercept import AttentionCall, watched_attention
from attnviz_video.capture.output_head import FinishedError, OutputHead
from attnviz_video.capture.recorder import check_row
from attnviz_video.capture.rows import AttentionOptions, attention_rows
from attnviz_video.errors import ModelError
from attnviz_video.models.teacher_forcing import positions_computed_anew


@dataclass(frozen=True)
class Span:
    """Where one sequence of the pass has its answer; the row of query q produced the token at position q + 1."""

    #: Prompt tokens that the model reads.
    n_prompt: int
    #: Answer tokens; the last one is not an input, since nothing is produced from it.
    n_steps: int
    #: Keys of its pictures in layers whose keys are no text positions.
    n_cross_keys: int = 0

    @property
    def queries(self) -> range:
        """Positions of the queries that produced the answer."""
        return range(self.n_prompt - 1, self.n_prompt - 1 + self.n_steps)


@dataclass(frozen=True, eq=False)
class AnswerQueries:
    """The queries of one answer at one layer, and all keys they may see."""

    query: Float[Tensor, "1 heads steps width"]
    key: Float[Tensor, "1 kv_heads keys width"]
    options: AttentionOptions

    def rows(self, steps: range) -> Float[Tensor, "heads steps keys"]:
        """Attention rows of some consecutive steps, float32, on the layer's own keys."""
        return attention_rows(self.query, self.key, self.options, steps)[0]


#: What one sequence leaves behind: its queries at each layer.
Layers = dict[int, AnswerQueries]


class TeacherForcedPass:
    """Runs the model once over several sequences and keeps what the wanted layers did with each answer."""

    def __init__(
        self,
        modules: Mapping[int, nn.Module],
        spans: Sequence[Span],
        *,
        n_heads: int,
        cross_layers: frozenset[int] = frozenset(),
        on_prompt_call: Callable[[int, AttentionCall], None] | None = None,
    ) -> None:
        """`modules` are the wanted layers' attention modules; the keys of `cross_layers` are no text positions.

        `on_prompt_call` receives the number of a sequence and each layer's call as if its prompt stood alone.
        """
        self.layers: list[Layers] = [{} for _ in spans]
        self._modules = modules
        self._spans = spans
        self._n_heads = n_heads
        self._cross_layers = cross_layers
        self._on_prompt_call = on_prompt_call
        self._stop_after = -1

    def run(self, model: Any, inputs: Mapping[str, Any], head: OutputHead | None) -> None:
        """One forward pass; it ends before the `head`, or without one after the last wanted layer.

        Raises:
            ModelError: a wanted layer did not run through the attention interface, or sees what comes after.
        """
        self._stop_after = max(self._modules, default=-1) if head is None else -1
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(positions_computed_anew(model))
            stack.enter_context(watched_attention(self._modules, self._watch))
            if head is not None:
                stack.enter_context(head.ending_before())
            with suppress(FinishedError):
                model(**inputs, use_cache=False)
        missing = sorted(self._modules.keys() - self.layers[0].keys())
        if missing:
            raise not_seen(missing)

    def _watch(self, call: AttentionCall) -> None:
        for number, span in enumerate(self._spans):
            cross = range(span.n_cross_keys) if call.layer in self._cross_layers else None
            if cross is None:
                check_prompt_is_alone(call, number, span.n_prompt)
            answer = part_of_call(call, number, span.queries, cross or range(span.queries.stop))
            kept = AnswerQueries(answer.query.clone(), answer.key, answer.options)
            check_row(answer, kept.rows(range(span.n_steps - 1, span.n_steps))[:, 0], self._n_heads)
            self.layers[number][call.layer] = kept
            if self._on_prompt_call is not None:
                self._on_prompt_call(
                    number, part_of_call(call, number, range(span.n_prompt), cross or range(span.n_prompt))
                )
        if call.layer == self._stop_after:
            raise FinishedError


def check_prompt_is_alone(call: AttentionCall, sequence: int, n_prompt: int) -> None:
    """The prompt must not see the answer, which it did not when the answer was generated.

    Raises:
        ModelError: a mask lets it; the pass would not be what the generation was.
    """
    mask = call.options.mask
    if mask is None or mask.ndim != 4:
        return
    future = mask[sequence if mask.shape[0] > 1 else 0, :, :n_prompt, n_prompt:]
    visible = future if future.dtype == torch.bool else future > torch.finfo(future.dtype).min / 2
    if bool(visible.any()):
        raise ModelError(
            f"layer {call.layer}: in one pass the prompt would attend to the response, which it did not when the "
            "response was written; this model's responses cannot be replayed, use --answer generate"
        )
