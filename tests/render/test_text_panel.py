from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.colormaps import NAMES
from attnviz_video.core.layout import TokenLayout
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.theme import contrast, theme
from tests.render.made import Made, long_scores, make_scores

SETTINGS = RenderSettings(width=1280, height=720)
LOOK = theme("light", 1280, 720)
SHEET = LOOK.color("panel.background")


def _box_color(frame: np.ndarray, box: tuple[int, int, int, int]) -> list[int]:
    """The ground of a box: a row of pixels above all letters, away from the corners."""
    left, top, right, _ = box
    return [int(value) for value in np.median(frame[top + 1, left + 5 : right - 5], axis=0)]


def _colors(painter: FramePainter, number: int) -> dict[int, list[int]]:
    """First position of each visible unit to the colour of its box."""
    frame = painter.frame(number)
    return {unit.first: _box_color(frame, box) for unit, box in painter.unit_boxes(number)}


def _expected(scores: Scores, number: int, position: int) -> list[int]:
    levels = level(scores.frame(number).text[position : position + 1], scores.scale(number), "text")
    ramp = token_heat("red_green", "box", SHEET).ramp(SHEET)
    return [int(value) for value in ramp[round(float(levels[0]) * 255)]]


def test_boxes_take_the_colour_of_their_weight(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(first_shown=28))
    colors = _colors(FramePainter(scores, SETTINGS), 4)
    current = scores.trace.n_prompt + 4
    assert colors[current] == list(LOOK.color("token.current"))
    for position, color in colors.items():
        if position != current:
            assert np.abs(np.array(color) - _expected(scores, 4, position)).max() <= 1, position


def test_the_prompt_is_coloured_too_and_the_future_is_not_shown(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(first_shown=28))
    painter = FramePainter(scores, SETTINGS)
    for number in range(scores.n_frames):
        assert set(_colors(painter, number)) == set(range(28, scores.trace.n_prompt + number + 1))


def test_t10_equal_words_keep_their_own_weights(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = np.zeros(layout.n_prompt + step, dtype=np.float32)
        weights[layout.n_prompt : layout.n_prompt + 1] = 1.0
        return weights if weights.any() else np.full_like(weights, 1 / weights.size)

    scores = make_scores(tmp_path, Made(answer=(" red", " red", " red"), row=row))
    colors = _colors(FramePainter(scores, SETTINGS), 2)
    first, second, _ = (colors[scores.trace.n_prompt + k] for k in range(3))
    assert first[1] > 200
    assert first[0] < 60
    assert second == [255, 140, 140]


def test_t12_the_pieces_of_a_character_are_one_box(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=(" a", "", "", "红", " b")))
    painter = FramePainter(scores, SETTINGS)
    start = scores.trace.n_prompt
    assert [(unit.first - start, unit.stop - start) for unit, _ in painter.unit_boxes(4)] == [(0, 1), (1, 4), (4, 5)]
    # The box is the current one on each of its tokens' frames.
    for number in (1, 2, 3):
        assert _colors(painter, number)[start + 1] == list(LOOK.color("token.current"))


