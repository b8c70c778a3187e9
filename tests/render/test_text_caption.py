from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.shares import RowShares
from attnviz_video.core.scores import Sink
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.text_caption import caption_wordings, row_name
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

SHARES = RowShares(0.25, 0.5, np.array([0.25], np.float32))


def test_the_split_of_the_row_in_words() -> None:
    assert caption_wordings(SHARES, "row", hides=True, n_sinks=0) == (
        "text shown: 25.0 % of the row  ·  hidden text: 50.0 %",
        "text shown 25.0 % · hidden 50.0 %",
        "shown 25.0 % · hidden 50.0 %",
    )
    assert caption_wordings(SHARES, "mean row", hides=True, n_sinks=2) == (
        "text shown: 25.0 % of the mean row  ·  hidden text: 50.0 %, 2 sinks in it",
        "text shown 25.0 % · hidden 50.0 % (2 sinks)",
        "shown 25.0 % · hidden 50.0 %",
    )
    assert caption_wordings(SHARES, "row", hides=True, n_sinks=1)[1] == "text shown 25.0 % · hidden 50.0 % (1 sink)"
    assert caption_wordings(SHARES, "row", hides=False, n_sinks=0) == ("text: 25.0 % of the row", "text 25.0 %")
    nothing = RowShares(float("nan"), float("nan"), np.array([np.nan], np.float32))
    assert caption_wordings(nothing, "row", hides=True, n_sinks=1) == ("no row",)


def test_shares_of_a_maximum_are_called_those_of_the_mean(tmp_path: Path) -> None:
    assert row_name(make_scores(tmp_path, Made(analysis=AnalysisSettings(head="max")))) == "mean row"
    assert row_name(make_scores(tmp_path, Made(analysis=AnalysisSettings(head="1")))) == "row"


@pytest.mark.parametrize("size", [(480, 270), (854, 480), (1920, 1080)])
def test_it_stands_below_the_text_on_every_frame_and_is_not_cut(tmp_path: Path, size: tuple[int, int]) -> None:
    painter = FramePainter(make_scores(tmp_path, Made()), RenderSettings(width=size[0], height=size[1]))
    left, top, right, bottom = painter.plan.text_caption
    assert painter.plan.text[3] < top < bottom < painter.plan.text_legend[1]
    words = caption_wordings(RowShares(0.25, 0.5, np.zeros(1, np.float32)), "row", hides=True, n_sinks=2)
    assert Faces(theme("light", *size)).small.width(words[1]) <= right - left
    lines = [painter.frame(number)[top:bottom, left:right] for number in range(painter.n_frames)]
    assert all((line == theme("light").color("ink")).all(axis=2).any() for line in lines)
    assert not np.array_equal(lines[0], lines[-1])


def test_hidden_sinks_are_told(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    settings = RenderSettings(width=1280, height=720)
    without, shown, at_image = (
        FramePainter(replace(scores, sinks=sinks), settings)
        for sinks in ((), (Sink(0, 0.5),), (Sink(5, 0.5, image=0, patch=2),))
    )
    left, top, right, bottom = shown.plan.text_caption
    bare, told, other = (painter.frame(2)[top:bottom, left:right] for painter in (without, shown, at_image))
    assert not np.array_equal(bare, told)
    assert np.array_equal(bare, other)
