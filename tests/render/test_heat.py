"""What a level looks like over any picture: every colour of the ground, every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.colormaps import NAMES
from attnviz_video.render.heat import (
    ALPHA_LEAST,
    ALPHA_MOST,
    LETTER_CONTRAST,
    OPAQUE,
    HeatTable,
    image_heat,
    token_heat,
)
from attnviz_video.testing.readback import SIGNALS
from attnviz_video.theme import contrast

#: Steps of 255 that count as clearly different levels: a tenth of the scale.
APART = 26
#: Every third step is looked at, from 0 to 255.
STRIDE = 3
PAIRS = np.triu_indices(86, -(-APART // STRIDE))
#: How far clearly different levels have to be from each other, in units of what H.264 gets wrong of a cell.
LEAST_DISTANCE = 2.5
#: The colours of a picture, eight values per channel.
GROUNDS = np.stack(np.meshgrid(*[np.linspace(0, 255, 8)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
GREYS = np.repeat(np.linspace(0, 255, 18)[:, None], 3, axis=1)
BY_BRIGHTNESS = {"cividis": 1, "viridis": 1, "magma": 1, "greys": -1, "reds": -1}
grounds = st.tuples(*[st.integers(0, 255)] * 3)


def painted(heat: HeatTable, ground: np.ndarray) -> np.ndarray:
    """The colours of all steps over `ground`, not rounded; what `HeatTable.over` gives for one."""
    alpha = heat.alpha[:, None] / OPAQUE
    return ground * (1 - alpha) + heat.colors * alpha


def least_distance(heat: HeatTable, ground: np.ndarray) -> float:
    """The least distance of two clearly different levels over `ground`."""
    signals = painted(heat, ground)[::STRIDE] @ SIGNALS.T
    squares = np.square(signals).sum(axis=1)
    distances = squares[:, None] + squares[None] - 2 * signals @ signals.T
    return float(np.sqrt(max(0.0, distances[PAIRS].min())))


@pytest.mark.parametrize("mode", ["weight", "flat"])
@pytest.mark.parametrize("name", NAMES)
def test_no_colour_of_a_picture_lets_two_levels_look_alike(name: str, mode: str) -> None:
    heat = image_heat(name, mode)  # type: ignore[arg-type]
    assert min(least_distance(heat, ground) for ground in GROUNDS) >= LEAST_DISTANCE


@pytest.mark.parametrize("alpha", [0.3, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_strength_of_one_s_own_scales_all_distances(name: str, alpha: float) -> None:
    """`--alpha` keeps levels apart in proportion: a weaker overlay is fainter, but no less ordered."""
    heat = image_heat(name, "weight", alpha)
    least = LEAST_DISTANCE * alpha / ALPHA_MOST * 0.75  # opacity is kept in steps of 1 / 256
    assert min(least_distance(heat, ground) for ground in GROUNDS) >= least


@pytest.mark.parametrize(
    ("name", "ground"), [("greys", (0, 0, 0)), ("red_green", (0, 255, 0)), ("cividis", (223, 191, 128))]
)
def test_an_even_growth_from_a_faint_overlay_would_let_levels_look_alike(
    name: str, ground: tuple[int, int, int]
) -> None:
    """Why the opacity grows as it does: what it replaced."""
    faint = np.floor(np.linspace(0.15, 0.6, 256) * OPAQUE + 0.5).astype(np.int64)
    heat = HeatTable(image_heat(name, "weight").colors, faint)
    assert least_distance(heat, np.array(ground, dtype=np.float64)) < 0.5


@given(name=st.sampled_from(NAMES), ground=grounds, step=st.integers(0, 255))
def test_a_step_is_found_again_from_its_painted_colour(name: str, ground: tuple[int, int, int], step: int) -> None:
    """Level → colour over any picture, rounded to whole values → level, to within 2 % of the scale."""
    heat = image_heat(name, "weight")
    seen = np.floor(heat.over(np.array(ground, dtype=np.float64), step) + 0.5)
    table = painted(heat, np.array(ground, dtype=np.float64))
    assert abs(int(np.square((table - seen) @ SIGNALS.T).sum(axis=1).argmin()) - step) <= 5


@pytest.mark.parametrize("name", BY_BRIGHTNESS)
def test_t28_brightness_keeps_its_direction_on_any_grey_picture(name: str) -> None:
    """Rising maps rise and falling maps fall, over black, white and all greys; one value of rounding is allowed."""
    heat = image_heat(name, "weight")
    for ground in GREYS:
        bright = painted(heat, ground) @ np.array([0.2126, 0.7152, 0.0722]) * BY_BRIGHTNESS[name]
        assert (np.maximum.accumulate(bright) - bright).max() <= 1.0
        assert bright[-1] - bright[0] >= 20


def test_opacity_grows_with_the_level_and_leaves_the_picture_visible() -> None:
    growing, even = image_heat("red_green", "weight").alpha, image_heat("red_green", "flat").alpha
    assert growing[0] == round(ALPHA_LEAST * OPAQUE)
    assert growing[255] == pytest.approx(ALPHA_MOST * OPAQUE, abs=1)
    assert np.diff(growing).min() >= 0
    assert growing[64] < ALPHA_LEAST * OPAQUE * 1.2
    assert len(set(even.tolist())) == 1


@given(name=st.sampled_from(NAMES), ground=grounds, step=st.integers(0, 255))
def test_one_step_over_a_ground_is_that_of_all_steps(name: str, ground: tuple[int, int, int], step: int) -> None:
    heat, under = image_heat(name, "weight"), np.array(ground, dtype=np.float64)
    assert heat.over(under, step) == pytest.approx(painted(heat, under)[step])


@given(name=st.sampled_from(NAMES), ground=grounds)
def test_the_legend_s_ramp_is_what_is_painted(name: str, ground: tuple[int, int, int]) -> None:
    heat = image_heat(name, "weight")
    assert np.abs(heat.ramp(ground) - painted(heat, np.array(ground, dtype=np.float64))).max() <= 0.51


@pytest.mark.parametrize("ground", [(255, 255, 255), (27, 30, 36)])
@pytest.mark.parametrize("name", NAMES)
def test_boxes_of_clearly_different_levels_do_not_look_alike(name: str, ground: tuple[int, int, int]) -> None:
    heat = token_heat(name, "box", ground)
    assert least_distance(heat, np.array(ground, dtype=np.float64)) >= LEAST_DISTANCE


@pytest.mark.parametrize(("name", "ground"), [("magma", (255, 255, 255)), ("viridis", (27, 30, 36))])
def test_coloured_letters_can_be_read(name: str, ground: tuple[int, int, int]) -> None:
    letters = token_heat(name, "text", ground).ramp(ground)
    least = min(contrast((int(r), int(g), int(b)), ground) for r, g, b in letters)
    assert least >= LETTER_CONTRAST