def test_the_bar_grows_with_the_level(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=tuple(f" word{k}" for k in range(12))))
    painter = FramePainter(scores, SETTINGS)
    frame = painter.frame(11)
    bar, longest = LOOK.color("token.bar"), LOOK.px("token.bar")
    weights = scores.frame(11)
    for unit, (left, _, right, bottom) in painter.unit_boxes(11)[:-1]:
        column = frame[bottom : bottom + longest, (left + right) // 2]
        height = int((column == bar).all(axis=1).sum())
        wanted = level(weights.text[unit.first : unit.stop], scores.scale(11), "text").sum() * longest
        assert abs(height - min(wanted, longest)) <= 0.51


def test_t18_the_current_token_is_on_every_frame_of_4096(tmp_path: Path) -> None:
    scores = long_scores(tmp_path, [f" word{k % 97}" for k in range(4096)], every=199)
    painter = FramePainter(scores, SETTINGS)
    blue = np.array(LOOK.color("token.current"))
    for number, step in enumerate(scores.steps):
        unit, box = painter.unit_boxes(number)[-1]
        assert unit.first == scores.trace.n_prompt + step
        _inside(box, painter.plan.text)
        frame = painter.frame(number)
        assert np.abs(np.array(_box_color(frame, box)) - blue).max() == 0
    boxes = [box for _, box in painter.unit_boxes(scores.n_frames - 1)]
    assert all(b[1] >= a[3] or b[0] >= a[2] for a, b in zip(boxes, boxes[1:], strict=False))


def _inside(box: tuple[int, int, int, int], panel: tuple[int, int, int, int]) -> None:
    assert panel[0] <= box[0] < box[2] <= panel[2]
    assert panel[1] <= box[1] < box[3] <= panel[3]


def _flat_row(step: int, layout: TokenLayout) -> np.ndarray:
    keys = layout.n_prompt + step
    return np.full(keys, 1.0 / keys, dtype=np.float32)


def test_reading_leaves_the_last_frame_uncoloured(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    colors = _colors(FramePainter(scores, SETTINGS), scores.n_frames - 1)
    last = scores.trace.n_prompt + scores.n_frames - 1
    assert colors.pop(last) == list(LOOK.color("token.current"))
    assert set(map(tuple, colors.values())) == {LOOK.color("panel.background")}


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_what_is_no_weight_is_hatched(tmp_path: Path, value: float) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = _flat_row(step, layout)
        weights[layout.n_prompt :][:1] = value
        return weights

    scores = make_scores(tmp_path, Made(row=row))
    painter = FramePainter(scores, SETTINGS)
    frame = painter.frame(3)
    left, top, right, bottom = painter.unit_boxes(3)[0][1]
    pixels = frame[top:bottom, left:right].reshape(-1, 3)
    assert (pixels == LOOK.color("nan.stroke")).all(axis=1).mean() > 0.1
    assert (pixels == LOOK.color("nan.ground")).all(axis=1).mean() > 0.2


def test_t08_sinks_keep_their_colour_and_carry_a_mark(tmp_path: Path) -> None:
    def row(step: int, layout: TokenLayout) -> np.ndarray:
        weights = _flat_row(step, layout)
        weights[0] = 4.0
        return weights / weights.sum()

    scores = make_scores(tmp_path, Made(answer=(" a", " b") * 8, row=row, first_shown=0))
    assert [sink.position for sink in scores.sinks] == [0]
    frame = FramePainter(scores, SETTINGS).frame(9)
    without = FramePainter(replace(scores, sinks=()), SETTINGS).frame(9)
    text = FramePainter(scores, SETTINGS).plan.text
    changed = (frame != without).any(axis=2)[text[1] : text[3], text[0] : text[2]]
    assert 0 < changed.sum() < 200
    marked = (frame == LOOK.color("sink.fill")).all(axis=2)[text[1] : text[3], text[0] : text[2]]
    assert marked.sum() > 10


def test_text_style_colours_the_letters(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, replace(SETTINGS, token_style="text"))
    frame = painter.frame(4)
    for unit, box in painter.unit_boxes(4)[:-1]:
        assert _box_color(frame, box) == list(LOOK.color("panel.background"))
        part = level(scores.frame(4).text[unit.first : unit.stop], scores.scale(4), "text")[0]
        left, top, right, bottom = box
        pixels = frame[top:bottom, left:right].reshape(-1, 3)
        ink = token_heat("red_green", "text", SHEET).colors[round(float(part) * 255)]
        assert (pixels == ink).all(axis=1).any()


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_coloured_letters_can_be_read_on_every_sheet(name: str, look: str) -> None:
    sheet = theme(look).color("panel.background")
    heat = token_heat(name, "text", sheet)
    inks = [(int(r), int(g), int(b)) for r, g, b in heat.colors]
    assert min(contrast(ink, sheet) for ink in inks) >= 3.0
    # The legend shows the letters' colours, and they still tell levels apart.
    assert (heat.ramp(sheet) == heat.colors).all()
    assert len(set(inks[::16])) == 16
    assert np.abs(heat.colors[255].astype(int) - heat.colors[0]).max() > 80


def test_coloured_marks_are_not_softened(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=(" a", "\n", " b", " c")))
    painter = FramePainter(scores, replace(SETTINGS, token_style="text"))
    part = level(scores.frame(3).text[scores.trace.n_prompt + 1 :][:1], scores.scale(3), "text")[0]
    left, top, right, bottom = painter.unit_boxes(3)[1][1]
    ink = token_heat("red_green", "text", SHEET).colors[round(float(part) * 255)]
    assert (painter.frame(3)[top:bottom, left:right] == ink).all(axis=2).any()
