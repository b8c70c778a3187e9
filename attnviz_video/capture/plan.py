"""`RecordingPlan`: which layers and heads of a model are kept, and how many bytes that will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError, UsageError

#: Shown where the user names no layer.
DEFAULT_LAYER = 20
#: Kind of a layer whose keys are image features that are no part of the prompt.
CROSS = "cross"
_ROW_BYTES = 2
#: One scalar in scalars.f32.
_SCALAR_BYTES = 4
#: About one line of steps.jsonl (770) and the line of its token in tokens.jsonl; measured on the shipped model.
_STEP_BYTES = 1000
#: About one line of tokens.jsonl.
_TOKEN_BYTES = 200


@dataclass(frozen=True)
class RecordingPlan:
    """What is kept of every step; all layers are decoder layers counted from 0."""

    #: In the order the user gave them; one video each.
    shown_layers: tuple[int, ...]
    #: Layers whose `heads` are kept one by one.
    head_layers: tuple[int, ...]
    heads: tuple[int, ...]
    #: Layers whose mean over all heads is kept.
    mean_layers: tuple[int, ...]
    scalar_layers: tuple[int, ...]
    query_rows: Literal["answer", "all"] = "answer"


def is_windowed(kind: str) -> bool:
    """Whether a layer of this kind sees only a part of the history ("window 4096")."""
    return kind.startswith(("window", "chunk"))


def is_attention(kind: str) -> bool:
    """Whether a layer of this kind has attention rows over the text or over images."""
    return kind in ("full", CROSS) or is_windowed(kind)


def plan_recording(settings: CaptureSettings, model: ModelIdentity) -> tuple[RecordingPlan, tuple[str, ...]]:
    """The plan for one model, and notices for the user.

    Raises:
        UsageError: a layer or head does not exist in this model, or has no attention rows.
        ModelError: no layer of the model has attention rows.
    """
    legal = tuple(layer for layer, kind in enumerate(model.layer_kinds) if is_attention(kind))
    if not legal:
        kinds = ", ".join(sorted(set(model.layer_kinds)))
        raise ModelError(f"no layer of {model.id} has attention rows (kinds: {kinds}); it cannot be recorded")
    notices: tuple[str, ...] = ()
    if settings.layer_idx:
        shown = tuple(dict.fromkeys(_layer(asked, model, legal, "--layer_idx") for asked in settings.layer_idx))
    else:
        layer, notices = _default_layer(model)
        shown = (layer,)
    notices += _cross_notices(shown, model)
    asked_layers = legal if settings.layers == "all" else settings.layers
    further = [_layer(asked, model, legal, "--layers") for asked in asked_layers]
    heads = range(model.n_heads) if settings.heads == "all" else [_head(asked, model) for asked in settings.heads]
    plan = RecordingPlan(
        shown_layers=shown,
        head_layers=tuple(sorted({*shown, *further})),
        heads=tuple(sorted(set(heads))),
        mean_layers=legal,
        scalar_layers=legal,
        query_rows=settings.record_rows,
    )
    return plan, notices


def plan_encoding(settings: CaptureSettings, model: ModelIdentity) -> tuple[RecordingPlan, tuple[str, ...]]:
    """The plan for one pass over a text, and notices: all layers head by head, unless `--layers` names some.

    Raises:
        UsageError, ModelError: as `plan_recording`.
    """
    every = replace(settings, layers=settings.layers or "all", record_rows="all")
    plan, notices = plan_recording(every, model)
    whole = len(plan.heads) == model.n_heads
    # The mean over heads and the scalars follow from the rows of all heads; nothing is stored twice.
    return replace(plan, mean_layers=plan.head_layers if whole else (), scalar_layers=()), notices


def forecast_encoding(plan: RecordingPlan, n_text: int) -> int:
    """About the bytes that the trace of one pass over `n_text` tokens takes."""
    rows = len(plan.head_layers) * len(plan.heads) * n_text**2
    return rows * _ROW_BYTES + n_text * _TOKEN_BYTES


def plan_of_replay(plan: RecordingPlan, depth: Literal["full", "shown"]) -> RecordingPlan:
    """The plan for a replay: where it stops after the last layer kept head by head, later layers leave nothing."""
    if depth == "full":
        return plan
    last = max(plan.head_layers)
    mean_layers = tuple(layer for layer in plan.mean_layers if layer <= last)
    scalar_layers = tuple(layer for layer in plan.scalar_layers if layer <= last)
    return replace(plan, mean_layers=mean_layers, scalar_layers=scalar_layers)


def _default_layer(model: ModelIdentity) -> tuple[int, tuple[str, ...]]:
    """Layer 20, or the last layer before it that sees the whole text, with a notice."""
    full = [layer for layer, kind in enumerate(model.layer_kinds[: DEFAULT_LAYER + 1]) if kind == "full"]
    some = [layer for layer, kind in enumerate(model.layer_kinds) if is_attention(kind)]
    layer = full[-1] if full else some[0]
    if layer == DEFAULT_LAYER:
        return layer, ()
    if model.n_layers <= DEFAULT_LAYER:
        why = f"the model has {model.n_layers} layers"
    else:
        why = f"layer {DEFAULT_LAYER} has no full attention"
    return layer, (f"layer {layer} is shown: {why} (choose another with --layer_idx)",)


def refuse_idle_layers(plan: RecordingPlan, kinds: Sequence[str], n_images: int) -> None:
    """Refuse to show a layer that does not run: cross-attention, where the prompt has no image.

    Raises:
        UsageError: such a layer is to be shown.
    """
    idle = [layer for layer in plan.shown_layers if kinds[layer] == CROSS]
    if idle and not n_images:
        raise UsageError(
            f"--layer_idx {idle[0]}: layer {idle[0]} attends to images only, and this prompt has none; "
            "choose a layer that attends to the text"
        )


def _cross_notices(shown: Sequence[int], model: ModelIdentity) -> tuple[str, ...]:
    """What a layer that is shown cannot see, in a model that keeps text and images in different layers."""
    cross = [layer for layer, kind in enumerate(model.layer_kinds) if kind == CROSS]
    if not cross:
        return ()
    numbers = ", ".join(map(str, cross))
    return tuple(
        f"layer {layer} attends to images only (cross-attention); the text is read by the other layers"
        if layer in cross
        else f"layer {layer} attends to text only; images are read by cross-attention layers: {numbers} (--layer_idx)"
        for layer in shown
    )


def _layer(asked: int, model: ModelIdentity, legal: Sequence[int], flag: str) -> int:
    """The layer number `asked` stands for; negative counts from the end."""
    if not -model.n_layers <= asked < model.n_layers:
        raise UsageError(
            f"{flag} {asked}: {model.id} has {model.n_layers} layers; give 0 to {model.n_layers - 1}, "
            f"or -1 to -{model.n_layers} from the end"
        )
    layer = asked % model.n_layers
    if layer not in legal:
        raise UsageError(
            f"{flag} {asked}: layer {layer} of {model.id} is {model.layer_kinds[layer]!r} and has no attention rows; "
            f"layers that have: {', '.join(map(str, legal))}"
        )
    return layer


def _head(asked: int, model: ModelIdentity) -> int:
    if not -model.n_heads <= asked < model.n_heads:
        raise UsageError(f"--heads {asked}: {model.id} has {model.n_heads} query heads; give 0 to {model.n_heads - 1}")
    return asked % model.n_heads


def forecast_bytes(plan: RecordingPlan, model: ModelIdentity, n_prompt: int, n_new: int, n_images: int) -> int:
    """About the bytes a trace will take besides its images: rows in float16, scalars in float32, text."""
    scalars = n_new * len(plan.scalar_layers) * model.n_heads * (n_images + 3)
    text = n_new * _STEP_BYTES + n_prompt * _TOKEN_BYTES
    return row_bytes(plan, n_prompt, n_new) + scalars * _SCALAR_BYTES + text


def row_bytes(plan: RecordingPlan, n_prompt: int, n_new: int) -> int:
    """Bytes of all rows of `n_new` steps (step i has n_prompt + i keys), the prompt's rows included where asked."""
    keys = n_new * n_prompt + n_new * (n_new - 1) // 2
    rows_per_step = len(plan.head_layers) * len(plan.heads) + len(plan.mean_layers)
    prompt = len(plan.head_layers) * len(plan.heads) * (n_prompt - 1) * n_prompt if plan.query_rows == "all" else 0
    return (keys * rows_per_step + prompt) * _ROW_BYTES
