"""Layouts put together from areas: which token is which cell, and what stands for no rectangle."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.areas import THUMBNAIL, TILE, Area, ImageTokens, assemble, grid_tokens, inside

CONFIG = SimpleNamespace(model_type="cut_up", image_token_id=9)
INFO = ImageInfo("a.png", 60, 40, "0")
FULL = (0.0, 0.0, 60.0, 40.0)


def prompt(*ids: int) -> dict[str, np.ndarray]:
    return {"input_ids": np.array([ids])}


def test_tokens_of_a_grid_with_separators() -> None:
    assert grid_tokens(2, 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert grid_tokens(2, 3, first=4, skip=1).tolist() == [[4, 5, 6], [8, 9, 10]]


def test_patches_are_numbered_through_the_areas_and_separators_have_none() -> None:
    tiles = grid_tokens(2, 2, first=1, skip=1)
    areas = (
        Area(FULL, np.array([[0]]), THUMBNAIL),
        Area((0.0, 0.0, 30.0, 40.0), tiles[:, :1], TILE),
        Area((30.0, 0.0, 60.0, 40.0), tiles[:, 1:], TILE),
    )
    layout = assemble(CONFIG, prompt(5, 9, 9, 9, 9, 9, 9, 9, 5), [INFO], [ImageTokens(7, areas)])
    assert layout.image_of.tolist() == [-1, 0, 0, 0, 0, 0, 0, 0, -1]
    # Thumbnail, then row by row over both tiles with a separator after each row.
    assert layout.patch_of.tolist() == [-1, 0, 1, 3, -1, 2, 4, -1, -1]
    assert [(grid.area, grid.first_patch, grid.n_patches) for grid in layout.grids] == [
        ("thumbnail", 0, 1),
        ("tile", 1, 2),
        ("tile", 3, 2),
    ]
    assert layout.patch_positions(0).tolist() == [1, 2, 5, 3, 6]
    assert layout.patch_boxes(0).tolist() == [
        [0, 0, 60, 40], [0, 0, 30, 20], [0, 20, 30, 40], [30, 0, 60, 20], [30, 20, 60, 40],
    ]  # fmt: skip


def test_another_number_of_tokens_is_refused() -> None:
    parts = [ImageTokens(2, (Area(FULL, grid_tokens(1, 2)),)), ImageTokens(1, (Area(FULL, grid_tokens(1, 1)),))]
    with pytest.raises(
        ModelError,
        match=r"the prompt holds 4 image tokens, by the rule of cut_up its images have 2 \+ 1; the processor and the",
    ):
        assemble(CONFIG, prompt(9, 9, 9, 9), [INFO, INFO], parts)


@pytest.mark.parametrize(
    ("box", "rows", "columns", "kept", "left_box"),
    [
        (FULL, 4, 4, (slice(0, 4), slice(0, 4)), FULL),
        # Two rows of padding above, one below; the last one half inside.
        ((0.0, -40.0, 60.0, 60.0), 5, 2, (slice(2, 4), slice(0, 2)), (0.0, 0.0, 60.0, 40.0)),
        ((-15.0, 0.0, 75.0, 40.0), 2, 6, (slice(0, 2), slice(1, 5)), (0.0, 0.0, 60.0, 40.0)),
        ((-20.0, 0.0, 70.0, 40.0), 1, 3, (slice(0, 1), slice(0, 3)), (-20.0, 0.0, 70.0, 40.0)),
        ((70.0, 0.0, 90.0, 40.0), 1, 2, (slice(0, 1), slice(0, 0)), (70.0, 0.0, 70.0, 40.0)),
    ],
)
def test_cells_of_padding_alone_are_left_out(
    box: tuple[float, ...], rows: int, columns: int, kept: tuple[slice, slice], left_box: tuple[float, ...]
) -> None:
    tokens = grid_tokens(rows, columns)
    area = inside(Area(box, tokens), INFO)  # type: ignore[arg-type]
    assert area.tokens.tolist() == tokens[kept].tolist()
    assert area.box == pytest.approx(left_box)


def test_a_prompt_without_images_has_an_empty_layout() -> None:
    layout = assemble(CONFIG, prompt(1, 2), [], [])
    assert (layout.grids, layout.image_of.tolist()) == ((), [-1, -1])
