"""The fallback for unknown families: plausible, and marked as guessed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.guessed import GuessedLayout, likely_grid, tokens_per_image

CONFIG = SimpleNamespace(model_type="new_vl", image_token_id=9)


def _image(width: int, height: int) -> ImageInfo:
    return ImageInfo("a.png", width, height, "0")


@given(count=st.integers(1, 2000), aspect=st.floats(0.1, 10.0))
def test_a_guessed_grid_has_every_patch(count: int, aspect: float) -> None:
    rows, columns = likely_grid(count, aspect)
    assert rows * columns == count


def test_squares_are_square_and_others_follow_the_aspect() -> None:
    assert likely_grid(64, 3.0) == (8, 8)
    assert likely_grid(12, 3.0) == (2, 6)
    assert likely_grid(12, 1 / 3) == (6, 2)
    assert likely_grid(7, 1.0) in ((1, 7), (7, 1))


def test_one_run_of_tokens_per_image() -> None:
    assert tokens_per_image(np.array([1, 2, 3, 6, 7]), 2) == [3, 2]
    assert tokens_per_image(np.array([1, 2, 3, 6, 7, 8]), 1) == [6]
    assert tokens_per_image(np.array([1, 2, 3, 4]), 2) == [2, 2]
    assert tokens_per_image(np.array([], dtype=np.int64), 0) == []


def test_tokens_that_cannot_be_dealt_out_raise() -> None:
    with pytest.raises(ModelError, match="5 image tokens in 1 runs cannot be dealt out to 2 images; this model family"):
        tokens_per_image(np.arange(5), 2)
    with pytest.raises(ModelError, match="0 image tokens in 0 runs cannot be dealt out to 1 images"):
        tokens_per_image(np.array([], dtype=np.int64), 1)


def test_the_layout_is_marked_as_guessed() -> None:
    outputs = {"input_ids": np.array([[1, 9, 9, 9, 9, 9, 9, 2]])}
    layout = GuessedLayout().layout(CONFIG, None, outputs, [_image(90, 60)])
    assert layout.guessed
    assert (layout.grids[0].rows, layout.grids[0].columns) == (2, 3)
    assert layout.image_of.tolist() == [-1, 0, 0, 0, 0, 0, 0, -1]
