"""Records one pass of an encoder over a text: every query's row over all keys, and what it reads at its masks.

The model runs as it always does (sdpa); the rows are computed beside it from the queries and keys that its attention
function is given, or taken from the weights the model returns where that function cannot be watched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16
from torch import Tensor, nn

from attnviz_video.capture.call_part import part_of_call
from attnviz_video.capture.candidates import CandidateReader
from attnviz_video.capture.device_memory import out_of_memory_is_told
from attnviz_video.capture.eager import check_distribution
from attnviz_video.capture.intercept import AttentionCall, NotRoutedError, watched_attention
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import check_row, wanted_modules
from attnviz_video.capture.rows import attention_row_chunks, attention_rows
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import MaskedToken, PromptRows
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.device import on_device
from attnviz_video.models.hub_library import quiet_transformers
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.token_text import TokenText

_ADVICE = "shorten the text or record fewer --layers, or use a larger device"
OnRows = Callable[[PromptRows], None]


@dataclass(frozen=True)
class Encoded:
    """What one pass leaves behind; the rows went to `on_rows`."""

    #: Candidates for every mask token of the text, in order; empty where there is none, or no head to predict with.
    masked: tuple[MaskedToken, ...]
    notices: tuple[str, ...] = ()
    #: What it was recorded with, ready for JSON.
    settings: Mapping[str, object] = field(default_factory=dict)


def encode(loaded: LoadedModel, prepared: Prepared, plan: RecordingPlan, *, on_rows: OnRows) -> Encoded:
    """Run the encoder once over `prepared`; `on_rows` receives the rows of each layer of the plan, in order.

    Raises:
        ModelError: the model's attention cannot be recorded.
        DeviceError: the device is out of memory.
    """
    inputs = on_device(prepared.inputs, loaded.device)
    done: set[int] = set()

    def give(rows: PromptRows) -> None:
        if rows.layer not in done:
            done.add(rows.layer)
            on_rows(rows)

    with quiet_transformers(), out_of_memory_is_told(loaded.device, "reading the text", _ADVICE), torch.no_grad():
        try:
            output = _watched(loaded, inputs, plan, give)
            how: dict[str, object] = {}
            notices: tuple[str, ...] = ()
        except NotRoutedError as reason:
            output = _eager(loaded, inputs, plan, give, reason)
            how = {"attention": "eager"}
            notices = (f"recorded with eager attention, since {reason.reason}: this takes more memory",)
        masked, told = masked_tokens(loaded, inputs["input_ids"][0], output)
    return Encoded(masked, (*notices, *told), how)


def _watched(loaded: LoadedModel, inputs: Mapping[str, Any], plan: RecordingPlan, give: OnRows) -> Any:
    """The model's output; the rows are computed beside it."""
    found = attention_modules(loaded.model)
    identity = loaded.identity()
    if len(found) != identity.n_layers:
        raise NotRoutedError(
            f"{type(loaded.model).__name__} has {identity.n_layers} layers, of which {len(found)} go through "
            "transformers' attention interface",
            "it cannot be recorded",
        )
    modules = {layer: module for layer, module in wanted_modules(found, plan).items() if layer in plan.head_layers}

    def watch(call: AttentionCall) -> None:
        _check(call, identity.n_heads)
        give(PromptRows(call.layer, text_rows(call, plan)))

    with watched_attention(modules, watch):
        return loaded.model(**inputs)


def _check(call: AttentionCall, n_heads: int) -> None:
    """The first and the last query's rows give what the model itself made of them: neither end is cut off."""
    n_keys = call.key.shape[2]
    for query in {0, call.query.shape[2] - 1}:
        part = part_of_call(call, 0, range(query, query + 1), range(n_keys))
        own = attention_rows(call.query, call.key, call.options, range(query, query + 1))[0, :, 0]
        check_row(part, own, n_heads)


def text_rows(call: AttentionCall, plan: RecordingPlan) -> Float16[np.ndarray, "heads queries keys"]:
    """The rows of all queries of one layer, computed in chunks."""
    heads = torch.tensor(plan.heads, device=call.query.device)
    n_queries, n_keys = call.query.shape[2], call.key.shape[2]
    result = np.zeros((len(plan.heads), n_queries, n_keys), dtype=np.float16)
    for part, rows in attention_row_chunks(call.query, call.key, call.options, range(n_queries)):
        result[:, part.start : part.stop] = rows[0, heads].half().cpu().numpy()
    return result


def _eager(
    loaded: LoadedModel, inputs: Mapping[str, Any], plan: RecordingPlan, give: OnRows, reason: NotRoutedError
) -> Any:
    """The model's output, with the weights it returns as rows.

    Raises:
        ModelError: it returns none, or others than those of its layers.
    """
    with _eager_everywhere(loaded.model):
        output = loaded.model(**inputs, output_attentions=True)
    weights = [one for one in getattr(output, "attentions", None) or () if isinstance(one, Tensor)]
    n_text = inputs["input_ids"].shape[1]
    identity = loaded.identity()
    shape = (1, identity.n_heads, n_text, n_text)
    if len(weights) != identity.n_layers or any(tuple(one.shape) != shape for one in weights):
        raise reason
    for layer in plan.head_layers:
        check_distribution(weights[layer][0], layer)
        give(PromptRows(layer, weights[layer][0, list(plan.heads)].half().cpu().numpy()))
    return output


@contextmanager
def _eager_everywhere(model: nn.Module) -> Iterator[None]:
    """Lets every module run eager attention for the time of the block: encoders do not number all their layers."""
    every: list[Any] = [module.config for module in model.modules() if hasattr(module, "config")]
    found = {id(config): config for config in every}
    configs = [config for config in found.values() if hasattr(config, "_attn_implementation_internal")]
    before = [config._attn_implementation_internal for config in configs]
    try:
        for config in configs:
            config._attn_implementation_internal = "eager"
        yield
    finally:
        for config, own in zip(configs, before, strict=True):
            config._attn_implementation_internal = own


def masked_tokens(loaded: LoadedModel, ids: Tensor, output: Any) -> tuple[tuple[MaskedToken, ...], tuple[str, ...]]:
    """The likeliest tokens at every mask, by a softmax over the whole vocabulary, and notices for the user."""
    mask = loaded.tokenizer.mask_token_id
    positions = [] if mask is None else torch.nonzero(ids == mask).flatten().tolist()
    logits = getattr(output, "logits", None)
    if not positions:
        return (), ()
    if logits is None:
        return (), (
            f"{loaded.id} has no head that predicts masked words, so the {len(positions)} mask tokens have no "
            "candidates",
        )
    chosen = logits[0, positions]
    reader = CandidateReader(TokenText(loaded.tokenizer))
    best = reader.read(chosen, chosen.argmax(-1).tolist())
    return tuple(
        MaskedToken(position, candidates) for position, (_, candidates) in zip(positions, best, strict=True)
    ), ()
