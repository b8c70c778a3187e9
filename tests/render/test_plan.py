from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.core.layout import PixelBox
from attnviz_video.errors import UsageError
from attnviz_video.render.plan import Arrangement, FrameContent, FramePlan, arrangement, even_size, plan_frame
from attnviz_video.render.settings import SIZES, RenderSettings
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme

CONTENT = FrameContent(((640, 480),), title="What is it?", curves=2, lane=True)
LONG = "How many of the objects that stand to the left of the red circle are of the same colour as the star? " * 4


def boxes_of(plan: FramePlan) -> dict[str, PixelBox]:
    """The parts of a frame that are painted; the keys stand within the status line unless they have their own."""
    boxes = {field.name: getattr(plan, field.name) for field in fields(plan)}
    if plan.keys == plan.status:
        del boxes["keys"]
    return {name: box for name, box in boxes.items() if len(box) == 4 and box[0] < box[2] and box[1] < box[3]}


def planned(size: tuple[int, int], content: FrameContent = CONTENT, how: Any = None, name: str = "light") -> FramePlan:
    look = theme(name, *size)
    return plan_frame(size, look, Faces(look), content, how or arrangement("auto", size))


@pytest.mark.parametrize(("asked", "size"), [((1920, 1080), (1920, 1080)), ((641, 361), (642, 362))])
def test_t20_odd_sizes_are_padded_to_even_ones(asked: tuple[int, int], size: tuple[int, int]) -> None:
    assert even_size(RenderSettings(width=asked[0], height=asked[1])) == size


@pytest.mark.parametrize("asked", [(200, 100), (1920, 200), (300, 1080), (0, 0), (-5, -5)])
def test_too_small_frames_are_refused_with_the_minimum(asked: tuple[int, int]) -> None:
    message = f"frames of {asked[0]}x{asked[1]} pixels are too small to read; give --width 480 and --height 270"
    with pytest.raises(UsageError, match=message):
        even_size(RenderSettings(width=asked[0], height=asked[1]))


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (1920, 1080)),
        ({"size": "720p"}, (1280, 720)),
        ({"size": "4k"}, (3840, 2160)),
        ({"size": "vertical"}, (1080, 1920)),
        ({"layout": "vertical"}, (1080, 1920)),
        ({"layout": "vertical", "size": "1080p"}, (1920, 1080)),
        ({"layout": "stacked"}, (1920, 1080)),
        ({"size": "720p", "width": 900}, (900, 720)),
        ({"height": 720}, (1920, 720)),
    ],
)
def test_sizes_have_names_and_numbers_go_first(given: dict[str, Any], size: tuple[int, int]) -> None:
    assert even_size(RenderSettings(**given)) == size


def test_every_named_size_is_even_and_can_be_asked_for() -> None:
    named, _ = get_args(get_type_hints(RenderSettings)["size"])
    assert set(get_args(named)) == set(SIZES)
    assert all(width % 2 == height % 2 == 0 for width, height in SIZES.values())


def test_tall_frames_are_not_side_by_side() -> None:
    assert arrangement("auto", (1920, 1080)) == "side"
    assert arrangement("auto", (1080, 1080)) == "side"
    assert arrangement("auto", (1080, 1920)) == "vertical"
    assert arrangement("side", (1080, 1920)) == "side"


