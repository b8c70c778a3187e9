from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import SMALLEST_TOP
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.scores import ColorScale
from attnviz_video.render.brush import canvas, write
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.heat import image_heat
from attnviz_video.render.legend import Legend, fitting_legend_words, legend_words, number_places, ramp_numbers
from attnviz_video.render.settings import RenderSettings
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import theme
from tests.render.made import Made, make_scores


def test_numbers_are_absolute_weights() -> None:
    scale = ColorScale(0.034, 0.5, image_clipped=True)
    assert ramp_numbers(scale, "text") == ("0", "0.017", "0.034")
    assert ramp_numbers(scale, "image") == ("0", "0.25", "≥ 0.50")


def test_a_scale_without_weights_says_so_instead_of_numbers(tmp_path: Path) -> None:
    nothing = ColorScale(SMALLEST_TOP, 0.5)
    assert ramp_numbers(nothing, "text") == ("no weight", "", "")
    assert ramp_numbers(nothing, "image") == ("0", "0.25", "0.50")
    assert ramp_numbers(ColorScale(SMALLEST_TOP, 0.5, text_clipped=True), "text")[2] == "≥ 6.0e-08"
    look = theme("light")
    legend = Legend("text", image_heat("red_green", "weight"), AnalysisSettings(), (0, 0, 900, 80), look, Faces(look))
    frame, wanted = (canvas(900, 80, look.color("frame.background")) for _ in range(2))
    legend.paint(frame, nothing)
    write(wanted, 0, legend._numbers_top(), "no weight", Faces(look).small, look.color("ink"))
    assert np.array_equal(frame, wanted)


def test_a_smoothed_overlay_is_said_to_be(tmp_path: Path) -> None:
    settings, face = AnalysisSettings(), Typeface(24)
    assert legend_words("image", settings, smooth=True)[0] == "attention per image patch, smoothed"
    wordings = (
        "attention per image patch, smoothed",
        "attention per patch, smoothed",
        "per patch, smoothed",
        "smoothed",
    )
    for words in wordings:
        assert fitting_legend_words("image", settings, face.width(words), face, smooth=True)[0] == words
    scores = make_scores(tmp_path, Made())
    for smooth in (False, True):
        text, image = FramePainter(scores, RenderSettings(smooth=smooth))._legends
        assert "smoothed" not in text.wording[1]
        assert ("smoothed" in image.wording[1]) == smooth


def test_the_middle_follows_gamma() -> None:
    assert ramp_numbers(ColorScale(1.0, 1.0, gamma=0.5), "text")[1] == "0.25"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (AnalysisSettings(), ("attention per text token", "one scale per video")),
        (
            AnalysisSettings(scale="per_frame", gamma=0.4),
            ("attention per text token", "one scale per frame, gamma 0.4"),
        ),
        (
            AnalysisSettings(scale_scope="joint"),
            ("attention per text token", "one scale for text and images per video"),
        ),
        (AnalysisSettings(sinks="relative"), ("attention over its mean per text token", "one scale per video")),
    ],
)
def test_the_scale_is_named(settings: AnalysisSettings, words: tuple[str, str]) -> None:
    assert legend_words("text", settings) == words
    assert legend_words("image", settings)[0].endswith("per image patch")


@pytest.mark.parametrize("mode", ["weight", "flat"])
def test_the_ramp_is_painted_as_the_overlay_is(mode: str) -> None:
    look = theme("light")
    heat = image_heat("red_green", mode)  # type: ignore[arg-type]
    frame = canvas(900, 80, look.color("frame.background"))
    Legend("image", heat, AnalysisSettings(), (0, 0, 900, 80), look, Faces(look)).paint_background(frame)
    ground = np.full(3, float(look.color("ramp.ground")[0]))
    assert np.abs(frame[10, 1] - heat.over(ground, 1)).max() <= 1.5
    assert np.abs(frame[10, look.px("ramp.width") - 2] - heat.over(ground, 254)).max() <= 1.5


