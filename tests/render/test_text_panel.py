from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.scores import Scores, showing
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.colormaps import NAMES
from attnviz_video.core.layout import TokenLayout
from attnviz_video.models.segments import segments_of
from attnviz_video.render.brush import canvas
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import token_heat
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.text_panel import TextPanel
from attnviz_video.render.typefaces import Faces
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


def _long(tmp_path: Path, count: int) -> Scores:
    return long_scores(tmp_path, [f" word{k % 97}" for k in range(count)])


@settings(max_examples=30)
@given(st.lists(st.sampled_from([" red", "dish", ".", "\n", "\n\n", "红色", "<think>", " x" * 40, "\u0301", ""]),
                min_size=1, max_size=80), st.integers(0, 79))  # fmt: skip
def test_t18_the_current_token_is_visible_and_on_top(texts: list[str], step: int) -> None:
    """Whatever the text: every frame has its blue box, in the panel, and no two boxes share a pixel."""
    answer = [*texts, " end"]
    step = min(step, len(texts))
    look, size = theme("light", 640, 360), (10, 10, 310, 210)
    with tempfile.TemporaryDirectory() as folder:
        scores = long_scores(Path(folder), answer)
    panel = TextPanel(scores, size, replace(SETTINGS, fonts="bundled"), look, Faces(look))
    frame = canvas(640, 360, look.color("frame.background"))
    panel.paint(frame, scores.frame(step), scores.scale(step))
    boxes = panel.visible_boxes(step)
    position = scores.trace.n_prompt + step
    current = [box for unit, box in boxes if unit.first <= position < unit.stop]
    assert current
    for left, top, right, bottom in current:
        _inside((left, top, right, bottom), size)
        assert (frame[top + 1, (left + right) // 2] == look.color("token.current")).all()
    covered = np.zeros(frame.shape[:2], dtype=int)
    for _, (left, top, right, bottom) in boxes:
        covered[top:bottom, left:right] += 1
    assert covered.max() == 1


def test_frames_do_not_depend_on_the_order_of_painting(tmp_path: Path) -> None:
    scores = _long(tmp_path, 400)
    forward = FramePainter(scores, SETTINGS)
    numbers = [0, 120, 399, 60, 121]
    expected = {number: forward.frame(number) for number in sorted(numbers)}
    painter = FramePainter(scores, SETTINGS)
    for number in numbers:
        assert np.array_equal(painter.frame(number), expected[number]), number


def test_few_pages_are_kept_however_long_the_answer(tmp_path: Path) -> None:
    painter = FramePainter(_long(tmp_path, 700), SETTINGS)
    for number in range(0, 700, 50):
        painter.frame(number)
    assert painter._text.layout.n_pages > 4
    assert len(painter._text._pages) <= 2


def test_tags_and_sections_are_visible(tmp_path: Path) -> None:
    answer = ("<think>", " red", "</think>", "<answer>", " one", "</answer>")
    scores = make_scores(tmp_path, Made(answer=answer))
    tokens = scores.trace.tokens
    segments = segments_of(answer)
    told = (replace(token, segment=part) for token, part in zip(tokens[-len(answer) :], segments, strict=True))
    trace = replace(scores.trace, tokens=(*tokens[: -len(answer)], *told))
    painter = FramePainter(replace(scores, trace=trace), SETTINGS)
    text = painter.plan.text

    def has(frame: np.ndarray, name: str) -> bool:
        part = frame[text[1] : text[3], text[0] : text[2]]
        return bool((part == LOOK.color(name)).all(axis=2).sum() > 20)

    assert has(painter.frame(1), "gutter.think")
    assert not has(painter.frame(1), "gutter.answer")
    assert has(painter.frame(5), "gutter.answer")
    left, top, right, _ = painter.unit_boxes(5)[0][1]
    assert (painter.frame(5)[top, (left + right) // 2] == LOOK.color("gutter.think")).all()
    plain = FramePainter(scores, SETTINGS).frame(5)
    assert not has(plain, "gutter.think")


def test_lines_of_the_page_before_are_marked(tmp_path: Path) -> None:
    painter = FramePainter(_long(tmp_path, 400), SETTINGS)
    layout = painter._text.layout
    number = next(k for k in range(400) if painter._text.page_of_unit(k) == 1)
    before, after = painter.frame(number - 1), painter.frame(number)
    left, top = painter.plan.text[0] + LOOK.px("panel.border"), painter.plan.text[1] + LOOK.px("panel.padding")
    column = after[top : painter.plan.text[3] - 4, left]
    shaded = (column == LOOK.color("panel.carried")).all(axis=1).sum()
    assert abs(int(shaded) - layout.carried * layout.metrics.pitch) <= 2
    assert not (before[top : painter.plan.text[3] - 4, left] == LOOK.color("panel.carried")).all(axis=1).any()


@pytest.mark.parametrize("style", ["box", "text"])
def test_what_stands_for_an_image_has_no_weight(tmp_path: Path, style: str) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), replace(SETTINGS, show_prompt="full", token_style=style))
    frame = painter.frame(3)
    ((_, box),) = [(unit, box) for unit, box in painter.unit_boxes(3) if unit.image == 0]
    assert _box_color(frame, box) == list(LOOK.color("chip"))
    assert not (frame[box[1] : box[3], box[0] : box[2]] == LOOK.color("nan.stroke")).all(axis=2).any()
    bar = frame[box[3] : box[3] + LOOK.px("token.bar"), box[0] + 4 : box[2] - 4]
    assert not (bar == LOOK.color("token.bar")).all(axis=2).any()


def test_the_whole_prompt_is_coloured_by_the_sum_of_what_is_collapsed(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    painter = FramePainter(scores, replace(SETTINGS, show_prompt="full"))
    whole = showing(scores, "full")
    weights, scale = whole.frame(3), whole.scale(3)
    for unit, box in painter.unit_boxes(3)[:-1]:
        if unit.image < 0:
            (part,) = level(np.array([weights.text[unit.first : unit.stop].sum()]), scale, "text")
            ramp = token_heat("red_green", "box", SHEET).ramp(SHEET)
            assert np.abs(np.array(_box_color(painter.frame(3), box)) - ramp[round(float(part) * 255)]).max() <= 1
