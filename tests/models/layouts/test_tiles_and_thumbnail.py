"""InternVL, Aya Vision, Cohere2 Vision, Idefics 3, SmolVLM: tiles row by row, the whole image last."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.row_column_tiles import RowColumnTilesLayout
from attnviz_video.models.layouts.tiled_canvas import TiledCanvasLayout, tiles_of, tokens_per_tile

CONFIG = SimpleNamespace(model_type="internvl", image_token_id=9)
WIDE = ImageInfo("a.png", 600, 200, "0")
SMALL = ImageInfo("b.png", 40, 40, "0")


def cutter(**more: Any) -> GotOcr2ImageProcessorPil:
    return GotOcr2ImageProcessorPil(size={"height": 100, "width": 100}, min_patches=1, max_patches=6, **more)


def canvas_layout(n_tokens: int, *images: ImageInfo) -> TokenLayout:
    processor = SimpleNamespace(image_seq_length=4, image_processor=cutter())
    return TiledCanvasLayout().layout(CONFIG, processor, {"input_ids": np.full((1, n_tokens), 9)}, list(images))


def test_tiles_come_row_by_row_and_the_thumbnail_last() -> None:
    layout = canvas_layout(16, WIDE)
    assert [(grid.area, grid.box) for grid in layout.grids] == [
        ("tile", (0.0, 0.0, 200.0, 200.0)),
        ("tile", (200.0, 0.0, 400.0, 200.0)),
        ("tile", (400.0, 0.0, 600.0, 200.0)),
        ("thumbnail", (0.0, 0.0, 600.0, 200.0)),
    ]
    assert layout.patch_of.tolist() == list(range(16))


def test_an_image_of_one_tile_has_no_thumbnail() -> None:
    layout = canvas_layout(20, WIDE, SMALL)
    assert [(grid.image, grid.area) for grid in layout.grids] == [(0, "tile")] * 3 + [(0, "thumbnail"), (1, "image")]


def test_images_that_were_not_cut_up_are_known_by_their_tokens() -> None:
    layout = canvas_layout(8, WIDE, WIDE)
    assert [(grid.area, grid.box) for grid in layout.grids] == [("image", (0.0, 0.0, 600.0, 200.0))] * 2


def test_another_number_of_tokens_is_refused() -> None:
    with pytest.raises(
        ModelError, match="the prompt holds 12 image tokens, by the rule of internvl its images have 16"
    ):
        canvas_layout(12, WIDE)


def test_tokens_of_a_tile_as_each_family_says_them() -> None:
    assert tokens_per_tile(SimpleNamespace(image_seq_length=256)) == 256
    assert tokens_per_tile(SimpleNamespace(img_size=364, patch_size=28)) == 169
    assert tokens_per_tile(SimpleNamespace(patch_size=16)) == 256
    with pytest.raises(ModelError, match="SimpleNamespace does not say how many tokens a tile has"):
        tokens_per_tile(SimpleNamespace())


def test_the_arrangement_is_the_image_processors_own() -> None:
    assert tiles_of(cutter(), WIDE) == (1, 3)
    assert tiles_of(cutter(), ImageInfo("c.png", 200, 600, "0")) == (3, 1)
    with pytest.raises(ModelError, match="SimpleNamespace has no rule for arranging tiles"):
        tiles_of(SimpleNamespace(size={}), WIDE)


def row_column_layout(n_tokens: int, rows: int, columns: int) -> TokenLayout:
    image_processor = SimpleNamespace(get_number_of_image_patches=lambda height, width, _: (0, rows, columns))
    processor = SimpleNamespace(image_seq_len=4, image_processor=image_processor)
    return RowColumnTilesLayout().layout(CONFIG, processor, {"input_ids": np.full((1, n_tokens), 9)}, [WIDE])


def test_rows_and_columns_of_idefics_are_not_swapped() -> None:
    layout = row_column_layout(28, rows=2, columns=3)
    assert [grid.box for grid in layout.grids[:4]] == [
        (0.0, 0.0, 200.0, 100.0), (200.0, 0.0, 400.0, 100.0), (400.0, 0.0, 600.0, 100.0), (0.0, 100.0, 200.0, 200.0),
    ]  # fmt: skip
    assert layout.grids[-1].area == "thumbnail"


def test_an_image_that_idefics_does_not_cut_up() -> None:
    (grid,) = row_column_layout(4, rows=0, columns=0).grids
    assert (grid.area, grid.box) == ("image", (0.0, 0.0, 600.0, 200.0))
