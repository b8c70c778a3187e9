"""Laws of the synthetic scenes and of the truth told about them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demo_questions import (
    CHINESE_KINDS,
    COL_NAMES,
    PAIR_KINDS,
    ROW_NAMES,
    SINGLE_KINDS,
    ask_pair,
    ask_single,
    question_generator,
)
from demo_scenes import (
    CELLS_PER_SIDE,
    CHANGES,
    COLORS,
    IMAGE_SIZE,
    SHAPES,
    SPLITS,
    cell_labels,
    layout_split,
    render_scene,
    sample_pair,
    sample_scene,
)
from hypothesis import given, settings
from hypothesis import strategies as st

seeds = st.integers(0, 10**7)
splits = st.sampled_from(SPLITS)


@given(splits, seeds)
def test_objects_stand_inside_the_image_and_inside_their_place(split: str, seed: int) -> None:
    scene = sample_scene(split, seed)
    places = [item.place for item in scene.objects]
    assert 2 <= len(places) <= 5
    assert places == sorted(set(places)), "raster order, at most one object per place"
    for item in scene.objects:
        x0, y0, x1, y1 = item.box
        assert 0 <= x0 < x1 <= IMAGE_SIZE
        assert 0 <= y0 < y1 <= IMAGE_SIZE
        pitch = IMAGE_SIZE / 3
        assert (int((y0 + y1) / 2 // pitch), int((x0 + x1) / 2 // pitch)) == item.place


@given(splits, seeds)
def test_a_layout_belongs_to_one_split_and_a_seed_always_gives_the_same_scene(split: str, seed: int) -> None:
    scene = sample_scene(split, seed)
    assert layout_split(scene.layout()) == split
    assert scene == sample_scene(split, seed)
    assert layout_split(sample_pair(split, seed).before.layout()) == split


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_the_picture_shows_the_color_of_every_object_inside_its_box(seed: int) -> None:
    scene = sample_scene("test", seed)
    picture = render_scene(scene).astype(int)
    assert picture.shape == (IMAGE_SIZE, IMAGE_SIZE, 3)
    for item in scene.objects:
        x0, y0, x1, y1 = item.box
        middle = picture[(y0 + y1) // 2 - 2 : (y0 + y1) // 2 + 3, (x0 + x1) // 2 - 2 : (x0 + x1) // 2 + 3]
        nearest = min(COLORS, key=lambda name: float(np.abs(middle.mean((0, 1)) - COLORS[name]).sum()))
        assert nearest == item.color


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_cell_labels_agree_with_boxes(seed: int) -> None:
    scene = sample_scene("dev", seed)
    labels = cell_labels(scene)
    size = IMAGE_SIZE // CELLS_PER_SIDE
    for row in range(CELLS_PER_SIDE):
        for col in range(CELLS_PER_SIDE):
            owners = [
                o
                for o in scene.objects
                if o.box[0] < (col + 1) * size
                and o.box[2] > col * size
                and o.box[1] < (row + 1) * size
                and o.box[3] > row * size
            ]
            if labels.color[row, col]:
                color, shape = list(COLORS)[labels.color[row, col] - 1], SHAPES[labels.shape[row, col] - 1]
                place = (labels.row[row, col], labels.col[row, col])
                assert (color, shape, *place) in [(o.color, o.shape, o.row, o.col) for o in owners]


FINDING_KINDS = ("what_at", "where", "color_of", "shape_of", "relation")
LINE = re.compile(
    r" (?:At the (?P<row>\w+) )?(?:nothing|(?P<col>left|center|right)(?: an?)?(?: (?P<color>\w+))??"
    r" (?P<shape>object|circle|square|triangle|star)(?:, (?P<after>\w+))?(?: \((?P<number>\d)\))?)"
)


@given(splits, seeds, st.sampled_from(SINGLE_KINDS))
def test_every_line_and_every_box_is_true(split: str, seed: int, kind: str) -> None:
    scene = sample_scene(split, seed)
    question = ask_single(scene, kind, question_generator(split, seed))
    if question is None:
        return
    objects, tally, rows, told = iter(scene.objects), [], [], 0
    for line in question.thinking.split("\n"):
        match = LINE.fullmatch(line)
        assert match is not None, line
        rows += [match["row"]] if match["row"] else []
        if match["col"] is None:
            assert all(ROW_NAMES[o.row] != rows[-1] for o in scene.objects)
            continue
        item, mention, told = next(objects), question.mentions[told], told + 1
        assert (rows[-1], match["col"]) == (ROW_NAMES[item.row], COL_NAMES[item.col]), "raster order, none left out"
        assert (match["color"] or match["after"]) in (item.color, None)
        assert match["shape"] in (item.shape, "object")
        assert (mention.phrase, mention.box) == (f"{item.color} {item.shape}", item.box)
        assert mention.place == f"{rows[-1]} {match['col']}"
        tally += [match["number"]] if match["number"] else []
    assert rows == list(ROW_NAMES[: len(rows)])
    assert told == len(question.mentions)
    if kind not in FINDING_KINDS:
        assert next(objects, None) is None, "the scan goes over the whole picture"
    if kind.startswith("count") or kind == "total":
        assert tally == [str(number + 1) for number in range(len(tally))]
        assert question.answer == str(len(tally))
        asked = question.problem.lower()
        for color in COLORS:
            if kind == "count_color" and f" {color} " in asked:
                assert len(tally) == sum(o.color == color for o in scene.objects)
        for shape in SHAPES:
            if kind == "count_shape" and f" {shape}s" in asked:
                assert len(tally) == sum(o.shape == shape for o in scene.objects)


@given(splits, seeds, st.sampled_from(FINDING_KINDS))
def test_a_search_ends_with_the_object_it_looks_for(split: str, seed: int, kind: str) -> None:
    question = ask_single(sample_scene(split, seed), kind, question_generator(split, seed))
    if question is None:
        return
    asked, last = question.problem, question.mentions[-1]
    color, shape = last.phrase.split()
    assert {
        "what_at": last.place in asked and question.answer == last.phrase,
        "where": last.phrase in asked and question.answer == last.place,
        "color_of": shape in asked and question.answer == color,
        "shape_of": color in asked and question.answer == shape,
        "relation": last.phrase in asked,
    }[kind]
    lines = question.thinking.split("\n")
    assert "object" not in lines[-1]
    if kind in ("where", "color_of", "shape_of"):
        assert all("object" in line or "nothing" in line for line in lines[:-1]), "nothing else fits"


@given(splits, seeds, st.sampled_from(CHANGES))
def test_a_pair_differs_in_exactly_one_object(split: str, seed: int, change: str) -> None:
    pair = sample_pair(split, seed, change)
    before = {(o.color, o.shape, o.place) for o in pair.before.objects}
    after = {(o.color, o.shape, o.place) for o in pair.after.objects}
    assert len(before - after) == 1
    assert len(after - before) == (0 if change == "removed" else 1)
    changed = pair.before.objects[pair.index]
    assert before - after == {(changed.color, changed.shape, changed.place)}
    assert len({(o.color, o.shape) for o in pair.after.objects}) == len(pair.after.objects)


@given(splits, seeds, st.sampled_from(PAIR_KINDS), st.sampled_from(["en", "zh"]))
def test_pair_mentions_lie_in_the_image_they_name(split: str, seed: int, kind: str, language: str) -> None:
    pair = sample_pair(split, seed, "moved" if kind == "moved_to" else kind)
    question = ask_pair(pair, kind, question_generator(split, seed), language)
    boxes = [{o.box for o in pair.before.objects}, {o.box for o in pair.after.objects}]
    assert question.mentions
    for mention in question.mentions:
        assert mention.box in boxes[mention.image]
    changed = pair.before.objects[pair.index]
    named = question.mentions[-1 if kind == "removed" else -2]
    assert named.box == changed.box, "the scan stops at the change"
    answer = question.mentions[-1].place if kind == "moved_to" else named.phrase
    assert question.answer == answer


@pytest.mark.parametrize("kind", CHINESE_KINDS)
def test_chinese_questions_are_chinese(kind: str) -> None:
    if kind in PAIR_KINDS:
        change = "moved" if kind == "moved_to" else kind
        text = ask_pair(sample_pair("dev", 3, change), kind, question_generator("dev", 3), "zh")
    else:
        found = (ask_single(sample_scene("dev", s), kind, question_generator("dev", s), "zh") for s in range(20))
        text = next(question for question in found if question is not None)
    assert not re.search("[A-Za-z]", text.problem + text.thinking + text.answer)
