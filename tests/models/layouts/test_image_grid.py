"""The `image_grid_thw` rule: the grid comes from the processor, and the tokens must fit it (TRAPS T3)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_info, number_patches
from attnviz_video.models.layouts.image_grid import ImageGridLayout, merged_grids
from tests.fixtures_checkpoints import FAMILIES

IMAGE_TOKEN = 9
CONFIG = SimpleNamespace(model_type="qwen2_vl", image_token_id=IMAGE_TOKEN)
PROCESSOR = SimpleNamespace(image_processor=SimpleNamespace(merge_size=2))


def _outputs(ids: list[int], grids: list[list[int]]) -> dict[str, Any]:
    return {"input_ids": np.array([ids]), "image_grid_thw": np.array(grids).reshape(-1, 3)}


def _image(width: int = 90, height: int = 60) -> ImageInfo:
    return ImageInfo("a.png", width, height, "0")


@settings(max_examples=15)
@given(
    sizes=st.lists(st.tuples(st.integers(20, 900), st.integers(20, 900)), min_size=1, max_size=3),
    family=st.sampled_from(FAMILIES),
)
def test_t03_token_count_equals_the_grid_for_any_size(tiny_model: Any, sizes: list[Any], family: str) -> None:
    loaded = tiny_model(family)
    images = [Image.new("RGB", size) for size in sizes]
    pad = loaded.processor.image_token
    outputs = loaded.processor(text=[pad * len(images)], images=images, return_tensors="pt")
    infos = [image_info(f"{index}.png", image) for index, image in enumerate(images)]
    layout = loaded.adapter.layout(loaded.model.config, loaded.processor, outputs, infos)
    token = loaded.model.config.image_token_id
    assert sum(grid.n_patches for grid in layout.grids) == int((outputs["input_ids"] == token).sum())
    for grid, (width, height) in zip(layout.grids, sizes, strict=True):
        assert grid.box == (0.0, 0.0, float(width), float(height))
        assert grid.patch_box(grid.n_patches - 1)[2:] == (width, height)
        if grid.rows != grid.columns:
            assert (grid.columns > grid.rows) == (width > height)


def test_t03_grid_is_not_the_image_size_divided_by_28(tiny_model: Any) -> None:
    """900 x 900 pixels are resized to the limit of the processor first."""
    loaded = tiny_model("qwen2_vl")
    image = Image.new("RGB", (900, 900))
    outputs = loaded.processor(text=[loaded.processor.image_token], images=[image], return_tensors="pt")
    layout = loaded.adapter.layout(loaded.model.config, loaded.processor, outputs, [image_info("a.png", image)])
    assert (layout.grids[0].rows, layout.grids[0].columns) == (8, 8)
    assert 900 // 28 == 32


def test_t03_a_wrong_token_count_raises() -> None:
    with pytest.raises(ModelError, match="the prompt holds 5 image tokens, the images' grids have 6 patches; the proc"):
        ImageGridLayout().layout(CONFIG, PROCESSOR, _outputs([1, *[IMAGE_TOKEN] * 5], [[1, 4, 6]]), [_image()])


def test_t03_a_missing_grid_raises() -> None:
    with pytest.raises(ModelError, match="the processor returned 1 image grids for 2 images"):
        ImageGridLayout().layout(CONFIG, PROCESSOR, _outputs([IMAGE_TOKEN] * 6, [[1, 4, 6]]), [_image(), _image()])


def test_video_grids_are_refused() -> None:
    with pytest.raises(ModelError, match="an image grid has 2 frames: video inputs are not supported, give single im"):
        merged_grids(_outputs([], [[2, 4, 6]]), 2)


def test_uneven_grids_are_refused() -> None:
    with pytest.raises(ModelError, match="an image grid of 5 x 6 vision patches cannot be merged in blocks of 2 x 2"):
        merged_grids(_outputs([], [[1, 5, 6]]), 2)


def test_rows_come_from_height() -> None:
    assert merged_grids(_outputs([], [[1, 4, 6], [1, 2, 8]]), 2) == [(2, 3), (1, 4)]
    assert merged_grids({"input_ids": [[1]]}, 2) == []


def test_t09_patches_are_dealt_to_images_in_order_across_text() -> None:
    positions = np.array([1, 2, 5, 6, 7])
    image_of, patch_of = number_patches(9, positions, [2, 3])
    assert image_of.tolist() == [-1, 0, 0, -1, -1, 1, 1, 1, -1]
    assert patch_of.tolist() == [-1, 0, 1, -1, -1, 0, 1, 2, -1]


def test_a_config_without_image_token_is_refused() -> None:
    config = SimpleNamespace(model_type="odd")
    with pytest.raises(ModelError, match="model_type 'odd' names no image_token_id, so its image positions cannot be"):
        ImageGridLayout().layout(config, PROCESSOR, _outputs([1], [[1, 4, 6]]), [_image()])


def test_the_fingerprint_is_of_the_rgb_pixels() -> None:
    red = Image.new("RGB", (4, 3), (255, 0, 0))
    assert image_info("a.png", red) == image_info("a.png", red.convert("RGBA"))
    assert image_info("a.png", red).sha256 != image_info("a.png", Image.new("RGB", (4, 3), (254, 0, 0))).sha256
    assert (image_info("a.png", red).width, image_info("a.png", red).height) == (4, 3)
