"""LLaVA-NeXT and LLaVA-OneVision: tokens counted as the library counts them, tiles where they lie in the image."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.hub_library import transformers
from attnviz_video.models.layouts.anyres import Tile, anyres_tokens, axes, image_sizes, spans
from attnviz_video.models.layouts.areas import ImageTokens
from attnviz_video.models.layouts.onevision import OneVisionLayout, padded_square

NEXT = Tile(336, 14)
NEXT_POINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
ONE = Tile(384, 14)
ONE_POINTS = [[384 * rows, 384 * columns] for rows in range(1, 7) for columns in range(1, 7)]
SIDES = st.integers(8, 3000)


def info_of(width: int, height: int) -> ImageInfo:
    return ImageInfo("a.png", width, height, "0")


def library_count(module: str, processor: str, points: list[list[int]], size: tuple[int, int], **more: Any) -> int:
    """What the library's own processor counts; its method is run on a stand-in that has the settings it reads."""
    kind = getattr(__import__(f"transformers.models.{module}", fromlist=["x"]), processor)
    settings = SimpleNamespace(image_processor=SimpleNamespace(image_grid_pinpoints=points), patch_size=14, **more)
    settings._get_unpadded_features = lambda *args: kind._get_unpadded_features(settings, *args)
    side = points[0][0]
    return int(kind._get_number_of_features(settings, *size, side, side))


@given(width=SIDES, height=SIDES)
def test_as_many_tokens_as_the_library_counts_for_llava_next(width: int, height: int) -> None:
    part = anyres_tokens(info_of(width, height), (height, width), NEXT, NEXT_POINTS)
    want = library_count(
        "llava_next.processing_llava_next", "LlavaNextProcessor", NEXT_POINTS, (height, width),
        num_additional_image_tokens=0,
    )  # fmt: skip
    assert part.count == want


@given(width=SIDES, height=SIDES)
def test_as_many_tokens_as_the_library_counts_for_onevision(width: int, height: int) -> None:
    part = anyres_tokens(info_of(width, height), (height, width), ONE, ONE_POINTS, 9)
    want = library_count(
        "llava_onevision.processing_llava_onevision", "LlavaOnevisionProcessor", ONE_POINTS, (height, width),
        num_image_tokens=729, vision_aspect_ratio="anyres_max_9",
    )  # fmt: skip
    assert part.count == want


@given(width=SIDES, height=SIDES, max_tiles=st.sampled_from([None, 1, 9]), one=st.booleans())
def test_every_token_is_a_cell_or_one_newline_per_row(
    width: int, height: int, max_tiles: int | None, one: bool
) -> None:
    tile, points = (ONE, ONE_POINTS) if one else (NEXT, NEXT_POINTS)
    part = anyres_tokens(info_of(width, height), (height, width), tile, points, max_tiles)
    cells = np.sort(np.concatenate([area.tokens.ravel() for area in part.areas]))
    assert np.unique(cells).size == cells.size
    rest = np.setdiff1d(np.arange(part.count), cells)
    base = tile.features**2
    # Of an image so long that it fills less than one row of features, the library keeps no tile at all.
    columns = (part.count - base) // max(1, rest.size) - 1
    assert rest.tolist() == [base + (columns + 1) * (row + 1) - 1 for row in range(rest.size)]


@given(width=SIDES, height=SIDES, one=st.booleans())
def test_tiles_cover_the_image_up_to_a_row_of_features(width: int, height: int, one: bool) -> None:
    tile, points = (ONE, ONE_POINTS) if one else (NEXT, NEXT_POINTS)
    for axis, length in zip(axes((height, width), tile, points), (height, width), strict=True):
        found = spans(axis, tile)
        if not axis.features:
            assert max(width, height) / min(width, height) > tile.features
            continue
        feature = tile.patch / axis.scale
        strip = (tile.side - tile.features * tile.patch) / axis.scale
        assert -feature - 1e-6 <= found[0].start <= feature + 1e-6
        assert abs(found[-1].stop - length) <= feature + strip + 1 / axis.scale
        for before, after in zip(found, found[1:], strict=False):
            assert before.last == after.first
            assert after.start - before.stop == pytest.approx(strip)


