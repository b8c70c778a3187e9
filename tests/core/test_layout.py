"""Geometry of grids and the agreement of a layout's parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout, cell_edges, painted_grids
from attnviz_video.errors import ModelError

FULL = (0.0, 0.0, 60.0, 40.0)
SIZES = st.integers(1, 10_000)


def _layout(image_of: list[int], patch_of: list[int], grids: tuple[PatchGrid, ...], n_images: int = 1) -> TokenLayout:
    images = tuple(ImageInfo(f"{index}.png", 60, 40, "0") for index in range(n_images))
    return TokenLayout(images, grids, np.array(image_of), np.array(patch_of))


@given(size=SIZES, cells=st.integers(1, 300))
def test_t04_last_edge_is_the_size(size: int, cells: int) -> None:
    edges = cell_edges(0.0, float(size), cells)
    assert edges[0] == 0
    assert edges[-1] == size
    assert len(edges) == cells + 1
    assert np.all(np.diff(edges) >= 0)


@given(size=SIZES, cells=st.integers(1, 300))
def test_t04_cells_differ_by_at_most_one_pixel(size: int, cells: int) -> None:
    widths = np.diff(cell_edges(0.0, float(size), cells))
    assert widths.max() - widths.min() <= 1


def test_t04_the_classic_case_leaves_no_strip() -> None:
    grid = PatchGrid(0, 107, 143, (0.0, 0.0, 4000.0, 3000.0))
    assert grid.patch_box(grid.n_patches - 1)[2:] == (4000, 3000)
    assert 4000 // 143 * 143 < 4000 - 100


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), width=st.integers(30, 500), height=st.integers(30, 500))
def test_patches_tile_the_image_once(rows: int, columns: int, width: int, height: int) -> None:
    grid = PatchGrid(0, rows, columns, (0.0, 0.0, float(width), float(height)))
    times_covered = np.zeros((height, width), dtype=int)
    for patch in range(grid.n_patches):
        left, top, right, bottom = grid.patch_box(patch)
        times_covered[top:bottom, left:right] += 1
    assert np.all(times_covered == 1)


def test_t05_rows_and_columns_are_not_swapped() -> None:
    grid = PatchGrid(0, rows=2, columns=3, box=(0.0, 0.0, 300.0, 100.0))
    assert grid.patch_box(2) == (200, 0, 300, 50)
    assert grid.patch_box(3) == (0, 50, 100, 100)


def test_patches_of_a_tile_are_counted_from_its_first() -> None:
    grid = PatchGrid(0, 2, 2, (100.0, 0.0, 200.0, 100.0), first_patch=6)
    assert grid.patch_box(6) == (100, 0, 150, 50)
    assert grid.patch_box(9) == (150, 50, 200, 100)


def test_positions_come_in_patch_order() -> None:
    grids = (PatchGrid(0, 1, 2, FULL),)
    layout = _layout([-1, 0, 0, -1], [-1, 1, 0, -1], grids)
    assert layout.patch_positions(0).tolist() == [2, 1]
    assert layout.n_prompt == 4


def test_t09_images_keep_their_own_positions() -> None:
    grids = (PatchGrid(0, 1, 2, FULL), PatchGrid(1, 1, 1, FULL))
    layout = _layout([-1, 0, 0, -1, 1], [-1, 0, 1, -1, 0], grids, n_images=2)
    assert layout.patch_positions(0).tolist() == [1, 2]
    assert layout.patch_positions(1).tolist() == [4]
    assert layout.grids_of(1) == grids[1:]


def test_tokens_without_a_rectangle_are_allowed() -> None:
    grids = (PatchGrid(0, 1, 1, FULL),)
    layout = _layout([0, 0], [0, -1], grids)
    assert layout.patch_positions(0).tolist() == [0]


@pytest.mark.parametrize("patch_of", [[-1, 0, 1, -1], [-1, 0, 0, 1], [-1, 0, 1, 3]])
def test_t03_grid_and_tokens_must_agree(patch_of: list[int]) -> None:
    grids = (PatchGrid(0, 1, 3, FULL),)
    with pytest.raises(ModelError, match="image 0: its grids have 3 patches, the prompt holds . patch tokens"):
        _layout([-1, 0, 0, 0], patch_of, grids)


def test_boxes_of_all_patches_are_cut_off_at_the_image() -> None:
    grids = (PatchGrid(0, 1, 1, FULL, 0, "thumbnail"), PatchGrid(0, 2, 1, (-10.0, -20.0, 30.0, 60.0), 1, "tile"))
    layout = _layout([0, 0, 0, 0], [2, 0, 1, -1], grids)
    assert layout.patch_boxes(0).tolist() == [[0, 0, 60, 40], [0, 0, 30, 20], [0, 20, 30, 40]]
    assert layout.grids[1].patch_box(1) == (-10, -20, 30, 20)


def test_a_thumbnail_is_painted_only_where_nothing_finer_is() -> None:
    tile, thumbnail = PatchGrid(0, 1, 2, FULL, 0, "tile"), PatchGrid(0, 1, 1, FULL, 2, "thumbnail")
    assert painted_grids((tile, thumbnail)) == (tile,)
    assert painted_grids((thumbnail,)) == (thumbnail,)
    layout = _layout([0, 0, 0], [0, 1, 2], (tile, thumbnail))
    assert layout.is_painted(0).tolist() == [True, True, False]
