"""Where the parts of a model go, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from attnviz_video.errors import ModelError, UsageError
from attnviz_video.models import load as load_module
from attnviz_video.models import placement as module
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.load import load_model
from attnviz_video.models.placement import Placement, devices_of, first_device, placement_of
from attnviz_video.models.settings import ModelSettings

CPU, GPU = torch.device("cpu"), torch.device("cuda:1")


def checkpoint(**config: Any) -> Checkpoint:
    return Checkpoint("somewhere", None, False, config)


def test_one_device_needs_no_map() -> None:
    assert placement_of(ModelSettings(), checkpoint(), CPU).load_arguments() == {}


def test_a_map_is_given_to_the_library() -> None:
    placement = placement_of(ModelSettings(device_map="balanced"), checkpoint(), CPU)
    assert placement.load_arguments() == {"device_map": "balanced"}


def test_a_map_and_a_device_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="--device cuda:1 and --device_map auto: a model on one device is not spread;"):
        placement_of(ModelSettings(device="cuda:1", device_map="auto"), checkpoint(), GPU)


@pytest.mark.parametrize(
    "config", [{"quantization_config": {"bits": 4}}, {"text_config": {"quantization_config": {"bits": 4}}}]
)
def test_quantised_weights_are_read_where_they_stay(config: dict[str, Any]) -> None:
    assert placement_of(ModelSettings(), checkpoint(**config), GPU) == Placement(GPU, {"": "cuda:1"})
    assert placement_of(ModelSettings(), checkpoint(**config), CPU) == Placement(CPU)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="--device_map auto needs accelerate; install it: pip install accelerate"):
        placement_of(ModelSettings(device_map="auto"), checkpoint(), CPU)
    with pytest.raises(ModelError, match="a quantised model needs accelerate; install it: pip install accelerate"):
        placement_of(ModelSettings(), checkpoint(quantization_config={"bits": 4}), GPU)


def test_devices_are_named_and_the_first_that_computes_takes_the_inputs() -> None:
    spread = SimpleNamespace(hf_device_map={"visual": "disk", "layers.0": 1, "layers.1": 0, "head": "cpu"})
    assert devices_of(spread, CPU) == "cpu, cuda:0, cuda:1, disk"
    assert first_device(spread, CPU) == torch.device("cuda:1")
    assert first_device(SimpleNamespace(hf_device_map={"": "disk"}), GPU) == CPU
    assert (devices_of(SimpleNamespace(), GPU), first_device(SimpleNamespace(), GPU)) == ("cuda:1", GPU)


def test_a_model_with_a_map_is_loaded_and_not_moved(tiny_checkpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate")
    monkeypatch.setattr(load_module, "_on_device", None)
    loaded = load_model(ModelSettings(model_path=str(tiny_checkpoint("qwen2_vl")), device_map="auto"))
    assert loaded.device == first_device(loaded.model, CPU)
    assert loaded.identity().device == devices_of(loaded.model, CPU)


def test_a_quantised_model_is_not_moved() -> None:
    class Packed(torch.nn.Linear):
        hf_quantizer = object()

        def to(self, *_: Any, **__: Any) -> Any:
            raise ValueError("`.to` is not supported for 4-bit models")

    packed = Packed(2, 2)
    assert load_module._on_device(packed, GPU, ModelSettings()) is packed
