from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.checks import RowReport
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.scores import Sink
from attnviz_video.render.brush import canvas
from attnviz_video.render.keys import key_names, paint_keys, told_keys
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

LOOK = theme("light", 1280, 720)
ALL = ("current token", "peak patch", "attention sink", "no value")


def test_hatching_has_a_key_only_where_there_is_any(tmp_path: Path) -> None:
    scores = replace(make_scores(tmp_path, Made()), sinks=(Sink(0, 0.5),))
    assert key_names(scores) == ALL[:3]
    for kind in ("nan", "infinite", "negative"):
        assert key_names(replace(scores, report=RowReport(6, **{kind: 1}))) == ALL
    masked = AnalysisSettings(sinks="mask")
    assert key_names(replace(scores, settings=masked)) == ALL
    assert key_names(replace(scores, settings=masked, sinks=())) == ALL[:2]
    assert key_names(make_scores(tmp_path, Made(image_sizes=(), grids=()))) == ALL[:1]


def test_a_theme_without_small_print_tells_only_what_is_not_understood(tmp_path: Path) -> None:
    scores = replace(make_scores(tmp_path, Made()), sinks=(Sink(0, 0.5),), report=RowReport(6, nan=1))
    assert told_keys(scores, LOOK) == key_names(scores) == ALL
    assert told_keys(scores, theme("talk")) == ALL[2:]


@pytest.mark.parametrize("at_left", [False, True])
@pytest.mark.parametrize("n_fitting", [0, 1, 2, 3, 4])
def test_keys_without_room_are_left_out_and_none_is_cut(n_fitting: int, at_left: bool) -> None:
    face, fitting = Faces(LOOK).small, ALL[len(ALL) - n_fitting :]
    gaps = max(0, n_fitting - 1) * LOOK.px("frame.gap")
    room = sum(face.width(name) + face.height for name in fitting) + gaps
    frame = canvas(1280, 40, (1, 2, 3))
    start = paint_keys(frame, ALL, (1200 - room, 5, 1200, 30), face, LOOK, at_left=at_left)
    assert start == (1200 - room - LOOK.px("frame.gap") if n_fitting else 1200)
    painted = np.flatnonzero((frame != (1, 2, 3)).any(axis=(0, 2)))
    assert painted.size == 0 or painted.min() >= 1200 - room
    hatched = (frame == LOOK.color("nan.stroke")).all(axis=2).any()
    assert hatched == (n_fitting > 0)
    assert (frame == LOOK.color("token.current")).all(axis=2).any() == (n_fitting == 4)
