"""Mllama's tiles: where image features stand in the trace, and which part of the image each is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import LayoutAdapter, SeparateImages
from attnviz_video.models.layouts.cross_attention_tiles import Canvas, CrossAttentionTilesLayout, fitted, tile_grid
from attnviz_video.models.layouts.square_grid import SquareGridLayout

IMAGE = 9
SUPPORTED = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
#: Tiles of 20 pixels, 2 x 2 patches of 10 each: 5 features per tile.
VISION = SimpleNamespace(image_size=20, patch_size=10, supported_aspect_ratios=SUPPORTED)
CONFIG = SimpleNamespace(model_type="mllama", image_token_id=IMAGE, vision_config=VISION)
RULE = CrossAttentionTilesLayout()


def outputs(ids: list[int], shapes: list[list[int]]) -> dict[str, Any]:
    made: dict[str, Any] = {"input_ids": np.array([ids])}
    if shapes:
        made["aspect_ratio_ids"] = np.array([[SUPPORTED.index(shape) + 1 for shape in shapes]])
        made["cross_attention_mask"] = np.ones((1, len(ids), len(shapes), 4))
    return made


def infos(*sizes: tuple[int, int]) -> list[ImageInfo]:
    return [ImageInfo(f"{index}.png", width, height, "0") for index, (width, height) in enumerate(sizes)]


def test_features_stand_behind_the_token_that_mentions_the_image() -> None:
    given = outputs([1, IMAGE, 2, 3], [[1, 1]])
    columns = RULE.key_columns(CONFIG, None, given, infos((20, 20)))
    assert columns.text.tolist() == [0, 1, 7, 8]
    assert columns.cross.tolist() == [2, 3, 4, 5, 6, *[-1] * 15]
    layout = RULE.layout(CONFIG, None, given, infos((20, 20)))
    assert layout.image_of.tolist() == [-1, -1, 0, 0, 0, 0, 0, -1, -1]
    # The first feature of a tile is its class feature, which stands for no rectangle.
    assert layout.patch_of.tolist() == [-1, -1, -1, 0, 1, 2, 3, -1, -1]
    assert layout.grids[0].area == "image"
    assert layout.patch_boxes(0).tolist() == [[0, 0, 10, 10], [10, 0, 20, 10], [0, 10, 10, 20], [10, 10, 20, 20]]


def test_t05_rows_of_tiles_and_columns_of_tiles_are_not_swapped() -> None:
    wide = RULE.layout(CONFIG, None, outputs([IMAGE], [[1, 2]]), infos((40, 20)))
    tall = RULE.layout(CONFIG, None, outputs([IMAGE], [[2, 1]]), infos((20, 40)))
    assert [grid.box for grid in wide.grids] == [(0.0, 0.0, 20.0, 20.0), (20.0, 0.0, 40.0, 20.0)]
    assert [grid.box for grid in tall.grids] == [(0.0, 0.0, 20.0, 20.0), (0.0, 20.0, 20.0, 40.0)]


def test_t09_two_images_each_behind_their_own_token() -> None:
    given = outputs([IMAGE, 1, IMAGE, 2], [[1, 2], [1, 1]])
    images = infos((40, 20), (20, 20))
    columns = RULE.key_columns(CONFIG, None, given, images)
    assert columns.text.tolist() == [0, 11, 12, 18]
    assert columns.cross.tolist() == [*range(1, 11), *[-1] * 10, *range(13, 18), *[-1] * 15]
    layout = RULE.layout(CONFIG, None, given, images)
    assert layout.image_of.tolist() == [-1, *[0] * 10, -1, -1, *[1] * 5, -1]
    assert layout.patch_positions(0).tolist() == [2, 3, 4, 5, 7, 8, 9, 10]
    assert layout.patch_positions(1).tolist() == [14, 15, 16, 17]


def test_padding_of_the_canvas_stands_for_no_rectangle() -> None:
    """40 x 9 pixels on a canvas of 40 x 20: the lower row of patches is padding in both tiles."""
    layout = RULE.layout(CONFIG, None, outputs([IMAGE], [[1, 2]]), infos((40, 9)))
    assert [(grid.rows, grid.columns) for grid in layout.grids] == [(1, 2), (1, 2)]
    assert layout.patch_of.tolist() == [-1, -1, 0, 1, -1, -1, -1, 2, 3, -1, -1]
    assert layout.patch_boxes(0).tolist() == [[0, 0, 10, 9], [10, 0, 20, 9], [20, 0, 30, 9], [30, 0, 40, 9]]
    image = infos((30, 20))[0]
    assert tile_grid(0, 1, Canvas(1, 2, 15, 20), image, 2, 10, 4) is None


def test_a_prompt_without_images() -> None:
    given = outputs([1, 2, 3], [])
    columns = RULE.key_columns(CONFIG, None, given, [])
    assert columns.text.tolist() == [0, 1, 2]
    assert columns.cross.size == 0
    assert RULE.layout(CONFIG, None, given, []).patch_of.tolist() == [-1, -1, -1]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="the processor returned arrangements of tiles for 1 of 2 images"):
        RULE.layout(CONFIG, None, outputs([IMAGE, IMAGE], [[1, 1]]), infos((20, 20), (20, 20)))
    with pytest.raises(ModelError, match="the prompt mentions 2 images, 1 were given"):
        RULE.layout(CONFIG, None, outputs([IMAGE, IMAGE], [[1, 1]]), infos((20, 20)))


@given(
    width=st.integers(1, 2000), height=st.integers(1, 2000), rows=st.integers(1, 4), columns=st.integers(1, 4),
)  # fmt: skip
def test_t05_images_are_resized_as_the_library_does(width: int, height: int, rows: int, columns: int) -> None:
    library = pytest.importorskip("transformers.models.mllama.image_processing_pil_mllama")
    want = library.get_image_size_fit_to_canvas(height, width, rows * 56, columns * 56, 56)
    assert fitted(width, height, columns * 56, rows * 56, 56) == (want[1], want[0])


def test_only_this_rule_keeps_its_images_apart() -> None:
    assert isinstance(RULE, SeparateImages)
    assert isinstance(RULE, LayoutAdapter)
    assert not isinstance(SquareGridLayout(), SeparateImages)
