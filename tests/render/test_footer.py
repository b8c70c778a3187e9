from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.step import Candidate, StepInfo
from attnviz_video.render.brush import write
from attnviz_video.render.footer import fitting_words, footer_words, probability_words, quoted, short_model_id
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

LOOK = theme("light")


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
    assert "  ·  ".join(footer_words(make_scores(tmp_path, Made(analysis=settings)))) == words


def test_a_windowed_layer_is_marked(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    model = replace(scores.trace.header.model, layer_kinds=("window 4096",))
    trace = replace(scores.trace, header=replace(scores.trace.header, model=model))
    assert footer_words(replace(scores, trace=trace))[0] == "layer 0 of 0–0 (window 4096)"


def test_missing_probabilities_are_said_to_be() -> None:
    assert probability_words(StepInfo(0, 0, math.nan, (), math.nan)) == ("probabilities not recorded",)


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


def _of_a_real_model(folder: Path, settings: AnalysisSettings) -> Scores:
    scores = make_scores(folder, Made(analysis=settings))
    model = replace(
        scores.trace.header.model, id="Qwen/Qwen2-VL-72B-Instruct", n_layers=80, n_heads=64,
        layer_kinds=("window 32768",) * 80,
    )  # fmt: skip
    trace = replace(scores.trace, header=replace(scores.trace.header, model=model))
    return replace(scores, trace=trace, layer=79)


@pytest.mark.parametrize("sinks", ["raw", "mask", "relative"])
@pytest.mark.parametrize("convention", ["predicting", "reading"])
@pytest.mark.parametrize("head", ["mean", "max", "1"])
def test_t02_the_convention_is_never_cut(tmp_path: Path, head: str, convention: str, sinks: str) -> None:
    settings = AnalysisSettings(head=head, convention=convention, sinks=sinks)  # type: ignore[arg-type]
    scores = _of_a_real_model(tmp_path, settings)
    face, (width, height) = Typeface(theme("light", 480, 270).px("small.text")), (480, 270)
    room = width - 2 * theme("light", width, height).px("frame.margin") - face.width("layout guessed  ")
    for pixels in (2000, room + face.width("layout guessed  "), room):
        words = fitting_words(scores, pixels, face)
        assert face.width(words) <= pixels
        assert footer_words(scores)[2] in words
        assert footer_words(scores)[3] in words
        assert "layer 79" in words
    assert fitting_words(scores, 2000, face).startswith("Qwen/Qwen2-VL-72B-Instruct  ·  layer 79 of 0–79")
    least = face.width(footer_words(scores)[2])
    assert fitting_words(scores, least, face).startswith(footer_words(scores)[2])


def test_the_models_name_is_the_first_to_go(tmp_path: Path) -> None:
    scores, face = _of_a_real_model(tmp_path, AnalysisSettings()), Typeface(10)
    long = "  ·  ".join(footer_words(scores))
    full = face.width(f"Qwen/Qwen2-VL-72B-Instruct  ·  {long}")
    assert fitting_words(scores, full - 8, face) == f"…/Qwen2-VL-72B-Instruct  ·  {long}"
    assert fitting_words(scores, face.width(long) + 20, face) == long
    assert fitting_words(scores, face.width(long) - 1, face) == " · ".join(footer_words(scores))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "running"}, "recording incomplete"),
        ({"status": "failed"}, "recording incomplete"),
        ({"generation": {"retokenised": False}}, "replay"),
        ({"generation": {"retokenised": True}}, "replay, re-tokenised"),
        ({"generation": {}}, "replay"),
    ],
)
@pytest.mark.parametrize("size", [(480, 270), (1280, 720)])
def test_what_a_recording_is_not_is_said_on_every_frame(
    tmp_path: Path, change: dict[str, Any], words: str, size: tuple[int, int]
) -> None:
    """Not at its end, or not of an answer that was generated for it."""
    scores = make_scores(tmp_path, Made())
    settings = RenderSettings(width=size[0], height=size[1])
    header = replace(scores.trace.header, kind="replay", **change) if "generation" in change else scores.trace.header
    trace = replace(scores.trace, header=header, status=change.get("status", "complete"))
    whole, partial = FramePainter(scores, settings), FramePainter(replace(scores, trace=trace), settings)
    face = Faces(theme("light", *size)).small
    left, top, _, bottom = whole.plan.status
    start = left + face.width(f"step 1/{scores.n_frames}  ·  ")
    said = np.zeros((bottom - top, face.width(words), 3), np.uint8)
    write(said, 0, 0, words, face, (255, 255, 255))
    wanted = said[:, :, 0] == 255
    for number in range(scores.n_frames):
        part = partial.frame(number)[top:bottom, start : start + wanted.shape[1]]
        assert ((part == LOOK.color("notice")).all(axis=2) == wanted).all()
        assert not (whole.frame(number)[top:bottom, left:] == LOOK.color("notice")).all(axis=2).any()


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
