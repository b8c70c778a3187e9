from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.step import Candidate, StepInfo
from attnviz_video.render.brush import write
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.status import candidate_words, probability_words, quoted
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores

LOOK = theme("light")


def test_missing_probabilities_are_said_to_be() -> None:
    info = StepInfo(0, 0, math.nan, (Candidate(1, "x", 0.5),), math.nan)
    assert probability_words(info) == ("probabilities not recorded",)
    assert candidate_words(info) == ()


def test_probabilities() -> None:
    listed = [(" red", 0.9), (" ", 0.05), ("\n", 0.01), ("x", 0.0)]
    best = tuple(Candidate(number, piece, probability) for number, (piece, probability) in enumerate(listed))
    info = StepInfo(0, 0, math.log(0.9), best, 1.0)
    assert probability_words(info) == ("p = 90.0 %", "likeliest: “red” 90.0 %   “␣” 5.0 %   “\n” 1.0 %")
    assert candidate_words(info) == ("“red” 90.0 %", "“␣” 5.0 %", "“\n” 1.0 %")
    assert probability_words(replace(info, candidates=())) == ("p = 90.0 %",)


def test_a_tiny_probability_is_less_than_not_equal_to_less_than() -> None:
    assert probability_words(StepInfo(0, 0, math.log(1e-5), (), 1.0)) == ("p < 0.1 %",)


def test_pieces_are_quoted_and_short() -> None:
    assert quoted("<|im_end|>") == "“‹im_end›”"
    assert quoted("<answer>") == "“<answer>”"
    assert quoted("x" * 40) == f"“{'x' * 15}…”"


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
@pytest.mark.parametrize("size", [(480, 270), (1280, 720), (1080, 1920)])
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


def test_no_row_is_said_on_the_frame(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    painter = FramePainter(scores, RenderSettings(width=1280, height=720))
    left, top, right, bottom = painter.plan.status
    notice = np.array(LOOK.color("notice"))
    shown = [(painter.frame(n)[top:bottom, left:right] == notice).all(axis=2).any() for n in range(scores.n_frames)]
    assert shown == [False] * (scores.n_frames - 1) + [True]


@pytest.mark.parametrize("width", [700, 900, 1280])
def test_candidates_without_room_are_left_out_whole(tmp_path: Path, width: int) -> None:
    """Long pieces neither reach the keys nor leave half a word."""
    scores = make_scores(tmp_path, Made())
    best = tuple(Candidate(number, " Donaudampfschiff", 0.3) for number in range(3))
    infos = tuple(replace(info, candidates=best) for info in scores.trace.steps)
    many = replace(scores, trace=replace(scores.trace, steps=infos))
    none = replace(
        scores, trace=replace(scores.trace, steps=tuple(replace(info, candidates=()) for info in scores.trace.steps))
    )
    settings = RenderSettings(width=width, height=394)
    one, other = FramePainter(many, settings), FramePainter(none, settings)
    left, top, right, bottom = one.plan.status
    first, second = (painter.frame(0)[top:bottom, left:right] for painter in (one, other))
    face = Faces(theme("light", width, 394)).small
    columns = np.flatnonzero((first != second).any(axis=(0, 2)))
    listed = candidate_words(infos[0])
    lengths = [0] + [face.width("  ·  likeliest: ") + face.width("   ".join(listed[: count + 1])) for count in range(3)]
    taken = 0 if columns.size == 0 else int(columns[-1] - columns[0]) + 1
    assert min(abs(taken - length) for length in lengths) <= 12
    # The keys at the right end are untouched.
    keys = face.width("current token") + face.width("peak patch") + 2 * face.height
    assert np.array_equal(first[:, -keys:], second[:, -keys:])


def test_talk_has_no_candidates(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    bare = replace(
        scores, trace=replace(scores.trace, steps=tuple(replace(info, candidates=()) for info in scores.trace.steps))
    )
    settings = RenderSettings(theme="talk")
    assert np.array_equal(FramePainter(scores, settings).frame(0), FramePainter(bare, settings).frame(0))
