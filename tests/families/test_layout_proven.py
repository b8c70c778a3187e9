"""The layout of every family proven through the model itself (docs/traps.md, T5 and T9).

A small square is painted into the original image; of all inputs of the language model, the image token that moves
most must be one whose rectangle the square touches. Nothing here knows how a processor resizes, crops, pads or cuts,
or in which order the vision tower writes its features.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video.core.layout import TokenLayout
from attnviz_video.testing.families.table import TinyFamily
from tests.families.asking import TALL, WIDE, ask, language_model_input, pictures

PROBES = 5
#: How many of the 25 squares must be seen: all but a few in strips that some processors cut off.
ENOUGH = 20
#: Side of the square in pixels of the original image.
SIDE = 16
#: How far a resized pixel reaches beyond its own place, in pixels of the original image.
REACH = 16
#: Below this, an input of the language model has not moved.
STILL = 1e-4


@pytest.mark.claim("layout proven")
def test_t05_t09_the_token_that_moves_lies_under_the_painted_square(family: TinyFamily, family_model: Any) -> None:
    if not family.max_images or not family.has_rule:
        pytest.skip("takes no images, or has no rule to prove")
    for sizes in cases_of(family):
        images = pictures(sizes)
        before = ask(family_model, images)
        at_rest = language_model_input(family_model, before)
        for number, image in enumerate(images):
            seen = 0
            for corner in corners(before.layout, number):
                painted = [*images[:number], with_square(image, corner), *images[number + 1 :]]
                now = ask(family_model, painted)
                moved = np.linalg.norm(language_model_input(family_model, now) - at_rest, axis=1)
                seen += check_probe(now.layout, moved, number, corner)
            assert seen >= ENOUGH, (sizes, number)


def cases_of(family: TinyFamily) -> list[list[tuple[int, int]]]:
    """Sizes of the pictures of each question: two of different aspect, together and where it may matter alone."""
    alone = [[WIDE], [TALL]]
    if family.max_images < 2:
        return alone
    return [[WIDE, TALL], *alone] if family.differs_alone else [[WIDE, TALL]]


def corners(layout: TokenLayout, image: int) -> list[tuple[int, int]]:
    """Left and top of the squares: spread over the image and, where less of it is seen, over that part as well."""
    info, boxes = layout.images[image], layout.patch_boxes(image)
    whole = (0, 0, info.width, info.height)
    seen = (*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist())
    smaller = seen[2] - seen[0] < 0.8 * info.width or seen[3] - seen[1] < 0.8 * info.height
    return [*spread(whole), *(spread(seen) if smaller else ())]


def spread(box: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Squares in `PROBES` rows and columns, the first and last at the edges of `box`."""
    left, top, right, bottom = box
    for row in range(PROBES):
        for column in range(PROBES):
            yield (
                left + (right - left - SIDE) * column // (PROBES - 1),
                top + (bottom - top - SIDE) * row // (PROBES - 1),
            )


def with_square(image: Image.Image, corner: tuple[int, int]) -> Image.Image:
    painted = image.copy()
    painted.paste((255, 0, 0), (*corner, corner[0] + SIDE, corner[1] + SIDE))
    return painted


def check_probe(layout: TokenLayout, moved: np.ndarray, image: int, corner: tuple[int, int]) -> int:
    """Check one square in every area of the image; 1 if it was seen in any."""
    assert float(moved[layout.image_of != image].max()) < STILL, "text and other images must not move"
    boxes, positions = layout.patch_boxes(image), layout.patch_positions(image)
    seen = 0
    for area in sorted({grid.area for grid in layout.grids_of(image)}):
        own = np.concatenate(
            [
                np.arange(grid.first_patch, grid.first_patch + grid.n_patches)
                for grid in layout.grids_of(image)
                if grid.area == area
            ]
        )
        moves = moved[positions[own]]
        if touches(boxes[own], corner, 0).any():
            peak = own[int(np.argmax(moves))]
            assert touches(boxes[[peak]], corner, 0).all(), (area, corner, boxes[peak].tolist())
            seen += 1
        elif not touches(boxes[own], corner, REACH).any():
            assert float(moves.max()) < STILL, f"{area}: a square at {corner} lies outside and is seen"
    if seen:
        assert layout.patch_of[int(np.argmax(moved))] >= 0, "what moves most must have a rectangle"
    return int(seen > 0)


def touches(boxes: np.ndarray, corner: tuple[int, int], reach: int) -> np.ndarray:
    """Which boxes (left, top, right, bottom), widened by `reach`, the square at `corner` overlaps."""
    left, top = corner[0] - reach, corner[1] - reach
    right, bottom = corner[0] + SIDE + reach, corner[1] + SIDE + reach
    return (boxes[:, 0] < right) & (boxes[:, 2] > left) & (boxes[:, 1] < bottom) & (boxes[:, 3] > top)


@pytest.mark.claim("layout proven")
def test_t09_tokens_of_the_first_image_come_before_those_of_the_second(family: TinyFamily, family_model: Any) -> None:
    if family.max_images < 2 or not family.has_rule:
        pytest.skip("takes one image at most, or has no rule")
    layout = ask(family_model, pictures([WIDE, TALL])).layout
    assert layout.patch_positions(0).max() < layout.patch_positions(1).min()
    assert [info.name for info in layout.images] == ["0.png", "1.png"]
