from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.render.brush import canvas
from attnviz_video.render.text_layout import TextLayout, layout_text
from attnviz_video.render.text_structure import TextStructure
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme
from tests.render.test_text_layout import _reasoned

LOOK = theme("light", 1280, 720)
BOX, AREA = (0, 0, 640, 420), (17, 17, 600, 403)
ANSWER = ["<think>", "\n", "\n", *[" word"] * 30, "</think>", "\n", "<answer>", " 3", "</answer>"]


@pytest.fixture
def layout(tmp_path: Path) -> TextLayout:
    return layout_text(_reasoned(tmp_path, ANSWER), AREA[2] - AREA[0], AREA[3] - AREA[1], LOOK)


def _paint(layout: TextLayout, current: int, page: int = 0) -> np.ndarray:
    frame = canvas(640, 420, (255, 255, 255))
    TextStructure(layout, BOX, AREA, LOOK, Faces(LOOK).small).paint(frame, page, current)
    return frame


def _rows(frame: np.ndarray, name: str) -> np.ndarray:
    """Pixel rows whose gutter has the colour `name`."""
    gutter = frame[:, : AREA[0]]
    return np.flatnonzero((gutter == LOOK.color(name)).all(axis=2).any(axis=1))


def test_the_gutter_runs_along_a_section_as_far_as_it_is_written(layout: TextLayout) -> None:
    pitch, outline = layout.metrics.pitch, layout.metrics.outline
    line = int(layout.last_lines[10])
    rows = _rows(_paint(layout, 10), "gutter.think")
    # The section's own line has none; empty lines in it have.
    assert rows[0] == AREA[1] + pitch + outline
    assert rows[-1] == AREA[1] + (line + 1) * pitch - outline - 1
    assert (np.diff(rows) == 1).all()
    assert not _rows(_paint(layout, 10), "gutter.answer").size
    last = len(layout.units) - 1
    whole = _paint(layout, last)
    assert _rows(whole, "gutter.think")[-1] < _rows(whole, "gutter.answer")[0]
    assert _rows(whole, "gutter.answer")[-1] == AREA[1] + (int(layout.last_lines[last]) + 1) * pitch - outline - 1


def test_the_line_above_a_section_comes_with_its_first_token(layout: TextLayout) -> None:
    separator = layout.separators[1]
    assert separator.section.label == "answer"
    strip = slice(
        AREA[1] + separator.line * layout.metrics.pitch, AREA[1] + (separator.line + 1) * layout.metrics.pitch
    )
    before, after = (_paint(layout, separator.section.unit - back) for back in (1, 0))
    assert (before[strip, AREA[0] :] == 255).all()
    inked = (after[strip, AREA[0] : AREA[2]] != 255).any(axis=2)
    assert inked.any(axis=0)[-50:].all()
    assert inked[:, :40].sum() > 60


def test_plain_answers_have_neither(tmp_path: Path) -> None:
    layout = layout_text(_reasoned(tmp_path, [" red"] * 9), 500, 300, LOOK)
    assert (_paint(layout, 8) == 255).all()


def test_only_further_pages_have_carried_lines(tmp_path: Path) -> None:
    layout = layout_text(_reasoned(tmp_path, [" word"] * 900), AREA[2] - AREA[0], AREA[3] - AREA[1], LOOK)
    first = int(np.searchsorted(layout.last_lines, layout.first_line(1) + layout.carried))
    assert (_paint(layout, 0) == 255).all()
    shaded = (_paint(layout, first, page=1) == LOOK.color("panel.carried")).all(axis=2)
    bottom = AREA[1] + layout.carried * layout.metrics.pitch
    assert shaded[LOOK.px("panel.border") : bottom - 1, LOOK.px("panel.border")].all()
    assert not shaded[bottom:].any()
