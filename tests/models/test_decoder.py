"""Layers of the text decoder, their kinds and their attention modules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from attnviz_video.models.decoder import DecoderLayer, attention_modules, decoder_layers, layer_kinds, text_config
from attnviz_video.models.hub_library import transformers
from tests.fixtures_checkpoints import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_every_layer_has_its_attention_module(tiny_model: Any, family: str) -> None:
    model = tiny_model(family).model
    modules = attention_modules(model)
    assert list(modules) == [0, 1, 2, 3]
    assert all(module.layer_idx == index for index, module in modules.items())
    names = {name for name, module in model.named_modules() if module in modules.values()}
    assert all("visual" not in name and name.endswith("self_attn") for name in names)


@pytest.mark.parametrize("family", FAMILIES)
def test_kinds_of_a_plain_decoder(tiny_model: Any, family: str) -> None:
    model = tiny_model(family).model
    assert decoder_layers(model) == tuple(DecoderLayer(index, "full") for index in range(4))
    assert text_config(model).num_hidden_layers == 4


class _Model(nn.Module):
    """A model with a configuration and routed attention in some layers."""

    def __init__(self, n_layers: int, attention: dict[int, nn.Module], **config: Any) -> None:
        super().__init__()
        text = SimpleNamespace(num_hidden_layers=n_layers, **config)
        self.config = SimpleNamespace(get_text_config=lambda: text)
        self.layers = nn.ModuleList(attention.values())


class _Routed(nn.Module):
    def __init__(self, layer_idx: int, sliding_window: int | None = None) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.sliding_window = sliding_window

    def forward(self) -> str:
        return "ALL_ATTENTION_FUNCTIONS"


class _NotRouted(nn.Module):
    def __init__(self, layer_idx: int) -> None:
        super().__init__()
        self.layer_idx = layer_idx


def test_t16_windows_and_linear_layers_are_named() -> None:
    model = _Model(
        4,
        {0: _Routed(0), 1: _Routed(1), 2: _Routed(2)},
        layer_types=["full_attention", "sliding_attention", "chunked_attention", "linear_attention"],
        sliding_window=4096,
        attention_chunk_size=8192,
    )
    assert layer_kinds(model) == ("full", "window 4096", "chunk 8192", "linear")
    assert list(attention_modules(model)) == [0, 1, 2]


def test_cross_attention_layers_are_named() -> None:
    model = _Model(3, {0: _Routed(0), 1: _Routed(1), 2: _Routed(2)}, cross_attention_layers=[1, 7])
    assert layer_kinds(model) == ("full", "cross", "full")


def test_blocks_of_a_vision_tower_that_count_their_layers_are_left_out() -> None:
    model = _Model(1, {}, model_type="some_text")
    model.tower, model.decoder = _Routed(0), _Routed(0)
    model.tower.config = SimpleNamespace(model_type="some_vision")
    model.decoder.config = SimpleNamespace(model_type="some_text")
    assert attention_modules(model) == {0: model.decoder}


def test_t16_without_declared_kinds_the_modules_tell() -> None:
    model = _Model(3, {0: _Routed(0), 1: _Routed(1, sliding_window=16)})
    assert layer_kinds(model) == ("full", "window 16", "none")


def test_t16_a_real_sliding_decoder_says_its_window() -> None:
    config = transformers.Qwen2Config(
        hidden_size=16, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1,
        vocab_size=32, use_sliding_window=True, sliding_window=12, max_window_layers=1,
    )  # fmt: skip
    assert layer_kinds(transformers.Qwen2ForCausalLM(config)) == ("full", "window 12", "window 12")


def test_attention_that_is_not_routed_is_left_out() -> None:
    model = _Model(2, {0: _Routed(0), 1: _NotRouted(1)})
    assert list(attention_modules(model)) == [0]


def test_self_attention_is_preferred_to_cross_attention() -> None:
    model = _Model(1, {})
    model.cross_attn = _Routed(0)
    model.self_attn = _Routed(0)
    assert attention_modules(model)[0] is model.self_attn


def test_source_that_cannot_be_read_counts_as_not_routed() -> None:
    made = type("Made", (nn.Module,), {"__module__": "nowhere"})()
    made.layer_idx = 0
    model = _Model(1, {})
    model.layer = made
    assert attention_modules(model) == {}
