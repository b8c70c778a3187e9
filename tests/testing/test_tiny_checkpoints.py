"""The tiny checkpoints are small, repeatable, and hard in the ways the tests need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from attnviz_video.core.sample import Sample
from attnviz_video.models.load import load_model
from attnviz_video.models.prompt import prepare
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.tiny_checkpoints import TinyShape, build_qwen2_vl
from tests.fixtures_checkpoints import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_is_smaller_than_2_mb(tiny_checkpoint: Any, family: str) -> None:
    assert sum(file.stat().st_size for file in tiny_checkpoint(family).iterdir()) < 2_000_000


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_is_peaky(tiny_checkpoint: Any, family: str) -> None:
    """At least three times as high as uniform: a flat row would hide swapped or shifted columns."""
    loaded = load_model(ModelSettings(model_path=str(tiny_checkpoint(family)), device="cpu"))
    loaded.model.set_attn_implementation("eager")
    prepared = prepare(loaded, Sample(0, "s", "What is it?", ()), [], "{problem}")
    with torch.no_grad():
        attentions = loaded.model(**prepared.inputs, output_attentions=True).attentions
    for layer in attentions:
        assert float(layer[0, :, -1].max()) > 3 / prepared.n_prompt


def test_the_same_seed_makes_the_same_weights(tmp_path: Path) -> None:
    one, same, other = (
        build_qwen2_vl(tmp_path / name, TinyShape(layers=1, seed=seed)) / "model.safetensors"
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert one.read_bytes() == same.read_bytes()
    assert one.read_bytes() != other.read_bytes()


def test_the_shape_can_be_chosen(tmp_path: Path) -> None:
    folder = build_qwen2_vl(tmp_path / "deep", TinyShape(layers=22, heads=2, kv_heads=1))
    identity = load_model(ModelSettings(model_path=str(folder), device="cpu")).identity()
    assert (identity.n_layers, identity.n_heads, identity.n_kv_heads) == (22, 2, 1)


def test_building_leaves_the_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build_qwen2_vl(tmp_path / "model", TinyShape(layers=1))
    assert torch.equal(before, torch.get_rng_state())
