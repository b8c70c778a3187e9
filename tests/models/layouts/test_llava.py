"""LLaVA-1.5: what the crop leaves of an image, in its own pixels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.llava import LlavaLayout, seen_box

CROP = {"shortest_edge": 336}
SQUARE = {"height": 384, "width": 384}


def cutter(size: dict[str, int], **more: Any) -> SimpleNamespace:
    return SimpleNamespace(size=size, do_resize=True, **more)


@pytest.mark.parametrize(
    ("size", "box"),
    [
        # 672 x 336 after the resize: 168 pixels, half of them in the original, are cut off on both sides.
        ((1344, 672), (336.0, 0.0, 1008.0, 672.0)),
        ((500, 1000), (0.0, 250.0, 500.0, 750.0)),
        ((40, 40), (0.0, 0.0, 40.0, 40.0)),
    ],
)
def test_t05_margins_of_a_centre_crop_are_not_seen(size: tuple[int, int], box: tuple[float, ...]) -> None:
    info = ImageInfo("a.png", *size, "0")
    assert seen_box(info, cutter(CROP), (336, 336), (336, 336)) == pytest.approx(box)


def test_padding_to_a_square_reaches_beyond_the_image() -> None:
    box = seen_box(ImageInfo("a.png", 400, 100, "0"), cutter(CROP, do_pad=True), (336, 336), (336, 336))
    assert box == pytest.approx((0.0, -150.0, 400.0, 250.0))


def test_a_squashed_square_loses_what_no_whole_patch_covers() -> None:
    box = seen_box(ImageInfo("a.png", 768, 384, "0"), cutter(SQUARE), (384, 384), (378, 378))
    assert box == pytest.approx((0.0, 0.0, 756.0, 378.0))


def test_a_picture_smaller_than_the_crop_is_padded() -> None:
    info = ImageInfo("a.png", 300, 301, "0")
    plain = SimpleNamespace(size=CROP, do_resize=False)
    assert seen_box(info, plain, (336, 336), (336, 336)) == pytest.approx((-18.0, -18.0, 318.0, 318.0))


def layout_of(n_tokens: int, strategy: str = "default", additional: int = 1, pictures: int = 1) -> TokenLayout:
    processor = SimpleNamespace(
        patch_size=28,
        vision_feature_select_strategy=strategy,
        num_additional_image_tokens=additional,
        image_processor=cutter({"shortest_edge": 84}),
    )
    outputs = {"input_ids": np.full((1, n_tokens), 9), "pixel_values": np.zeros((pictures, 3, 84, 84))}
    config = SimpleNamespace(model_type="llava", image_token_id=9)
    return LlavaLayout().layout(config, processor, outputs, [ImageInfo("a.png", 84, 84, "0")])


def test_a_class_token_that_is_kept_stands_for_no_rectangle() -> None:
    assert layout_of(9).patch_of.tolist() == list(range(9))
    kept = layout_of(10, strategy="full")
    assert kept.patch_of.tolist() == [-1, *range(9)]
    assert kept.image_of.tolist() == [0] * 10
    assert layout_of(9, strategy="full", additional=0).patch_of.tolist() == list(range(9))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="the processor returned 2 pictures for 1 images"):
        layout_of(18, pictures=2)
    with pytest.raises(ModelError, match="the first patch of every image is dropped by this checkpoint"):
        layout_of(8, additional=0)
