"""`EagerRecorder`: rows taken from the attention weights that the model itself returns; for what cannot be watched.

The model runs eager attention with `output_attentions`, which holds the weights of all layers and queries of a forward
pass at once, is slower, and rounds differently from the kernels it replaces, so that another text may come out.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from attnviz_video.capture.holder import StepHolder
from attnviz_video.capture.intercept import NotRoutedError
from attnviz_video.capture.plan import RecordingPlan, is_attention
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.core.step import PromptRows
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError

#: How far the sum of a row may lie from 1; the library rounds the weights to the model's number format.
_SUM_TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 5e-2}


class EagerRecorder(StepHolder):
    """Records one generation inside a `with` block; the model's attention is then what it was before."""

    def __init__(
        self,
        model: nn.Module,
        plan: RecordingPlan,
        identity: ModelIdentity,
        layout: TokenLayout,
        on_prompt_rows: Callable[[PromptRows], None] | None = None,
        columns: KeyColumns | None = None,
    ) -> None:
        super().__init__(
            sorted({*plan.head_layers, *plan.mean_layers, *plan.scalar_layers}), plan, identity, layout, columns
        )
        self._model = model
        self._on_prompt_rows = on_prompt_rows if plan.query_rows == "all" else None
        self._with_sink = any(getattr(module, "sinks", None) is not None for module in model.modules())
        self._checked: set[int] = set()
        self._cleanup = ExitStack()

    def __enter__(self) -> EagerRecorder:
        if not _takes_option(self._model.forward, "output_attentions"):
            raise NotRoutedError("the model cannot return its attention weights", "it cannot be recorded")
        self._cleanup.enter_context(eager_attention(self._model))
        before = self._model.register_forward_pre_hook(_asking_for_weights, with_kwargs=True)
        self._cleanup.callback(before.remove)
        after = self._model.register_forward_hook(self.on_forward)
        self._cleanup.callback(after.remove)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._cleanup.close()

    def on_forward(self, module: object, arguments: object, output: Any) -> None:
        """Take the last query's rows of the wanted layers from the model's output.

        Raises:
            NotRoutedError: the model returns no weights, or others than those of its layers.
            ModelError: several sequences, or rows that are no distribution.
        """
        weights = self._by_layer(getattr(output, "attentions", None) or ())
        for layer in self.layers:
            found = weights[layer]
            if found.shape[0] != 1:
                raise ModelError(
                    f"recording takes one sequence at a time, the model runs {found.shape[0]}; "
                    "for beams and batches, replay the finished text instead"
                )
            if self._on_prompt_rows is not None and found.shape[2] > 1 and layer in self._plan.head_layers:
                self._on_prompt_rows(self._prompt_rows(found, layer))
            if self.enabled:
                row = found[0, :, -1]
                if layer not in self._checked:
                    check_distribution(row, layer, with_sink=self._with_sink)
                    self._checked.add(layer)
                # A copy: a view would keep the weights of the whole prompt.
                self._rows[layer] = row.to(torch.float32, copy=True)

    def _by_layer(self, attentions: Sequence[Tensor | None]) -> dict[int, Tensor]:
        """Decoder layer to its weights [batch, heads, queries, keys]; hybrid models return those that have some."""
        kinds = self._identity.layer_kinds
        given = [weights for weights in attentions if weights is not None]
        having = [layer for layer, kind in enumerate(kinds) if is_attention(kind)]
        numbered = enumerate(attentions) if len(attentions) == len(kinds) else zip(having, given, strict=False)
        found = {layer: weights for layer, weights in numbered if weights is not None}
        if len(given) not in (len(kinds), len(having)) or not set(self.layers) <= set(found):
            raise NotRoutedError(
                f"the model returned the attention weights of {len(given)} layers where it has {len(having)} with "
                "attention",
                "it cannot be recorded; choose another model",
            )
        return found

    def _prompt_rows(self, weights: Tensor, layer: int) -> PromptRows:
        """The prompt's own rows of one layer, all but its last query, in float16."""
        columns = self._columns
        kept = weights[0, list(self._plan.heads), :-1]
        if kept.shape[1] != columns.n_model_prompt - 1:
            raise ModelError(
                f"layer {layer}: the prompt's rows need its {columns.n_model_prompt} queries in one pass, "
                f"{kept.shape[1] + 1} came; use --record_rows answer"
            )
        rows = torch.zeros(kept.shape[0], columns.n_prompt - 1, columns.n_prompt, dtype=torch.float16)
        rows[:, columns.query_positions(range(kept.shape[1]))] = columns.prompt_rows(kept, layer).half().cpu()
        return PromptRows(layer, rows.numpy())


def check_distribution(row: Tensor, layer: int, *, with_sink: bool = False) -> None:
    """Refuse rows [heads, keys] that are no distributions; where a sink takes weight, they sum to less than 1.

    Raises:
        ModelError: they are not.
    """
    sums = row.float().sum(-1)
    tolerance = _SUM_TOLERANCE.get(row.dtype, 5e-2)
    lowest = 0 if with_sink else 1 - tolerance
    if not bool(((sums >= lowest) & (sums <= 1 + tolerance)).all()):
        raise ModelError(
            f"layer {layer}: the attention weights that the model returns sum to {float(sums.min()):g} up to "
            f"{float(sums.max()):g} and not to 1; it cannot be recorded"
        )


def _takes_option(function: Callable[..., Any], name: str) -> bool:
    parameters = inspect.signature(function).parameters
    return name in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def _asking_for_weights(module: object, arguments: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    return arguments, {**options, "output_attentions": True}


@contextmanager
def eager_attention(model: nn.Module) -> Iterator[None]:
    """Lets the layers of the text decoder run eager attention for the time of the block.

    The configuration that the layers read is the one to set: in some families it is not the text configuration.
    """
    layers = [module for module in model.modules() if isinstance(getattr(module, "layer_idx", None), int)]
    configs = {id(config): config for config in (getattr(module, "config", None) for module in layers) if config}
    before = {key: config._attn_implementation_internal for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation_internal = "eager"
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation_internal = before[key]
