"""Gemma 3's crops: which parts of an image they are, by the library's own cutting (docs/traps.md, T5)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.pan_and_scan import (
    PanAndScan,
    PanAndScanLayout,
    crop_boxes,
    pan_and_scan_settings,
)
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.families.gemma3 import build_gemma3
from tests.families.asking import ask, pictures

IMAGE_TOKEN = 9
CONFIG = SimpleNamespace(model_type="gemma3", image_token_id=IMAGE_TOKEN)
FINE = PanAndScan(min_crop_size=20)


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tiny Gemma 3 whose processor cuts images up."""
    folder = build_gemma3(tmp_path_factory.mktemp("pan_and_scan") / "gemma3")
    loaded = load_model(ModelSettings(model_path=str(folder), device="cpu"))
    if not hasattr(loaded.processor, "images_kwargs"):
        pytest.skip("this version of transformers takes the settings with each call only")
    loaded.processor.images_kwargs = {
        **loaded.processor.images_kwargs, "do_pan_and_scan": True, "pan_and_scan_min_crop_size": 20,
    }  # fmt: skip
    return loaded


def processor(**given: Any) -> Any:
    return SimpleNamespace(image_seq_length=4, image_processor=SimpleNamespace(**given), images_kwargs={})


def place(n_tokens: int, sizes: list[tuple[int, int]], **given: Any) -> Any:
    outputs = {"input_ids": np.array([[1, *[IMAGE_TOKEN] * n_tokens, 2]])}
    infos = [ImageInfo(f"{index}.png", width, height, "0") for index, (width, height) in enumerate(sizes)]
    return PanAndScanLayout().layout(CONFIG, processor(**given), outputs, infos)


def test_without_pan_and_scan_the_whole_image_is_one_square() -> None:
    made = place(8, [(400, 100), (50, 60)])
    assert [(grid.area, grid.box) for grid in made.grids] == [
        ("image", (0.0, 0.0, 400.0, 100.0)),
        ("image", (0.0, 0.0, 50.0, 60.0)),
    ]


def test_crops_follow_the_whole_image_and_the_next_image_follows_them() -> None:
    made = place(4 * (1 + 4) + 4, [(401, 100), (50, 55)], pan_and_scan_min_crop_size=30)
    assert [grid.area for grid in made.grids] == ["thumbnail", "tile", "tile", "tile", "tile", "image"]
    assert [grid.box for grid in made.grids_of(0)[1:]] == [
        (0.0, 0.0, 101.0, 100.0), (101.0, 0.0, 202.0, 100.0), (202.0, 0.0, 303.0, 100.0), (303.0, 0.0, 401.0, 100.0),
    ]  # fmt: skip
    assert [grid.first_patch for grid in made.grids] == [0, 4, 8, 12, 16, 0]
    assert made.patch_positions(1).tolist() == [21, 22, 23, 24]


@given(width=st.integers(1, 900), height=st.integers(1, 900), least=st.integers(1, 300), most=st.integers(2, 6))
def test_t05_crops_are_those_the_library_cuts(width: int, height: int, least: int, most: int) -> None:
    library = pytest.importorskip("transformers.models.gemma3.image_processing_pil_gemma3")
    coordinates = np.stack(np.meshgrid(np.arange(width), np.arange(height)))
    crops = library.Gemma3ImageProcessorPil().pan_and_scan(coordinates, least, most, 1.2)
    want = [(*crop[:, 0, 0], *(crop[:, -1, -1] + 1)) for crop in crops]
    assert crop_boxes(width, height, PanAndScan(least, most, 1.2)) == want


def test_settings_come_from_the_processor_then_the_image_processor_then_the_library() -> None:
    assert pan_and_scan_settings(processor()) == PanAndScan(256, 4, 1.2)
    own = processor(pan_and_scan_min_crop_size=10, pan_and_scan_max_num_crops=3)
    assert pan_and_scan_settings(own) == PanAndScan(10, 3, 1.2)
    own.images_kwargs = {"pan_and_scan_min_crop_size": 20, "pan_and_scan_min_ratio_to_activate": 1.5}
    assert pan_and_scan_settings(own) == PanAndScan(20, 3, 1.5)


def test_tokens_that_fit_neither_the_image_nor_its_crops_are_refused() -> None:
    with pytest.raises(
        ModelError, match="the prompt holds 12 image tokens, the images' grids have 4 patches; the proc"
    ):
        place(12, [(60, 50)])


@pytest.mark.parametrize("size", [(330, 130), (90, 301)], ids=["wide", "tall"])
def test_t05_the_crop_that_moves_holds_the_painted_square(gemma3: Any, size: tuple[int, int]) -> None:
    from tests.families.asking import language_model_input

    (image,) = pictures([size])
    before = ask(gemma3, [image])
    areas = [grid.area for grid in before.layout.grids]
    assert areas == ["thumbnail", *["tile"] * len(crop_boxes(*size, FINE))]
    assert len(areas) > 2
    at_rest = language_model_input(gemma3, before)
    side = 12
    for fraction in np.linspace(0, 1, 9):
        left, top = (int(fraction * (length - side)) for length in size)
        painted = image.copy()
        painted.paste((255, 0, 0), (left, top, left + side, top + side))
        now = ask(gemma3, [painted])
        moved = np.linalg.norm(language_model_input(gemma3, now) - at_rest, axis=1)
        boxes, positions = now.layout.patch_boxes(0), now.layout.patch_positions(0)
        inside = (boxes[:, 0] < left + side) & (boxes[:, 2] > left) & (boxes[:, 1] < top + side) & (boxes[:, 3] > top)
        n_whole = now.layout.grids[0].n_patches
        for part in (np.arange(n_whole), np.arange(n_whole, positions.size)):
            assert inside[part[np.argmax(moved[positions[part]])]], (left, top)


def test_the_prompt_of_an_image_that_is_cut_up_says_so(gemma3: Any) -> None:
    prepared = ask(gemma3, [Image.new("RGB", (330, 130))])
    text = "".join(token.piece for token in prepared.tokens if token.role != "image")
    assert "Here is the original image" in text
    assert "".join(token.piece for token in prepared.tokens if token.role == "user") == "What colour is it?"
    assert Path(prepared.layout.images[0].name).name == "0.png"
