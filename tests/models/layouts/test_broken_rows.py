"""Rows of image tokens with breaks between them (Pixtral, Mistral 3)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.broken_rows import BrokenRowsLayout, grids_of_sizes

IMAGE, BREAK, END = 9, 10, 11
CONFIG = SimpleNamespace(model_type="mistral3", image_token_id=IMAGE)
PROCESSOR = SimpleNamespace(patch_size=14, spatial_merge_size=2)


def rows_of(rows: int, columns: int) -> list[int]:
    return [*([*[IMAGE] * columns, BREAK] * rows)[:-1], END]


def place(ids: list[int], sizes: Any, images: int = 1) -> Any:
    infos = [ImageInfo(f"{index}.png", 80, 60, "0") for index in range(images)]
    outputs = {"input_ids": np.array([ids])} | ({} if sizes is None else {"image_sizes": np.array(sizes)})
    return BrokenRowsLayout().layout(CONFIG, PROCESSOR, outputs, infos)


def test_breaks_are_text_and_patches_go_on_behind_them() -> None:
    made = place([1, *rows_of(2, 3), 2], [[56, 84]])
    assert (made.grids[0].rows, made.grids[0].columns) == (2, 3)
    assert made.patch_of.tolist() == [-1, 0, 1, 2, -1, 3, 4, 5, -1, -1]
    assert made.image_of.tolist() == [-1, 0, 0, 0, -1, 0, 0, 0, -1, -1]


def test_t09_two_images_of_their_own_size_each() -> None:
    made = place([*rows_of(2, 3), *rows_of(1, 4)], [[56, 84], [28, 112]], images=2)
    assert made.patch_positions(1).tolist() == [8, 9, 10, 11]


def test_a_prompt_without_images_has_no_grids() -> None:
    assert place([1, 2], None, images=0).grids == ()


def test_older_processors_nest_the_sizes() -> None:
    assert grids_of_sizes([[(56, 84), (28, 28)]], 28) == [(2, 3), (1, 1)]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="the processor returned the sizes of 1 of 2 images"):
        place(rows_of(2, 3), [[56, 84]], images=2)
    with pytest.raises(ModelError, match="the prompt holds 6 image tokens, the images' grids have 3 patches; the proc"):
        place(rows_of(2, 3), [[28, 84]])
    with pytest.raises(ModelError, match="an image of 84 x 50 pixels is not cut evenly into patches of 28"):
        grids_of_sizes([[50, 84]], 28)
