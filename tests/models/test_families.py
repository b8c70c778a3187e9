"""The table of families and its fallback."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from attnviz_video.errors import ModelError
from attnviz_video.models.families import FAMILIES, adapter_for, refuse_image_count
from attnviz_video.models.layouts.adapter import LayoutAdapter
from attnviz_video.models.layouts.broken_rows import BrokenRowsLayout
from attnviz_video.models.layouts.guessed import GuessedLayout
from attnviz_video.models.layouts.image_grid import ImageGridLayout
from attnviz_video.models.layouts.text_only import TextOnlyLayout


@pytest.mark.parametrize("family", FAMILIES)
def test_every_entry_of_the_table_loads(family: str) -> None:
    adapter = adapter_for(SimpleNamespace(model_type=family))
    assert isinstance(adapter, LayoutAdapter)


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe"])
def test_qwen_families_read_the_grid(family: str) -> None:
    assert isinstance(adapter_for(SimpleNamespace(model_type=family)), ImageGridLayout)


@pytest.mark.parametrize("key", ["image_token_id", "image_token_index"])
def test_unknown_families_are_guessed(key: str) -> None:
    assert isinstance(adapter_for(SimpleNamespace(model_type="new_vl", **{key: 3})), GuessedLayout)


@pytest.mark.parametrize("family", ["qwen3_5", "qwen3_5_moe", "glm4v", "glm4v_moe"])
def test_other_families_with_a_grid_read_it_too(family: str) -> None:
    assert isinstance(adapter_for(SimpleNamespace(model_type=family)), ImageGridLayout)


def test_llava_with_pixtral_s_tower_has_pixtral_s_rows() -> None:
    pixtral = SimpleNamespace(model_type="llava", vision_config=SimpleNamespace(model_type="pixtral"))
    assert isinstance(adapter_for(pixtral), BrokenRowsLayout)
    clip = SimpleNamespace(model_type="llava", vision_config=SimpleNamespace(model_type="clip_vision_model"))
    clip.image_token_index = 3
    assert not isinstance(adapter_for(clip), BrokenRowsLayout)


def test_text_decoders_have_no_images() -> None:
    assert isinstance(adapter_for(SimpleNamespace(model_type="llama")), TextOnlyLayout)


@pytest.mark.parametrize(
    ("family", "n_images", "came"),
    [("paligemma", 0, "no images were given"), ("paligemma", 2, "2 images were given")],
)
def test_a_number_of_images_that_a_family_does_not_take(family: str, n_images: int, came: str) -> None:
    message = (
        f"model_type 'paligemma' takes 1 image per prompt, and {came}; ask about one image, or take another model "
        r"\(--model_path\)"
    )
    with pytest.raises(ModelError, match=message):
        refuse_image_count(family, n_images)


def test_images_for_a_text_decoder_are_refused() -> None:
    with pytest.raises(ModelError, match="model_type 'qwen3' reads text only, and 1 image was given; ask without imag"):
        refuse_image_count("qwen3", 1)


def test_all_other_numbers_of_images_are_taken() -> None:
    for family, n_images in (("paligemma", 1), ("qwen3", 0), ("qwen2_vl", 0), ("qwen2_vl", 9), ("new_vl", 3)):
        refuse_image_count(family, n_images)


def test_a_family_without_image_tokens_is_refused() -> None:
    with pytest.raises(
        ModelError, match="'new_vl' has no layout rule and no image_token_id to guess one from; families"
    ):
        adapter_for(SimpleNamespace(model_type="new_vl"))
