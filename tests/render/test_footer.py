from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from attnviz_video.analysis.scores import Scores
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.render.footer import fitting_words, footer_lines, footer_words, short_model_id
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
            "layer 0 of 0–0  ·  attention, mean of 2 heads  ·  row that produced the blue token  ·  sinks included",
        ),
        (
            AnalysisSettings(head="1", convention="reading", sinks="mask"),
            "layer 0 of 0–0  ·  attention, head 1  ·  row of the blue token itself  ·  sinks left out",
        ),
        (
            AnalysisSettings(head="max", sinks="relative"),
            "layer 0 of 0–0  ·  attention, maximum of 2 heads (rows do not sum to 1)  ·  "
            "row that produced the blue token  ·  over the mean",
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


def test_the_models_name_is_shortened_before_the_words_and_goes_last(tmp_path: Path) -> None:
    scores, face = _of_a_real_model(tmp_path, AnalysisSettings()), Typeface(10)
    long = "  ·  ".join(footer_words(scores))
    short = "layer 79  ·  mean of heads  ·  row that produced the blue token  ·  sinks included"
    full = face.width(f"Qwen/Qwen2-VL-72B-Instruct  ·  {long}")
    assert fitting_words(scores, full - 8, face) == f"…/Qwen2-VL-72B-Instruct  ·  {long}"
    assert fitting_words(scores, face.width(long) + 20, face) == f"Qwen/Qwen2-VL-72B-Instruct  ·  {short}"
    assert fitting_words(scores, face.width(f"{short} · …/Qwen2-VL-72B-Instruct") + 20, face).endswith(short)
    assert fitting_words(scores, face.width(short) + 20, face) == " · ".join(short.split("  ·  "))


@pytest.mark.parametrize("theme_name", ["light", "talk"])
@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1080, 1920), (854, 480), (2560, 1080)])
def test_nothing_is_cut_with_a_long_model_name(tmp_path: Path, size: tuple[int, int], theme_name: str) -> None:
    scores = _of_a_real_model(tmp_path, AnalysisSettings(head="max", sinks="relative"))
    model = replace(scores.trace.header.model, id="checkpoints/Reason-RFT-Qwen2-VL-72B-Instruct-sehr-langer-Name")
    scores = replace(scores, trace=replace(scores.trace, header=replace(scores.trace.header, model=model)))
    look = theme(theme_name, *size)
    face, room = Faces(look).small, size[0] - 2 * look.px("frame.margin")
    lines = footer_lines(scores, room, face) if size[1] > size[0] else ()
    for words in lines or (fitting_words(scores, room, face),):
        assert face.width(words) <= room
        assert not words.endswith("…")
    said = "  ".join(lines or (fitting_words(scores, room, face),))
    for word in ("layer 79", "max", footer_words(scores)[2], "over the mean"):
        assert word in said


def test_a_tall_frame_takes_two_lines_where_one_does_not_hold_all(tmp_path: Path) -> None:
    scores, face = _of_a_real_model(tmp_path, AnalysisSettings()), Typeface(24)
    first, second = footer_lines(scores, 1008, face)
    assert first.endswith("layer 79 of 0–79 (window 32768)  ·  attention, mean of 64 heads")
    assert second == "row that produced the blue token  ·  sinks included"
    assert footer_lines(scores, 4000, face) == ()
    assert footer_lines(scores, 100, face) == ()


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
