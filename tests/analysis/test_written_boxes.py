from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.written_boxes import placed_boxes, written_boxes
from attnviz_video.testing.planted import planted_layout

LAYOUT = planted_layout([(200, 100), (50, 400)], [(2, 4), (4, 1)])


@pytest.mark.parametrize(
    ("text", "box", "unit"),
    [
        ("(10,20),(30,40)", (10, 20, 30, 40), "thousandths"),
        ("at ( 10 , 20 ) , ( 30.5 , 40 )!", (10, 20, 30.5, 40), "thousandths"),
        ("<|box_start|>(10,20),(30,40)<|box_end|>", (10, 20, 30, 40), "thousandths"),
        ("(30,40),(10,20)", (10, 20, 30, 40), "thousandths"),
        ("(30,20)(10,40)", (10, 20, 30, 40), "thousandths"),
        ('{"bbox_2d": [10, 20, 1300, 40], "label": "dog"}', (10, 20, 1300, 40), "pixels"),
        ("{'bbox_2d':[1300,40,10,20]}", (10, 20, 1300, 40), "pixels"),
    ],
)
def test_boxes_are_found(text: str, box: tuple[float, ...], unit: str) -> None:
    (found,) = written_boxes(text)
    assert (found.box, found.unit) == (box, unit)
    assert text[: found.stop][-1] in ")]"


@pytest.mark.parametrize(
    "text",
    [
        "", "(10,20)", "(10,20),(30,)", "(10,20),(10,40)", "(5,5),(5,5)", "(10,20),(30,1001)",
        "(99999999999999999999,1),(2,3)", '"bbox_2d": [1, 2, 3]', '"bbox_2d": [9999999999, 2, 3, 4]', "(-1,-2),(3,4)",
        "(１,２),(３,４)", "(1e9,2),(3,4)", "[10, 20, 30, 40]",
    ],
)  # fmt: skip
def test_what_is_no_box_is_left_alone(text: str) -> None:
    assert written_boxes(text) == ()


def test_boxes_come_in_the_order_they_are_written() -> None:
    text = '"bbox_2d": [1,2,3,4] (5,6),(7,8) "bbox_2d": [9,9,10,10]'
    assert [box.box[0] for box in written_boxes(text)] == [1, 5, 9]


def test_the_image_mentioned_last_is_meant() -> None:
    text = "(1,1),(2,2) Picture 2: (1,1),(3,3) and in image 1 (1,1),(4,4) image 7 (1,1),(5,5)"
    found = written_boxes(text)
    assert [box.mentioned for box in found] == [None, 2, 1, 7]
    assert [box.image for box in placed_boxes(found, LAYOUT, "qwen2_vl")] == [0, 1, 0, 0]


@given(st.text(alphabet="(),[]0123456789. \n\"'bbox_2d:", max_size=200))
def test_any_text_is_read(text: str) -> None:
    for box in written_boxes(text):
        assert 0 < box.stop <= len(text)
        assert box.box[0] < box.box[2]
        assert box.box[1] < box.box[3]


@pytest.mark.parametrize(
    "part",
    ["(1,2),(3,4) ", "(", "(1,", "(" + " " * 8, "(1,2)", "(111111.111111 ", '"bbox_2d": [', " ", "image 1 ", "image "],
)
def test_long_texts_take_time_in_proportion(part: str) -> None:
    def seconds(length: int) -> float:
        text = part * (length // len(part))
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            written_boxes(text)
            best = min(best, time.process_time() - start)
        return best

    seconds(1000)
    # Eight times the length; time in proportion to its square would be 64 times as long.
    assert seconds(80_000) < 24 * max(seconds(10_000), 0.0005)


def test_thousands_of_boxes_are_found() -> None:
    assert len(written_boxes("(1,2),(3,4) " * 5000)) == 5000


@pytest.mark.parametrize(
    ("model", "text", "box"),
    [
        # Two rows of four columns: the model was given 112 x 56 pixels.
        ("qwen2_5_vl", '"bbox_2d": [28, 28, 56, 56]', (50, 50, 100, 100)),
        ("qwen3_vl", '"bbox_2d": [250, 500, 500, 1000]', (50, 50, 100, 100)),
        ("other", '"bbox_2d": [50, 50, 100, 100]', (50, 50, 100, 100)),
        ("qwen2_5_vl", "(250,500),(500,1000)", (50, 50, 100, 100)),
        ("other", '"bbox_2d": [50, 50, 900000, 900000]', (50, 50, 200, 100)),
    ],
)
def test_units_follow_the_family(model: str, text: str, box: tuple[float, ...]) -> None:
    (placed,) = placed_boxes(written_boxes(text), LAYOUT, model)
    assert placed.box == pytest.approx(box)


def test_boxes_outside_of_their_image_are_left_out() -> None:
    assert placed_boxes(written_boxes('"bbox_2d": [500, 500, 900, 900]'), LAYOUT, "other") == ()
    none = replace(LAYOUT, images=(), grids=(), image_of=LAYOUT.image_of[:2], patch_of=LAYOUT.patch_of[:2])
    assert placed_boxes(written_boxes("(1,2),(3,4)"), none, "other") == ()
