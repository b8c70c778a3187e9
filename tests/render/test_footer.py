from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.step import Candidate, StepInfo
from attnviz_video.render.footer import footer_words, probability_words, quoted, short_model_id
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Typeface
from tests.render.made import Made, make_scores


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            AnalysisSettings(),
            "layer 0 of 0–0  ·  mean of 2 heads  ·  row that produced the blue token  ·  sinks included",
        ),
        (
            AnalysisSettings(head="1", convention="reading", sinks="mask"),
            "layer 0 of 0–0  ·  head 1  ·  row of the blue token itself  ·  sinks left out",
        ),
        (
            AnalysisSettings(head="max", sinks="relative"),
            "layer 0 of 0–0  ·  maximum of 2 heads  ·  row that produced the blue token  ·  over the mean",
        ),
    ],
)
def test_t02_the_footer_says_what_is_shown(tmp_path: Path, settings: AnalysisSettings, words: str) -> None:
    assert footer_words(make_scores(tmp_path, Made(analysis=settings))) == words


def test_a_windowed_layer_is_marked(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    model = replace(scores.trace.header.model, layer_kinds=("window 4096",))
    trace = replace(scores.trace, header=replace(scores.trace.header, model=model))
    assert footer_words(replace(scores, trace=trace)).startswith("layer 0 of 0–0 (window 4096)  ·  ")


def test_probabilities() -> None:
    listed = [(" red", 0.9), (" ", 0.05), ("\n", 0.01), ("x", 0.0)]
    best = tuple(Candidate(number, piece, probability) for number, (piece, probability) in enumerate(listed))
    info = StepInfo(0, 0, math.log(0.9), best, 1.0)
    assert probability_words(info) == ("p = 90.0 %", "likeliest: “red” 90.0 %   “␣” 5.0 %   “\n” 1.0 %")
    assert probability_words(replace(info, candidates=())) == ("p = 90.0 %",)


def test_pieces_are_quoted_and_short() -> None:
    assert quoted("<|im_end|>") == "“‹im_end›”"
    assert quoted("<answer>") == "“<answer>”"
    assert quoted("x" * 40) == f"“{'x' * 15}…”"


def test_model_names_are_shortened_from_the_left() -> None:
    face = Typeface(24)
    model = "/data/checkpoints/reason-rft/Qwen2-VL-2B-stage2"
    assert short_model_id(model, 2000, face) == model
    assert short_model_id(model, 400, face) == "…/Qwen2-VL-2B-stage2"
    assert short_model_id("x" * 99, 300, face).startswith("…xxx")


def test_a_guessed_layout_is_marked(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    guessed = replace(scores, trace=replace(scores.trace, layout=replace(scores.trace.layout, guessed=True)))
    settings = RenderSettings(width=1280, height=720)
    one, other = FramePainter(scores, settings), FramePainter(guessed, settings)
    left, top, right, bottom = one.plan.footer
    changed = (one.frame(1) != other.frame(1)).any(axis=2)
    assert changed[top:bottom, (left + right) // 2 : right].any()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_no_row_is_said_on_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    painter = FramePainter(scores, RenderSettings(width=1280, height=720))
    left, top, right, bottom = painter.plan.status
    notice = np.array((164, 82, 0))
    shown = [(painter.frame(n)[top:bottom, left:right] == notice).all(axis=2).any() for n in range(scores.n_frames)]
    assert shown == [False] * (scores.n_frames - 1) + [True]
