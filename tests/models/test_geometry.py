"""The layout proven through the model itself (FAMILIES §3, TRAPS T5 and T9).

A small square is painted into the original image; of all inputs of the language model, the image token that moves
most must be the one whose rectangle the square lies in. Nothing here knows how the processor resizes or in which
order the vision tower writes its features.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.models.prompt import prepare
from tests.fixtures_checkpoints import FAMILIES

#: (width, height), none of them square, so that swaps cannot hide.
CASES = {"wide": [(330, 130)], "tall": [(120, 410)], "two": [(330, 130), (150, 260)]}
PROBES = 5


class _ReachedError(Exception):
    """Raised at the language model's input, since nothing after it is needed."""


def _pictures(sizes: list[tuple[int, int]]) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [
        Image.fromarray(random.integers(110, 145, (height, width, 3), dtype=np.uint8).astype(np.uint8))
        for width, height in sizes
    ]


def _prepare(loaded: Any, images: list[Image.Image]) -> Prepared:
    sample = Sample(0, "probe", "What?", tuple(Path(f"{index}.png") for index in range(len(images))))
    return prepare(loaded, sample, images, "{problem}")


def _embeddings(loaded: Any, prepared: Prepared) -> np.ndarray:
    """Input of the language model, [positions, hidden]."""
    caught: list[torch.Tensor] = []

    def catch(module: Any, args: Any, kwargs: Any) -> None:
        caught.append(kwargs["inputs_embeds"])
        raise _ReachedError

    hook = loaded.model.model.language_model.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.no_grad(), pytest.raises(_ReachedError):
            loaded.model(**prepared.inputs)
    finally:
        hook.remove()
    return caught[0][0].float().numpy()


def _squares(size: tuple[int, int], side: int) -> Iterator[tuple[int, int]]:
    """Left and top of probe squares spread over the image, corners included."""
    width, height = size
    for row in range(PROBES):
        for column in range(PROBES):
            yield (width - side) * column // (PROBES - 1), (height - side) * row // (PROBES - 1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("case", CASES)
def test_t05_t09_the_token_that_moves_lies_under_the_painted_square(tiny_model: Any, family: str, case: str) -> None:
    loaded = tiny_model(family)
    images = _pictures(CASES[case])
    before = _prepare(loaded, images)
    at_rest = _embeddings(loaded, before)
    for index, image in enumerate(images):
        for left, top in _squares(image.size, side=16):
            painted = image.copy()
            painted.paste((255, 0, 0), (left, top, left + 16, top + 16))
            now = _prepare(loaded, [painted if number == index else other for number, other in enumerate(images)])
            moved = np.linalg.norm(_embeddings(loaded, now) - at_rest, axis=1)
            _check_probe(now, moved, index, (left, top))


def _check_probe(prepared: Prepared, moved: np.ndarray, image: int, corner: tuple[int, int]) -> None:
    layout = prepared.layout
    peak = int(np.argmax(moved))
    assert layout.image_of[peak] == image
    others = layout.image_of != image
    assert float(moved[others].max()) < 1e-4, "text and other images must not move"
    grid = layout.grids_of(image)[0]
    left, top, right, bottom = grid.patch_box(int(layout.patch_of[peak]))
    assert left < corner[0] + 16, (corner, (left, top, right, bottom))
    assert right > corner[0], (corner, (left, top, right, bottom))
    assert top < corner[1] + 16, (corner, (left, top, right, bottom))
    assert bottom > corner[1], (corner, (left, top, right, bottom))


@pytest.mark.parametrize("family", FAMILIES)
def test_t09_two_images_have_grids_of_their_own_shape(tiny_model: Any, family: str) -> None:
    layout = _prepare(tiny_model(family), _pictures(CASES["two"])).layout
    assert layout.grids[0].columns > layout.grids[0].rows
    assert layout.grids[1].rows > layout.grids[1].columns
    first, second = layout.patch_positions(0), layout.patch_positions(1)
    assert first.max() < second.min()
    assert [image.name for image in layout.images] == ["0.png", "1.png"]
