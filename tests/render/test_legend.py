from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.scores import ColorScale
from attnviz_video.render.brush import canvas
from attnviz_video.render.heat import image_heat
from attnviz_video.render.legend import Legend, legend_words, number_places, ramp_numbers
from attnviz_video.render.typefaces import Faces, Typeface
from attnviz_video.theme import theme


def test_numbers_are_absolute_weights() -> None:
    scale = ColorScale(0.034, 0.5, image_clipped=True)
    assert ramp_numbers(scale, "text") == ("0", "0.017", "0.034")
    assert ramp_numbers(scale, "image") == ("0", "0.25", "≥ 0.50")


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
    Legend("image", heat, AnalysisSettings(), (0, 0, 900, 80), look, Faces(look)).paint(frame, ColorScale(0.1, 0.1))
    ground = np.full(3, float(look.color("ramp.ground")[0]))
    assert np.abs(frame[10, 1] - heat.over(ground, 1)).max() <= 1.5
    assert np.abs(frame[10, look.px("ramp.width") - 2] - heat.over(ground, 254)).max() <= 1.5


def test_opacity_grows_with_the_weight_or_is_even() -> None:
    growing, even = image_heat("red_green", "weight"), image_heat("red_green", "flat")
    assert growing.alpha[0] / 256 == pytest.approx(0.15, abs=0.005)
    assert growing.alpha[255] / 256 == pytest.approx(0.60, abs=0.005)
    assert np.diff(growing.alpha).min() >= 0
    assert set(even.alpha.tolist()) == {115}


def test_the_middle_number_is_left_out_before_it_touches_another() -> None:
    face, numbers = Typeface(10), ("0", "0.011", "≥ 0.022")
    last, gap = face.width(numbers[2]), face.width("  ")
    assert number_places(numbers, 7, 300, gap, face) == (7, 7 + 150 - face.width("0.011") // 2, 307 - last)
    assert number_places(numbers, 7, 90, gap, face) == (7, -1, 97 - last)
    for width in range(40, 300):
        _, middle, end = number_places(numbers, 0, width, gap, face)
        assert middle == -1 or middle + face.width("0.011") + gap <= end