def test_the_middle_number_is_left_out_before_it_touches_another() -> None:
    face, numbers = Typeface(10), ("0", "0.011", "≥ 0.022")
    last, gap = face.width(numbers[2]), face.width("  ")
    assert number_places(numbers, 7, 300, gap, face) == (7, 7 + 150 - face.width("0.011") // 2, 307 - last)
    assert number_places(numbers, 7, 90, gap, face) == (7, -1, 97 - last)
    for width in range(40, 300):
        _, middle, end = number_places(numbers, 0, width, gap, face)
        assert middle == -1 or middle + face.width("0.011") + gap <= end


@pytest.mark.parametrize(
    ("settings", "shorter", "shortest"),
    [
        (AnalysisSettings(), ("attention per patch", "scale per video"), ("per patch", "per video")),
        (
            AnalysisSettings(scale="per_frame", gamma=0.4, scale_scope="joint", sinks="relative"),
            ("attention / mean per patch", "joint scale per frame, γ 0.4"),
            ("per patch", "per frame, γ 0.4"),
        ),
    ],
)
def test_words_get_shorter_before_they_are_cut(
    settings: AnalysisSettings, shorter: tuple[str, str], shortest: tuple[str, str]
) -> None:
    face, long = Typeface(24), legend_words("image", settings)
    assert fitting_legend_words("image", settings, 2000, face) == long
    assert fitting_legend_words("image", settings, max(map(face.width, shorter)), face)[0] == shorter[0]
    assert fitting_legend_words("image", settings, face.width(long[1]) - 1, face)[1] == shorter[1]
    assert fitting_legend_words("image", settings, 10, face) == shortest
    assert fitting_legend_words("text", settings, 10, face)[0] == "per token"


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (1080, 1920), (854, 480), (1080, 1080)])
def test_no_word_of_a_legend_is_cut_beside_the_narrowest_images(tmp_path: Path, size: tuple[int, int]) -> None:
    settings = AnalysisSettings(scale="per_frame", gamma=0.4, scale_scope="joint", sinks="relative")
    made = Made(image_sizes=((100, 400),), grids=((8, 2),), analysis=settings)
    for name in ("light", "talk"):
        look = theme(name, *size)
        face = Faces(look).small
        painter = FramePainter(make_scores(tmp_path, made), RenderSettings(width=size[0], height=size[1], theme=name))  # type: ignore[arg-type]
        left, _, right, _ = painter.plan.image_legend
        room = right - left - look.px("ramp.width") - look.px("frame.gap") // 2
        assert all(face.width(words) <= room for words in fitting_legend_words("image", settings, room, face))


def test_the_ramp_keeps_its_place_when_the_scale_changes() -> None:
    look = theme("light", 640, 360)
    heat, settings = image_heat("red_green", "weight"), AnalysisSettings(scale="per_frame")
    legend = Legend("image", heat, settings, (0, 0, 600, 60), look, Faces(look))
    background = canvas(640, 80, look.color("frame.background"))
    legend.paint_background(background)
    for scale in (ColorScale(0.5, 0.5), ColorScale(3.4e-5, 3.4e-5, image_clipped=True)):
        frame = background.copy()
        legend.paint(frame, scale)
        assert np.array_equal(frame[: look.px("ramp.height")], background[: look.px("ramp.height")])
        assert not np.array_equal(frame, background)


def test_less_room_shortens_the_wording() -> None:
    look = theme("light")
    heat, settings = image_heat("red_green", "weight"), AnalysisSettings()
    wide, narrow = (Legend("image", heat, settings, (0, 0, x, 60), look, Faces(look)).wording for x in (900, 500))
    assert wide == (look.px("ramp.width"), "attention per image patch", "one scale per video")
    assert narrow == (250, "attention per patch", "scale per video")


@pytest.mark.parametrize(("image", "in_line"), [((300, 200), True), ((50, 400), False)])
def test_it_stands_in_line_with_the_images_unless_that_cuts_it(
    tmp_path: Path, image: tuple[int, int], in_line: bool
) -> None:
    painter = FramePainter(make_scores(tmp_path, Made(image_sizes=(image,), grids=((2, 2),))), RenderSettings())
    left, top, _, _ = painter.plan.image_legend
    rim = (painter.frame(0)[top, left:] == theme("light").color("image.border")).all(axis=1)
    start = left + int(np.flatnonzero(rim)[0])
    assert start == (painter.images.left if in_line else left)
    assert (painter.images.left > left) or in_line
