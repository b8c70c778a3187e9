from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attnviz_video.core.layout import PatchGrid, painted_grids
from attnviz_video.errors import ImageError
from attnviz_video.render.image_view import view_grid, view_image
from attnviz_video.testing.planted import planted_layout

ROOM = (100, 50, 700, 450)


def _view(tmp_path: Path, size: tuple[int, int], grid: tuple[int, int]) -> object:
    Image.new("RGB", size, (10, 20, 30)).save(tmp_path / "a.png")
    return view_image(tmp_path / "a.png", planted_layout([size], [grid]), 0, ROOM, 8)


def test_t04_last_edge_is_width() -> None:
    grid = view_grid(PatchGrid(0, 107, 143, (0.0, 0.0, 4000.0, 3000.0)), (0, 0, 4000, 3000), 801, 601)
    assert grid.x_edges[-1] == 801
    assert grid.y_edges[-1] == 601


@given(
    st.integers(1, 60), st.integers(1, 60), st.integers(1, 5000), st.integers(1, 5000),
    st.integers(1, 1200), st.integers(1, 1200),
)  # fmt: skip
def test_t04_cells_tile_the_painted_image(
    rows: int, columns: int, width: int, height: int, shown_width: int, shown_height: int
) -> None:
    patch_grid = PatchGrid(0, rows, columns, (0.0, 0.0, float(width), float(height)))
    grid = view_grid(patch_grid, (0, 0, width, height), shown_width, shown_height)
    painted = np.zeros((shown_height, shown_width), dtype=np.int64)
    for y0, y1 in zip(grid.y_edges, grid.y_edges[1:], strict=False):
        for x0, x1 in zip(grid.x_edges, grid.x_edges[1:], strict=False):
            painted[y0:y1, x0:x1] += 1
    assert (painted == 1).all()
    # Within a pixel of where the original's own cell edges lie on the painted image.
    scale = shown_width / width
    assert np.abs(grid.x_edges - patch_grid.x_edges() * scale).max() <= max(1.0, 0.5 + 0.5 * scale)


def test_t05_rows_run_down_and_columns_across(tmp_path: Path) -> None:
    view = _view(tmp_path, (600, 200), (2, 6))
    left, top, right, bottom = view.box  # type: ignore[attr-defined]
    cells = view.cells  # type: ignore[attr-defined]
    assert (right - left, bottom - top) == (600, 200)
    assert cells[0].tolist() == [left, top, left + 100, top + 100]
    assert cells[5].tolist() == [right - 100, top, right, top + 100]
    assert cells[6].tolist() == [left, bottom - 100, left + 100, bottom]


@pytest.mark.parametrize(
    ("size", "grid"), [((1, 1), (2, 2)), ((10000, 10), (2, 100)), ((1, 3000), (90, 2)), ((7, 3), (1, 1))]
)
def test_f13_extreme_images_are_letterboxed_with_every_cell_visible(
    tmp_path: Path, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    view = _view(tmp_path, size, grid)
    left, top, right, bottom = view.box  # type: ignore[attr-defined]
    assert ROOM[0] <= left < right <= ROOM[2]
    assert ROOM[1] <= top < bottom <= ROOM[3]
    cells = view.cells  # type: ignore[attr-defined]
    assert (cells[:, 2] > cells[:, 0]).all()
    assert (cells[:, 3] > cells[:, 1]).all()
    assert (cells[-1, 2:] == [right, bottom]).all()


def test_padding_beyond_the_image_is_cut_off() -> None:
    grid = view_grid(PatchGrid(0, 4, 4, (0.0, -50.0, 200.0, 150.0)), (0, 0, 200, 100), 200, 100)
    assert grid.y_edges.tolist() == [0, 0, 50, 100, 100]


def test_tiles_are_painted_and_their_thumbnail_is_not() -> None:
    tile = PatchGrid(0, 2, 2, (0.0, 0.0, 10.0, 10.0), 0, "tile")
    thumbnail = PatchGrid(0, 1, 1, (0.0, 0.0, 10.0, 10.0), 4, "thumbnail")
    assert painted_grids((tile, thumbnail)) == (tile,)
    assert painted_grids((thumbnail,)) == (thumbnail,)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot read the image .*gone.png of this trace: .*record the trace again"):
        view_image(tmp_path / "gone.png", planted_layout([(5, 5)], [(1, 1)]), 0, ROOM, 8)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"<html>")
    with pytest.raises(ImageError, match="cannot read the image .*bad.png of this trace"):
        view_image(tmp_path / "bad.png", planted_layout([(5, 5)], [(1, 1)]), 0, ROOM, 8)
