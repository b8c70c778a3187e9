"""Watching the attention function that transformers calls, without changing what it returns.

The function in use is replaced in the library's table for the time of a `with` block. Modules that are not watched (the
vision tower, other layers) pass straight through; no configuration of the model is touched.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from attnviz_video.capture.rows import AttentionOptions
from attnviz_video.errors import ModelError
from attnviz_video.models.hub_library import transformers

#: The table is one per process, so that two recordings at once would see each other's calls.
_RECORDING = threading.Lock()
_EAGER = "eager_attention_forward"


class NotRoutedError(ModelError):
    """The attention of a layer cannot be watched: it is computed where this program does not see it."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}; {advice}")
        self.reason = reason


@dataclass(frozen=True, eq=False)
class AttentionCall:
    """One call of the attention function by a watched layer."""

    layer: int
    #: [batch, heads, queries, width], positions already encoded.
    query: Tensor
    #: [batch, kv heads, keys, width]: the whole history, as the cache gives it.
    key: Tensor
    value: Tensor
    #: What the model's own function returned: [batch, queries, heads, value width].
    output: Tensor
    options: AttentionOptions


def _functions() -> Any:
    """transformers' table of attention functions, which the layers look into at every call."""
    return transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS


Watcher = Callable[[AttentionCall], None]


@contextmanager
def watched_attention(modules: Mapping[int, nn.Module], watch: Watcher) -> Iterator[None]:
    """Call `watch` after each attention call of `modules` (decoder layer to attention module).

    Raises:
        ModelError: another recording is running in this process.
        NotRoutedError: a layer's function cannot be intercepted.
    """
    keys = sorted({_implementation(layer, module) for layer, module in modules.items()})
    if not _RECORDING.acquire(blocking=False):
        raise ModelError(
            "another recording is running in this process; wait until it is finished, or record in a process of its own"
        )
    table: dict[str, Any] = _functions()._local_mapping
    before = dict(table)
    try:
        layer_of = {id(module): layer for layer, module in modules.items()}
        for key in keys:
            table[key] = _watching(key, layer_of, watch)
        yield
    finally:
        table.clear()
        table.update(before)
        _RECORDING.release()


def _implementation(layer: int, module: nn.Module) -> str:
    """Name of the attention function of `module`, once it is known that it can be intercepted."""
    key = getattr(getattr(module, "config", None), "_attn_implementation", None) or "eager"
    if key == "flex_attention":
        raise NotRoutedError(
            f"layer {layer} runs flex_attention, whose block masks cannot be read",
            "load the model with sdpa attention",
        )
    if key == "eager" and not hasattr(_functions(), "get_interface"):
        raise NotRoutedError(
            f"layer {layer} runs eager attention, which this version of transformers does not let us watch",
            "load the model with sdpa attention, or install transformers 5.1 or later",
        )
    if key == "eager" and _eager_function(module) is None:
        raise NotRoutedError(
            f"layer {layer} ({type(module).__name__}) has attention code of its own that does not go through "
            "transformers' attention interface",
            "it cannot be recorded",
        )
    if key != "eager" and key not in _functions():
        raise NotRoutedError(
            f"layer {layer} runs attention {key!r}, which transformers does not know", "load the model with sdpa"
        )
    return str(key)


def _eager_function(module: nn.Module) -> Callable[..., Any] | None:
    """The eager attention function of the file that `module` is written in, where modular subclasses may add one."""
    for kind in type(module).__mro__:
        function: Callable[..., Any] | None = getattr(sys.modules.get(kind.__module__), _EAGER, None)
        if function is not None:
            return function
    return None


def _watching(key: str, layer_of: Mapping[int, int], watch: Watcher) -> Callable[..., Any]:
    """A function to stand in for the one named `key`."""
    base = _functions()[key] if key != "eager" else None

    # transformers passes these by name in places, so the names are part of the interface.
    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        *arguments: Any,
        **options: Any,
    ) -> tuple[Tensor, Tensor | None]:
        function: Any = base or _eager_function(module)
        if function is None:
            raise ModelError(f"{type(module).__name__} runs eager attention, but its file defines no {_EAGER}")
        result: tuple[Tensor, Any] = function(module, query, key, value, attention_mask, *arguments, **options)
        layer = layer_of.get(id(module))
        if layer is not None:
            how = call_options(name, module, query, key, attention_mask, options)
            watch(AttentionCall(layer, query, key, value, result[0], how))
        return result

    name = key
    return attention


def call_options(
    name: str, module: nn.Module, query: Tensor, key: Tensor, mask: Tensor | None, options: Mapping[str, Any]
) -> AttentionOptions:
    """What the function called `name` does with its arguments; an argument it ignores is ignored here too.

    sdpa ignores `sliding_window` and sinks (its mask holds the window), eager functions hold the window in the
    mask as well and see everything where there is none; flash kernels apply all of them themselves and count a
    causal query from the end of the keys.
    """
    queries, keys = query.shape[2], key.shape[2]
    flash = name not in ("eager", "sdpa")
    wanted = options.get("is_causal")
    causal = bool(getattr(module, "is_causal", True) if wanted is None else wanted)
    scaling = options.get("scaling")
    return AttentionOptions(
        scaling=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
        mask=mask,
        is_causal=causal and queries > 1 and name != "eager" and (flash or mask is None),
        sliding_window=options.get("sliding_window") if flash else None,
        softcap=None if name == "sdpa" else options.get("softcap"),
        sinks=None if name == "sdpa" else options.get("s_aux"),
        first_query=keys - queries if flash or queries == 1 else 0,
    )
