from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.colormaps import NAMES, colormap, level_steps, rgb
from attnviz_video.errors import UsageError
from attnviz_video.render.heat import token_heat
from attnviz_video.theme import luminance

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


@pytest.mark.parametrize("name", ["greys", "reds"])
def test_t28_luminance_only_falls(name: str) -> None:
    assert np.diff(_luminances(colormap(name))).max() <= 0.0005


@pytest.mark.parametrize("name", ["cividis", "viridis", "magma"])
@pytest.mark.parametrize("ground", [(255, 255, 255), (27, 30, 36)])
def test_t28_luminance_only_rises_as_painted_behind_tokens(name: str, ground: tuple[int, int, int]) -> None:
    bright = _luminances(token_heat(name, "box", ground).ramp(ground))
    assert np.diff(bright[::8]).min() > 0
    assert bright[-1] - bright[0] > 0.5


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
