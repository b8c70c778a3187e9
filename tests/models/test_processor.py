"""Processors with and without torchvision, and the limits of image area."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from attnviz_video.errors import ModelError
from attnviz_video.models import processor as processor_module
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.load import load_model
from attnviz_video.models.processor import VideoProcessorStandIn, area_limits, limit_pixels, load_processor
from attnviz_video.models.settings import ModelSettings
from tests.fixtures_checkpoints import FAMILIES

WITHOUT_TORCHVISION = pytest.mark.skipif(processor_module.HAS_TORCHVISION, reason="torchvision is installed")


@pytest.fixture
def copy(tiny_checkpoint: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint("qwen2_vl"), tmp_path / "model"))


def _checkpoint(folder: Path) -> Any:
    return find_checkpoint(ModelSettings(model_path=str(folder)))


def _grid(processor: Any, size: tuple[int, int]) -> list[int]:
    outputs = processor(text=[processor.image_token], images=[Image.new("RGB", size)], return_tensors="pt")
    return list(outputs["image_grid_thw"][0].tolist())


@WITHOUT_TORCHVISION
@pytest.mark.parametrize("family", FAMILIES)
def test_without_torchvision_the_processor_is_put_together(tiny_model: Any, family: str) -> None:
    processor = tiny_model(family).processor
    assert isinstance(processor.video_processor, VideoProcessorStandIn)
    assert type(processor).__name__.endswith("VLProcessor")
    assert type(processor).__name__ in repr(processor)
    assert processor.chat_template
    assert "video_processor" not in processor.to_dict()


def test_the_stand_in_has_no_settings_of_its_own() -> None:
    stand_in = VideoProcessorStandIn()
    assert stand_in.fps is None
    assert stand_in.merge_size == 2
    assert not hasattr(stand_in, "__array__")


@WITHOUT_TORCHVISION
@pytest.mark.parametrize("named_in", ["preprocessor_config.json", "tokenizer_config.json", "nowhere"])
def test_the_class_is_found_wherever_it_is_named(copy: Path, named_in: str) -> None:
    for name in ("preprocessor_config.json", "tokenizer_config.json"):
        settings = json.loads((copy / name).read_text(encoding="utf-8"))
        if name != named_in:
            del settings["processor_class"]
        (copy / name).write_text(json.dumps(settings), encoding="utf-8")
    assert type(load_processor(_checkpoint(copy))).__name__ == "Qwen2VLProcessor"


def test_with_torchvision_the_plain_way_is_taken(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def plain(source: str, **kwargs: Any) -> Any:
        seen.append((source, kwargs))
        tokenizer = SimpleNamespace(chat_template="x", convert_ids_to_tokens=lambda _: "<|image_pad|>")
        return SimpleNamespace(tokenizer=tokenizer, image_processor=object(), chat_template=None)

    monkeypatch.setattr(processor_module, "HAS_TORCHVISION", True)
    monkeypatch.setattr(processor_module.transformers.AutoProcessor, "from_pretrained", plain)
    assert load_processor(_checkpoint(copy)).chat_template == "x"
    assert seen == [(str(copy), {"revision": None, "trust_remote_code": False})]


def test_a_processor_without_parts_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_module, "HAS_TORCHVISION", True)
    monkeypatch.setattr(
        processor_module.transformers.AutoProcessor, "from_pretrained", lambda *_, **__: SimpleNamespace()
    )
    with pytest.raises(ModelError, match="the processor of .*model lacks a tokenizer or an image processor"):
        load_processor(_checkpoint(copy))


@WITHOUT_TORCHVISION
def test_parts_that_need_torchvision_say_so(copy: Path) -> None:
    with pytest.raises(
        ModelError, match="needs torchvision for its audio_tokenizer; install it: pip install torchvision"
    ):
        processor_module._part("audio_tokenizer", _checkpoint(copy))
    with pytest.raises(ModelError, match="needs torchvision for its OddProcessor; install it: pip install torchvision"):
        processor_module._real_class("OddProcessor", _checkpoint(copy))


@WITHOUT_TORCHVISION
def test_a_checkpoint_that_names_no_processor(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_module, "_named_class", lambda _: None)
    monkeypatch.setattr(processor_module.transformers.models.auto.processing_auto, "PROCESSOR_MAPPING_NAMES", {})
    with pytest.raises(ModelError, match="names no processor class, and its model_type 'qwen2_vl' has none"):
        load_processor(_checkpoint(copy))


@pytest.mark.parametrize("family", FAMILIES)
def test_pixel_limits_change_the_grid(tiny_checkpoint: Any, family: str) -> None:
    def grid(**limits: int) -> int:
        settings = ModelSettings(model_path=str(tiny_checkpoint(family)), device="cpu", **limits)
        _, rows, columns = _grid(load_model(settings).processor, (300, 300))
        return rows * columns

    usual = grid()
    assert grid(max_pixels=100 * 100) < usual
    assert grid(min_pixels=400 * 400, max_pixels=500 * 500) > usual


def test_pixel_limits_bound_the_resized_area(tiny_checkpoint: Any) -> None:
    settings = ModelSettings(model_path=str(tiny_checkpoint("qwen2_vl")), device="cpu", max_pixels=20_000)
    _, rows, columns = _grid(load_model(settings).processor, (1000, 700))
    assert rows * 14 * columns * 14 <= 20_000


def test_older_limit_attributes_are_set_too() -> None:
    image_processor = SimpleNamespace(
        size={"shortest_edge": 10, "longest_edge": 20}, min_pixels=10, max_pixels=20
    )  # fmt: skip
    limit_pixels(image_processor, None, 15)
    assert image_processor.size == {"shortest_edge": 10, "longest_edge": 15}
    assert (image_processor.min_pixels, image_processor.max_pixels) == (10, 15)


def test_limits_are_told_as_they_are(tiny_checkpoint: Any) -> None:
    settings = ModelSettings(model_path=str(tiny_checkpoint("qwen2_vl")), device="cpu", max_pixels=20_000)
    assert area_limits(load_model(settings).processor) == {"min_pixels": 56 * 56, "max_pixels": 20_000}
    none = {"min_pixels": None, "max_pixels": None}
    for size in ({"height": 224, "width": 224}, {"longest_edge": 980}, None, 224):
        assert area_limits(SimpleNamespace(image_processor=SimpleNamespace(size=size))) == none
    assert area_limits(SimpleNamespace(image_processor=None)) == none


def test_limits_that_leave_no_size_are_refused() -> None:
    image_processor = SimpleNamespace(size={"shortest_edge": 10, "longest_edge": 20})
    for low, high in ((30, None), (None, 5), (0, None), (15, 12)):
        with pytest.raises(ModelError, match=r"--min_pixels \d+ and --max_pixels \d+ leave no size for an image"):
            limit_pixels(image_processor, low, high)


def test_limits_on_a_fixed_size_are_refused() -> None:
    image_processor = SimpleNamespace(size={"height": 224, "width": 224})
    with pytest.raises(
        ModelError, match="--min_pixels and --max_pixels do not apply: SimpleNamespace has no area limit"
    ):
        limit_pixels(image_processor, 1, 2)
