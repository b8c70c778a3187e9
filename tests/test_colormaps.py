from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.colormaps import NAMES, colormap, colormap_on_dark, level_steps, rgb
from attnviz_video.errors import UsageError
from attnviz_video.render.heat import token_heat
from attnviz_video.theme import contrast, luminance

#: Levels of the published tables at steps 16, 48, … 240, to compare the control points with.
PUBLISHED = {
    "magma": [(10, 8, 34), (54, 16, 107), (106, 28, 129), (156, 46, 127), (208, 65, 111), (245, 107, 92),
              (254, 167, 114), (253, 226, 163)],
    "viridis": [(72, 24, 106), (66, 64, 134), (51, 99, 141), (38, 130, 142), (31, 160, 136), (63, 188, 115),
                (132, 212, 75), (216, 226, 25)],
    "cividis": [(0, 46, 106), (50, 67, 109), (83, 90, 109), (111, 112, 115), (140, 136, 120), (171, 160, 114),
                (205, 187, 99), (240, 216, 70)],
}  # fmt: skip


def _luminances(table: np.ndarray) -> np.ndarray:
    return np.array([luminance((int(r), int(g), int(b))) for r, g, b in table])


def test_red_green_ends_are_exact() -> None:
    table = colormap("red_green")
    assert table[0].tolist() == [255, 0, 0]
    assert table[255].tolist() == [0, 255, 0]


@pytest.mark.parametrize("name", ["cividis", "viridis", "magma"])
def test_t28_luminance_only_rises(name: str) -> None:
    bright = _luminances(colormap(name))
    # Rounding to whole levels may take back a little from one step to the next.
    assert np.diff(bright).min() > -0.0015
    assert np.diff(bright[::8]).min() > 0
    assert bright[-1] - bright[0] > 0.6


@given(name=st.sampled_from(["cividis", "viridis", "magma", "greys"]), one=st.floats(0, 1), other=st.floats(0, 1))
def test_t28_more_weight_is_never_the_other_way_in_brightness(name: str, one: float, other: float) -> None:
    """For any two levels; what rounding to whole values takes back is far below what an eye or a printer tells."""
    less, more = sorted((one, other))
    bright = _luminances(rgb(np.array([less, more]), name)[0])
    rise = float(bright[1] - bright[0]) * (-1 if name == "greys" else 1)
    assert rise >= (0 if more - less >= 8 / 255 else -0.0015)


@given(name=st.sampled_from(NAMES), level=st.floats(0, 1))
def test_a_level_is_found_again_from_its_colour(name: str, level: float) -> None:
    """Level → colour → level, exact to one of the 256 steps."""
    color = rgb(np.array([level]), name)[0][0].astype(int)
    step = int(np.square(colormap(name).astype(int) - color).sum(axis=1).argmin())
    assert abs(step / 255 - level) <= 1.5 / 255


@pytest.mark.parametrize("name", NAMES)
def test_colours_change_at_an_even_pace(name: str) -> None:
    """No two levels a tenth apart come nearer in RGB than a sixth of the widest such pair."""
    table = colormap(name).astype(float)
    strides = np.linalg.norm(table[26:] - table[:-26], axis=1)
    assert strides.min() >= strides.max() / 6


@given(level=st.floats(0, 1))
def test_red_green_is_linear_and_without_blue(level: float) -> None:
    red, green, blue = rgb(np.array([level]), "red_green")[0][0].tolist()
    assert abs(green - 255 * level) <= 0.5
    assert (red + green, blue) == (255, 0)


@given(levels=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=8))
def test_any_number_has_a_step(levels: list[float]) -> None:
    steps = level_steps(np.array(levels))
    for level, step in zip(levels, steps.tolist(), strict=True):
        assert step == (0 if np.isnan(level) else int(255 * min(1.0, max(0.0, level)) + 0.5))


@pytest.mark.parametrize("name", ["greys", "reds"])
def test_t28_luminance_only_falls(name: str) -> None:
    assert np.diff(_luminances(colormap(name))).max() <= 0.0005


@pytest.mark.parametrize("name", ["cividis", "viridis", "magma"])
@pytest.mark.parametrize("ground", [(255, 255, 255), (27, 30, 36)])
def test_t28_luminance_only_rises_as_painted_behind_tokens(name: str, ground: tuple[int, int, int]) -> None:
    bright = _luminances(token_heat(name, "box", ground).ramp(ground))
    assert np.diff(bright[::8]).min() > 0
    assert bright[-1] - bright[0] > 0.5


@pytest.mark.parametrize("name", ["greys", "reds"])
def test_on_dark_ground_a_single_hue_begins_at_the_ground_and_ends_bright(name: str) -> None:
    """Else tokens without weight would be the brightest of a dark page."""
    dark = (27, 30, 36)
    bright = _luminances(token_heat(name, "box", dark).ramp(dark))
    assert np.diff(bright[::8]).min() > 0
    assert contrast(tuple(colormap_on_dark(name)[0].tolist()), dark) < 1.3
    assert contrast(tuple(colormap_on_dark(name)[255].tolist()), dark) > 5
    light = token_heat(name, "box", (255, 255, 255))
    assert light.colors.tolist() == colormap(name).tolist()


def test_reds_are_red_on_either_ground() -> None:
    """One hue: red is the largest part of every colour, and the other two stay alike."""
    for table in (colormap("reds").astype(int), colormap_on_dark("reds").astype(int)):
        assert (table[:, 0] > table[:, 1:].max(axis=1)).all()
        assert np.abs(table[:, 1] - table[:, 2]).max() <= 30


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_control_points_reproduce_the_published_table(name: str) -> None:
    shown = colormap(name)[16::32].astype(int)
    assert np.abs(shown - np.array(PUBLISHED[name])).max() <= 2


def test_levels_become_steps() -> None:
    assert level_steps(np.array([0.0, 0.5, 1.0, -1.0, 2.0, np.nan])).tolist() == [0, 128, 255, 0, 255, 0]


def test_nan_is_reported_apart() -> None:
    colors, missing = rgb(np.array([[0.0, np.nan], [1.0, 0.5]]), "red_green")
    assert colors.shape == (2, 2, 3)
    assert missing.tolist() == [[False, True], [False, False]]


def test_tables_cannot_be_changed_by_accident() -> None:
    with pytest.raises(ValueError, match="read-only"):
        colormap("viridis")[0] = 0


def test_unknown_name_lists_the_valid_ones() -> None:
    message = "unknown colour map 'jet'; choose one of " + ", ".join(NAMES) + " with --colormap"
    with pytest.raises(UsageError, match=message):
        colormap("jet")
