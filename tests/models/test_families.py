"""The table of families and its fallback."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from attnviz_video.errors import ModelError
from attnviz_video.models.families import FAMILIES, adapter_for
from attnviz_video.models.layouts.adapter import LayoutAdapter
from attnviz_video.models.layouts.guessed import GuessedLayout
from attnviz_video.models.layouts.image_grid import ImageGridLayout


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


def test_a_family_without_image_tokens_is_refused() -> None:
    with pytest.raises(
        ModelError, match="'new_vl' has no layout rule and no image_token_id to guess one from; families"
    ):
        adapter_for(SimpleNamespace(model_type="new_vl"))
