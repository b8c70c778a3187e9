"""`image_position_ids`: the grid is read off the positions, padding left out (Gemma 4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.patch_positions import PatchPositionsLayout, pooled_grids

CONFIG = SimpleNamespace(model_type="gemma4", image_token_id=9)
PROCESSOR = SimpleNamespace(image_processor=SimpleNamespace(pooling_kernel_size=2))


def positions(rows: int, columns: int, most: int = 40) -> np.ndarray:
    """(column, row) of every patch, row by row, then -1."""
    table = np.full((most, 2), -1)
    table[: rows * columns] = [(column, row) for row in range(rows) for column in range(columns)]
    return table


def place(n_tokens: int, *tables: np.ndarray, images: int = 1) -> Any:
    outputs = {"input_ids": np.array([[1, *[9] * n_tokens, 2]])}
    if tables:
        outputs["image_position_ids"] = np.stack(tables)
    infos = [ImageInfo(f"{index}.png", 80, 60, "0") for index in range(images)]
    return PatchPositionsLayout().layout(CONFIG, PROCESSOR, outputs, infos)


def test_t05_rows_and_columns_are_not_swapped() -> None:
    made = place(2 * 3 + 3, positions(4, 6), positions(6, 2), images=2)
    assert [(grid.rows, grid.columns) for grid in made.grids] == [(2, 3), (3, 1)]
    assert made.patch_positions(1).tolist() == [7, 8, 9]


def test_a_prompt_without_images_has_no_grids() -> None:
    assert place(0, images=0).grids == ()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="the processor returned the patch positions of 1 of 2 images"):
        place(6, positions(4, 6), images=2)
    with pytest.raises(ModelError, match="the prompt holds 5 image tokens, the images' grids have 6 patches; the proc"):
        place(5, positions(4, 6))
    with pytest.raises(ModelError, match="an image of 3 x 4 vision patches cannot be pooled in blocks of 2"):
        pooled_grids({"image_position_ids": positions(3, 4)[None]}, 2)
