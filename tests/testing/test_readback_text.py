from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import level
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.colormaps import NAMES
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback_text import text_levels_from_bars, text_levels_from_boxes
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

ANSWER = (" Wide", " words", " MWMWMW", " i", ".", " and", " Größe", "，", "红色", " <tag>", " done", "!")
SETTINGS = RenderSettings(width=1280, height=720)
NUMBER = 11


def wanted(scores, painter: FramePainter) -> np.ndarray:  # type: ignore[no-untyped-def]
    weights = scores.frame(NUMBER).text
    sums = [weights[unit.first : unit.stop].sum() for unit, _ in painter.unit_boxes(NUMBER)]
    return level(np.array(sums, dtype=np.float32), scores.scale(NUMBER), "text")


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("colormap", NAMES)
def test_boxes_give_back_the_weights_of_their_tokens(tmp_path: Path, colormap: str, look: str) -> None:
    """Exactly to one step of the colours on a painted frame; the current token is blue and shows no weight."""
    scores = make_scores(tmp_path, Made(answer=ANSWER))
    settings = replace(SETTINGS, colormap=colormap, theme=look)  # type: ignore[arg-type]
    painter = FramePainter(scores, settings)
    found = text_levels_from_boxes(painter, settings, painter.frame(NUMBER), NUMBER)
    assert np.isnan(found[-1])
    assert len(found) == len(ANSWER)
    assert np.abs(found - wanted(scores, painter))[:-1].max() <= 0.015


def test_bars_give_back_the_weights_as_far_as_their_pixels_go(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=ANSWER))
    painter = FramePainter(scores, SETTINGS)
    found = text_levels_from_bars(painter, SETTINGS, painter.frame(NUMBER), NUMBER)
    half_a_pixel = 0.5 / theme("light", 1280, 720).px("token.bar")
    assert np.abs(found - wanted(scores, painter))[:-1].max() <= half_a_pixel + 0.01


def test_a_frame_without_a_row_shows_no_weights(tmp_path: Path) -> None:
    """`reading`: the last token has no row; boxes are bare and bars have no height."""
    scores = make_scores(tmp_path, Made(answer=ANSWER, analysis=AnalysisSettings(convention="reading")))
    painter = FramePainter(scores, SETTINGS)
    frame = painter.frame(NUMBER)
    assert np.isnan(text_levels_from_boxes(painter, SETTINGS, frame, NUMBER)).all()
    assert text_levels_from_bars(painter, SETTINGS, frame, NUMBER)[:-1].max() < 1e-9


def test_boxes_that_are_swapped_are_found_out(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=ANSWER))
    painter = FramePainter(scores, SETTINGS)
    frame, boxes = painter.frame(NUMBER), [box for _, box in painter.unit_boxes(NUMBER)]
    truth = wanted(scores, painter)
    low, high = int(np.nanargmin(truth[:-1])), int(np.nanargmax(truth[:-1]))
    (x0, y0, x1, y1), (u0, v0, u1, v1) = boxes[low], boxes[high]
    width, height = min(x1 - x0, u1 - u0), min(y1 - y0, v1 - v0)
    frame[y0 : y0 + height, x0 : x0 + width] = frame[v0 : v0 + height, u0 : u0 + width].copy()
    frame[y0:y1, x0 + width : x1] = frame[v0 + 3, u0 + width // 2]
    assert abs(text_levels_from_boxes(painter, SETTINGS, frame, NUMBER)[low] - truth[low]) > 0.3
