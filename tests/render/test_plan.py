from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.errors import UsageError
from attnviz_video.render.plan import even_size, plan_frame
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme


@pytest.mark.parametrize(("asked", "size"), [((1920, 1080), (1920, 1080)), ((641, 361), (642, 362))])
def test_t20_odd_sizes_are_padded_to_even_ones(asked: tuple[int, int], size: tuple[int, int]) -> None:
    assert even_size(RenderSettings(width=asked[0], height=asked[1])) == size


@pytest.mark.parametrize("asked", [(200, 100), (1920, 200), (300, 1080), (0, 0), (-5, -5)])
def test_too_small_frames_are_refused_with_the_minimum(asked: tuple[int, int]) -> None:
    message = f"frames of {asked[0]}x{asked[1]} pixels are too small to read; give --width 480 and --height 270"
    with pytest.raises(UsageError, match=message):
        even_size(RenderSettings(width=asked[0], height=asked[1]))


@given(st.integers(240, 1920), st.integers(135, 1080), st.integers(0, 8), st.booleans())
def test_parts_are_on_the_frame_and_apart(half_width: int, half_height: int, n_images: int, title: bool) -> None:
    width, height = 2 * half_width, 2 * half_height
    look = theme("light", width, height)
    plan = plan_frame((width, height), look, Faces(look), n_images=n_images, title=title)
    boxes = [box for box in astuple(plan) if box[0] < box[2] and box[1] < box[3]]
    assert len(boxes) >= (8 if n_images else 6) - (not title)
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
        for other in boxes[number + 1 :]:
            assert other[0] >= right or other[2] <= left or other[1] >= bottom or other[3] <= top


def test_without_images_the_text_takes_the_frame() -> None:
    look = theme("light")
    plan = plan_frame((1920, 1080), look, Faces(look), n_images=0, title=True)
    assert (plan.text[0], plan.text[2]) == (36, 1920 - 36)


def test_text_takes_about_52_percent() -> None:
    look = theme("light")
    plan = plan_frame((1920, 1080), look, Faces(look), n_images=1, title=True)
    assert plan.text[2] - plan.text[0] == pytest.approx(0.52 * (1920 - 2 * 36), abs=20)
