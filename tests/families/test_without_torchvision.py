"""Families whose processors want more than this program needs: what is stood in for, and what is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.errors import ModelError
from attnviz_video.models import processor as processor_module
from attnviz_video.models.checkpoint import find_checkpoint
from attnviz_video.models.processor import load_processor
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.table import TINY_FAMILIES
from tests.families.asking import WIDE, pictures


def processor_of(name: str, folder: Path) -> object:
    return load_processor(find_checkpoint(ModelSettings(model_path=str(TINY_FAMILIES[name].write(folder / "model")))))


@pytest.mark.skipif(processor_module.HAS_TORCHVISION, reason="torchvision is installed")
def test_f16_an_image_processor_for_torchvision_only_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError,
        match="model needs torchvision for its Cohere2VisionImageProcessor; install it: pip install torchvision$",
    ):
        processor_of("Cohere2 Vision", tmp_path)


def test_smolvlm_needs_no_num2words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    processor = processor_of("SmolVLM2", tmp_path)
    text = f"User:{processor.image_token}What?"  # type: ignore[attr-defined]
    outputs = processor(text=text, images=pictures([WIDE]), return_tensors="pt")  # type: ignore[operator]
    assert outputs["pixel_values"].shape[:2] == (1, 7)
    assert processing_smolvlm.num2words(12) == "12"