def test_of_a_very_long_image_only_the_thumbnail_is_left() -> None:
    part = anyres_tokens(info_of(385, 8), (8, 385), NEXT, NEXT_POINTS)
    assert [area.name for area in part.areas] == ["thumbnail"]
    assert part.count == 24 * 24


def test_a_wide_image_on_three_tiles() -> None:
    """1200 x 400 on a canvas of 1008 x 336 fills it exactly: 24 rows and 72 columns."""
    part = anyres_tokens(info_of(1200, 400), (400, 1200), NEXT, NEXT_POINTS)
    thumbnail, tiles = part.areas
    assert (thumbnail.name, thumbnail.tokens.shape, thumbnail.box) == ("thumbnail", (24, 24), (0.0, 0.0, 1200.0, 400.0))
    assert (tiles.name, tiles.tokens.shape) == ("tile", (24, 72))
    assert tiles.box == pytest.approx((0.0, 0.0, 1200.0, 400.0))
    assert part.count == 24 * 24 + 24 * 73
    assert tiles.tokens[1, 0] == 24 * 24 + 73


def test_onevision_leaves_a_strip_of_every_tile_unseen() -> None:
    part = anyres_tokens(info_of(768, 384), (384, 768), ONE, ONE_POINTS, 9)
    assert [area.box for area in part.areas[1:]] == [
        pytest.approx((0.0, 0.0, 378.0, 378.0)),
        pytest.approx((384.0, 0.0, 762.0, 378.0)),
    ]
    assert part.areas[0].box == pytest.approx((0.0, 0.0, 756.0, 378.0))


def test_onevision_shrinks_large_grids_to_one_over_all_tiles() -> None:
    part = anyres_tokens(info_of(2304, 2304), (2304, 2304), ONE, ONE_POINTS, 9)
    assert [(area.name, area.tokens.shape) for area in part.areas] == [("thumbnail", (27, 27)), ("tile", (81, 81))]
    assert part.areas[1].box == pytest.approx((0.0, 0.0, 2298.0, 2298.0))


def test_onevision_pads_one_of_several_images_to_a_square() -> None:
    part = padded_square(info_of(384, 192), ONE)
    assert isinstance(part, ImageTokens)
    assert part.count == 730
    assert part.areas[0].box == pytest.approx((0.0, -96.0, 378.0, 282.0))


def test_onevision_takes_each_image_for_a_single_one_where_the_processor_does_not_count() -> None:
    config = SimpleNamespace(
        model_type="llava_onevision", image_token_id=9, vision_aspect_ratio="anyres_max_9",
        image_grid_pinpoints=ONE_POINTS, vision_config=SimpleNamespace(image_size=384, patch_size=14),
    )  # fmt: skip
    sizes = np.array([[384, 384], [384, 768]])
    infos = [info_of(384, 384), info_of(768, 384)]
    counts = [anyres_tokens(info, (384, info.width), ONE, ONE_POINTS, 9).count for info in infos]
    outputs = {"input_ids": np.full((1, sum(counts)), 9), "image_sizes": sizes}
    layout = OneVisionLayout().layout(config, None, outputs, infos)
    assert [grid.area for grid in layout.grids] == ["thumbnail", "tile", "thumbnail", "tile", "tile"]
    together = {"input_ids": np.full((1, 2 * 730), 9), "image_sizes": sizes, "batch_num_images": np.array([2])}
    layout = OneVisionLayout().layout(config, None, together, infos)
    assert [grid.area for grid in layout.grids] == ["image", "image"]


def test_a_missing_size_is_refused() -> None:
    with pytest.raises(ModelError, match="the processor returned the sizes of 1 of 2 images"):
        image_sizes({"image_sizes": [[3, 4]]}, 2)
    assert image_sizes({}, 0) == []


def test_the_librarys_choice_of_resolution_is_the_one_used() -> None:
    assert transformers.image_processing_utils.select_best_resolution((400, 1200), NEXT_POINTS) == (336, 1008)
