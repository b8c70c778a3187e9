"""One square per image, squashed whatever its aspect (PaliGemma)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.square_grid import SquareGridLayout, square_side

CONFIG = SimpleNamespace(model_type="paligemma", image_token_id=9)


def layout(n_tokens: int, per_image: int, images: int = 1) -> Any:
    outputs = {"input_ids": np.array([[9] * n_tokens + [1, 2]])}
    infos = [ImageInfo(f"{index}.png", 90 + index, 30, "0") for index in range(images)]
    return SquareGridLayout().layout(CONFIG, SimpleNamespace(image_seq_length=per_image), outputs, infos)


def test_the_whole_image_is_cut_evenly() -> None:
    made = layout(9, 9)
    assert (made.grids[0].rows, made.grids[0].columns) == (3, 3)
    assert made.patch_boxes(0)[[0, 5, 8]].tolist() == [[0, 0, 30, 10], [60, 10, 90, 20], [60, 20, 90, 30]]
    assert made.image_of.tolist() == [0] * 9 + [-1, -1]


def test_t09_images_follow_each_other() -> None:
    made = layout(8, 4, images=2)
    assert made.patch_positions(1).tolist() == [4, 5, 6, 7]
    assert made.grids[1].box == (0.0, 0.0, 91.0, 30.0)


def test_tokens_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="the prompt holds 8 image tokens, the images' grids have 9 patches; the proc"):
        layout(8, 9)
    with pytest.raises(ModelError, match="an image has 8 tokens, which is no square grid as this model family has it"):
        square_side(8)