@given(
    st.integers(240, 1920),
    st.integers(135, 1920),
    st.lists(st.tuples(st.integers(20, 4000), st.integers(20, 4000)), max_size=8),
    st.sampled_from(["", "What?", LONG]),
    st.sampled_from(["", LONG]),
    st.sampled_from(get_args(Arrangement)),
    st.sampled_from(["light", "talk", "paper"]),
    st.integers(0, 2),
    st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_parts_are_on_the_frame_and_apart(
    half_width: int,
    half_height: int,
    sizes: list[tuple[int, int]],
    title: str,
    caption: str,
    how: Arrangement,
    name: str,
    curves: int,
    lane: bool,
) -> None:
    size = (2 * half_width, 2 * half_height)
    content = FrameContent(tuple(sizes), title, caption, curves, lane)
    plan = planned(size, content, how, name)
    boxes = boxes_of(plan)
    wanted = {"text", "text_caption", "text_legend", "status", "footer"} | (
        {"images", "image_legend"} if sizes else set()
    )
    wanted |= {"title"} if title else set()
    wanted |= {"caption"} if caption else set()
    assert wanted <= boxes.keys()
    assert ("strip" in boxes) != ("progress" in boxes)
    placed = list(boxes.values())
    for number, (left, top, right, bottom) in enumerate(placed):
        assert left >= 0
        assert top >= 0
        assert right <= size[0]
        assert bottom <= size[1]
        for other in placed[number + 1 :]:
            assert other[0] >= right or other[2] <= left or other[1] >= bottom or other[3] <= top


def test_without_images_the_text_takes_the_frame() -> None:
    for size in ((1920, 1080), (1080, 1920)):
        plan = planned(size, FrameContent(title="What?", curves=1))
        assert (plan.text[0], plan.text[2]) == (36, size[0] - 36)
        assert not {"images", "image_legend"} & boxes_of(plan).keys()


def test_images_beside_the_text_take_what_they_can_use() -> None:
    wide, square, tall = (
        planned((1920, 1080), replace(CONTENT, image_sizes=(size,))) for size in ((4, 1), (1, 1), (1, 4))
    )
    widths = [plan.images[2] - plan.images[0] for plan in (wide, square, tall)]
    assert widths[0] == pytest.approx(0.48 * (1920 - 2 * 36), abs=20)
    assert widths[0] > widths[1] > widths[2] - 1
    assert widths[2] == pytest.approx(620, abs=1)
    assert square.images[2] - square.images[0] == pytest.approx(square.images[3] - square.images[1] - 70, abs=12)
    for plan in (wide, square, tall):
        assert plan.text[2] + 28 == plan.images[0]
        assert plan.images[2] == 1920 - 36


@pytest.mark.parametrize("how", ["stacked", "vertical"])
def test_images_stand_above_the_text_and_take_what_they_can_use(how: Arrangement) -> None:
    for size in ((1920, 1080), (1080, 1920)):
        flat, high = (planned(size, replace(CONTENT, image_sizes=(image,)), how) for image in ((8, 1), (1, 1)))
        for plan in (flat, high):
            assert plan.images[3] < plan.text[1]
            assert (plan.images[0], plan.images[2]) == (plan.text[0], plan.text[2]) == (36, size[0] - 36)
        heights = [plan.images[3] - plan.images[1] for plan in (flat, high)]
        assert heights[0] < heights[1]
        assert plan.text[3] - plan.text[1] > 0.15 * size[1]


def test_legends_stand_below_their_panels() -> None:
    for how in get_args(Arrangement):
        plan = planned((1080, 1920), how=how)
        assert plan.text_legend[1] > plan.text_caption[3] - 1
        assert plan.image_legend[1] > plan.images[3] - 1
    assert planned((1080, 1920), how="vertical").image_legend[3] < planned((1080, 1920), how="vertical").text[1]


def test_a_low_frame_loses_second_lines_then_its_strip() -> None:
    content = replace(CONTENT, title=LONG, caption=LONG)
    full, low, lowest = (
        planned((1920, 1080), content), planned((560, 314), content), planned((480, 270), content, name="talk")
    )  # fmt: skip
    assert [(len(plan.title_lines), len(plan.caption_lines)) for plan in (full, low, lowest)] == [
        (2, 2),
        (1, 1),
        (1, 1),
    ]
    assert low.title_lines[0].endswith("…")
    assert ["strip" in boxes_of(plan) for plan in (full, low, lowest)] == [True, True, False]
    assert "progress" in boxes_of(lowest)


def test_a_tall_frame_has_lines_of_its_own_for_keys_and_footer() -> None:
    look = theme("light", 1080, 1920)
    small = Faces(look).small.height
    plan, without = planned((1080, 1920)), planned((1080, 1920), replace(CONTENT, keys=False))
    assert plan.footer[3] - plan.footer[1] == 2 * small
    assert plan.status[3] < plan.keys[1] < plan.keys[3] < plan.footer[1]
    assert "keys" not in boxes_of(without)
    assert without.text[3] - without.text[1] > plan.text[3] - plan.text[1]
    wide = planned((1920, 1080))
    assert wide.keys == wide.status
    assert wide.footer[3] - wide.footer[1] == small


def test_planning_scales_with_the_frame() -> None:
    """Four times the pixels, the same picture: no part moves by more than the rounding of type."""
    for how in get_args(Arrangement):
        one, two = boxes_of(planned((1920, 1080), how=how)), boxes_of(planned((3840, 2160), how=how))
        assert one.keys() == two.keys()
        for name, box in one.items():
            assert max(abs(2 * a - b) for a, b in zip(box, two[name], strict=True)) <= 24, name
