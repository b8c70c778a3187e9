"""What a checkpoint's configuration alone says of a model is what the loaded model is, so that a wrong layer is refused
before weights are read (docs/traps.md, T16)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from attnviz_video.capture.plan import is_attention, plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.errors import UsageError
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.identity import expected_identity
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.table import TinyFamily

#: Kinds of layers of families whose layers differ.
MIXED = {
    "Gemma 3": ("window 16", "full") * 2,
    "Gemma 4": ("window 16", "window 16", "full") * 2,
    "Mllama": ("full", "cross", "full", "cross", "full"),
    "Qwen3.5": ("linear", "full") * 2,
}


def test_t16_the_configuration_tells_the_layers(family: TinyFamily, family_folder: Path, family_model: Any) -> None:
    told = expected_identity(find_checkpoint(ModelSettings(model_path=str(family_folder))))
    loaded = family_model.identity()
    assert told is not None
    for name in ("model_type", "config_hash", "n_layers", "n_heads", "n_kv_heads", "layer_kinds"):
        assert getattr(told, name) == getattr(loaded, name), name
    if family.name in MIXED:
        assert loaded.layer_kinds == MIXED[family.name]


def test_t16_every_layer_with_rows_is_one_of_the_text_decoder(family_model: Any) -> None:
    names = {id(module): name for name, module in family_model.model.named_modules()}
    modules = attention_modules(family_model.model)
    kinds = family_model.identity().layer_kinds
    assert list(modules) == [layer for layer, kind in enumerate(kinds) if is_attention(kind)]
    for layer, module in modules.items():
        # GPT-2 calls its list of layers `h`.
        assert any(f"{kind}.{layer}." in names[id(module)] for kind in ("layers", "h"))
        assert not any(part in names[id(module)] for part in ("vision", "visual"))


def test_t16_layers_without_rows_are_refused_and_the_others_named(family_model: Any) -> None:
    identity = family_model.identity()
    without = [layer for layer, kind in enumerate(identity.layer_kinds) if not is_attention(kind)]
    for layer in without:
        message = rf"--layer_idx {layer}: layer {layer} of .* is 'linear' and has no attention rows; .* have: 1, 3$"
        with pytest.raises(UsageError, match=message):
            plan_recording(CaptureSettings(layer_idx=(layer,)), identity)
    assert bool(without) == (identity.model_type == "qwen3_5")
