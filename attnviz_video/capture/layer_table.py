"""Which layers a model has, and which of them `--layer_idx` may name."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz_video.capture.plan import CROSS, is_attention, is_windowed, plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.trace import ModelIdentity
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.empty import identity_without_weights
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings


@dataclass(frozen=True)
class LayerLine:
    """One layer of a text decoder."""

    layer: int
    #: "full", "window 4096", "chunk 8192", "cross", "linear" …
    kind: str
    #: Whether `--layer_idx` may name it.
    legal: bool


@dataclass(frozen=True)
class LayerTable:
    """All layers of a text decoder."""

    model: str
    n_heads: int
    n_kv_heads: int
    #: Shown where the user names no layer; None where no layer can be shown.
    default_layer: int | None
    layers: tuple[LayerLine, ...]

    def text(self) -> str:
        """The table as lines of text, a heading first."""
        count = len(self.layers)
        width = max([len("kind"), *(len(line.kind) for line in self.layers)])
        lines = [
            f"{self.model}: {count} layers, {self.n_heads} query heads, {self.n_kv_heads} key-value heads",
            f"layer  {'kind':<{width}}  --layer_idx",
        ]
        for line in self.layers:
            names = f"{line.layer} or {line.layer - count}" if line.legal else "-"
            default = "  (default)" if line.layer == self.default_layer else ""
            note = _note(line.kind)
            lines.append(f"{line.layer:>5}  {line.kind:<{width}}  {names}{default}{f'  {note}' if note else ''}")
        return "\n".join(lines)


def layer_table(settings: ModelSettings) -> LayerTable:
    """The layers of the model that `settings` name: from its configuration or, where that does not tell, loaded.

    Raises:
        ModelError: it cannot be found, its configuration is faulty or names no attention heads, or it is of a kind that
            cannot be loaded.
        DeviceError: it has to be loaded, and the device is not there or too small.
    """
    checkpoint = find_checkpoint(settings)
    identity = identity_without_weights(checkpoint)
    return table_of(load_model(settings).identity() if identity is None else identity)


def table_of(identity: ModelIdentity) -> LayerTable:
    """The table of a model whose layers are known."""
    lines = tuple(LayerLine(layer, kind, is_attention(kind)) for layer, kind in enumerate(identity.layer_kinds))
    default = None
    if any(line.legal for line in lines):
        default = plan_recording(CaptureSettings(), identity)[0].shown_layers[0]
    return LayerTable(identity.id, identity.n_heads, identity.n_kv_heads, default, lines)


def _note(kind: str) -> str:
    """What a reader of the table may not know about a kind."""
    if kind == CROSS:
        return "attends to images only"
    if is_windowed(kind):
        return "sees a part of the text"
    return "" if is_attention(kind) else "has no attention rows"
