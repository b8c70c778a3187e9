from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.sample import TruthBox
from attnviz_video.render.brush import canvas
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.image_boxes import MOST_BOXES, answer_boxes, on_picture, tag_place, truth_boxes
from attnviz_video.render.keys import key_names, paint_keys, told_keys
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import theme
from tests.render.made import Made, make_trace

SETTINGS = RenderSettings(width=1280, height=720, boxes="both")
LOOK = theme("light", 1280, 720)
#: The box is complete with the token "800)".
ANSWER = (" A", " box", " (500,", "250),(", "900,", "800)", " .")
TRUTH = (TruthBox("red disc", 0, (20.0, 20.0, 120.0, 100.0)), TruthBox("again", 0, (20.0, 20.0, 120.0, 100.0)))


def painter_of(folder: Path, boxes: str = "both", answer: tuple[str, ...] = ANSWER) -> FramePainter:
    trace = make_trace(folder, Made(answer=answer, image_sizes=((320, 200), (100, 100)), grids=((4, 6), (2, 2))))
    sample = replace(trace.header.sample, boxes=(*TRUTH, TruthBox("elsewhere", 5, (0.0, 0.0, 1.0, 1.0))))
    trace = replace(trace, header=replace(trace.header, sample=sample))
    return FramePainter(score(trace, 0, AnalysisSettings()), replace(SETTINGS, boxes=boxes))  # type: ignore[arg-type]


def count(painter: FramePainter, number: int, name: str, image: int = 0) -> int:
    left, top, right, bottom = painter.images.views[image].box
    return int((painter.frame(number)[top:bottom, left:right] == LOOK.color(name)).all(axis=2).sum())


def test_truth_boxes_stand_on_every_frame_and_once(tmp_path: Path) -> None:
    painter = painter_of(tmp_path, "truth")
    counts = {count(painter, number, "box.truth") for number in range(painter.n_frames)}
    assert len(counts) == 1
    assert counts.pop() > 500
    assert count(painter, 0, "box.truth", 1) == 0
    assert count(painter, 6, "box.answer") == 0
    trace = painter._scores.trace
    assert [box.label for box in truth_boxes(trace)] == ["red disc"]


def test_an_answer_box_appears_when_its_text_is_complete(tmp_path: Path) -> None:
    painter = painter_of(tmp_path, "answer")
    seen = [count(painter, number, "box.answer") > 0 for number in range(painter.n_frames)]
    assert seen == [False, False, False, False, False, True, True]
    assert count(painter, 6, "box.truth") == 0
    # Frames do not depend on the order in which they are painted.
    assert count(painter, 2, "box.answer") == 0


def test_an_answer_box_lies_where_it_is_written(tmp_path: Path) -> None:
    painter = painter_of(tmp_path, "answer")
    left, top, right, bottom = painter.images.views[0].box
    changed = (painter.frame(6) != painter_of(tmp_path, "none").frame(6)).any(axis=2)
    rows, columns = np.nonzero(changed[top:bottom, left:right])
    width, height = right - left, bottom - top
    assert columns.min() == pytest.approx(0.5 * width, abs=1)
    assert columns.max() == pytest.approx(0.9 * width, abs=2)
    assert rows.max() == pytest.approx(0.8 * height, abs=2)
    # Its number stands above it.
    assert rows.min() == pytest.approx(0.25 * height - painter.images._captions[0]._letters.face.height, abs=1)


def test_no_boxes_are_drawn_unless_asked_for(tmp_path: Path) -> None:
    painter = painter_of(tmp_path, "none")
    assert RenderSettings().boxes == "none"
    assert count(painter, 6, "box.truth") == count(painter, 6, "box.answer") == 0


def test_dozens_of_boxes_in_an_answer_are_numbered_up_to_a_limit(tmp_path: Path) -> None:
    painter = painter_of(tmp_path, "both", ("(1,1),(900,900) ",) * 60)
    found = answer_boxes(painter._scores.trace)
    assert [box.label for box in found] == [str(number + 1) for number in range(MOST_BOXES)]
    assert count(painter, 59, "box.answer") > count(painter, 0, "box.answer") > 0


def test_boxes_are_cut_off_at_the_border(tmp_path: Path) -> None:
    view = painter_of(tmp_path).images.views[0]
    height, width = view.pixels.shape[:2]
    assert on_picture((-1e30, -5.0, 1e30, 1e9), view) == (0, 0, width, height)
    assert on_picture((400.0, 0.0, 500.0, 10.0), view) is None
    assert on_picture((319.99, 199.99, 500.0, 900.0), view) == (width - 1, height - 1, width, height)


def test_labels_do_not_cover_each_other() -> None:
    face = Typeface(16)
    taken: list[tuple[int, int, int, int]] = []
    places = []
    for _ in range(8):
        place = tag_place("label", (50, 50, 150, 150), (300, 300), taken, LOOK, face)
        if place is not None:
            taken.append(place)
        places.append(place)
    assert [place is None for place in places] == [False] * 4 + [True] * 4
    for number, one in enumerate(taken):
        for other in taken[number + 1 :]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_the_keys_tell_which_box_is_which(tmp_path: Path) -> None:
    scores = painter_of(tmp_path)._scores
    assert key_names(scores) == ("current token", "peak patch")
    assert key_names(scores, "truth") == ("current token", "peak patch", "ground truth")
    assert key_names(scores, "both")[-2:] == ("ground truth", "box in the answer")
    without = painter_of(tmp_path, answer=(" No", " box"))._scores
    assert "box in the answer" not in key_names(without, "both")
    assert told_keys(scores, theme("talk"), "both") == ("ground truth", "box in the answer")


@pytest.mark.parametrize(("name", "color"), [("ground truth", "box.truth"), ("box in the answer", "box.answer")])
def test_a_key_has_the_colour_of_its_boxes(name: str, color: str) -> None:
    frame = canvas(600, 40, LOOK.color("frame.background"))
    paint_keys(frame, (name,), (0, 5, 600, 30), Faces(LOOK).small, LOOK)
    assert (frame == LOOK.color(color)).all(axis=2).sum() > 10
