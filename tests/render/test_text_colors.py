from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.render.heat import token_heat
from attnviz_video.render.text_colors import BARE, CHIP, CURRENT, HATCHED, HIDDEN, TextColors
from attnviz_video.render.text_raster import BAR, CORNER, COVERAGES, RIM_ANSWER, RIM_THINK, SHEET_KEYS, STROKE
from attnviz_video.theme import theme

LOOK = theme("light")
SHEET, CARRIED = LOOK.color("panel.background"), LOOK.color("panel.carried")
N_BAR = 9
LETTER, CUT = COVERAGES - 1, CORNER + COVERAGES - 1


def _colors(style: str, level: float, special: int = -1, faint: bool = False, carried: bool = False) -> np.ndarray:
    """Colours of the keys of one piece as [keys, 3]."""
    packed = TextColors("red_green", style, LOOK, N_BAR).of(  # type: ignore[arg-type]
        np.array([level], np.float32), np.array([special]), np.array([faint]), np.array([carried])
    )
    assert packed.size == SHEET_KEYS + BAR + N_BAR
    colors = np.stack([packed >> shift & 255 for shift in (0, 8, 16)], axis=-1)
    assert colors[0].tolist() == list(SHEET)
    assert colors[1].tolist() == list(CARRIED)
    return colors[SHEET_KEYS:]


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_a_box_has_the_colour_of_its_level(level: float) -> None:
    colors = _colors("box", level)
    ramp = token_heat("red_green", "box", SHEET).ramp(SHEET)[round(level * 255)]
    assert (colors[0] == ramp).all()
    assert (colors[STROKE] == ramp).all()
    assert (colors[CUT] == SHEET).all()
    assert set(colors[LETTER].tolist()) <= {10, 11, 13, 255}
    height = round(level * N_BAR)
    assert (colors[BAR : BAR + height] == LOOK.color("token.bar")).all()
    assert (colors[BAR + height :] == SHEET).all()


def test_coloured_letters_stand_on_the_bare_sheet_and_are_never_softened() -> None:
    letters = token_heat("red_green", "text", SHEET).ramp(SHEET)[128]
    for faint in (False, True):
        colors = _colors("text", 128 / 255, faint=faint)
        assert (colors[0] == SHEET).all()
        assert (colors[LETTER] == letters).all()


def test_marks_are_softer_but_not_the_current_one() -> None:
    plain, soft = _colors("box", 0.0), _colors("box", 0.0, faint=True)
    assert (soft[0] == plain[0]).all()
    assert (soft[LETTER] > plain[LETTER]).all()
    assert np.array_equal(_colors("box", 0.0, CURRENT, faint=True), _colors("box", 0.0, CURRENT))


@pytest.mark.parametrize(
    ("special", "ground", "stroke"),
    [
        (BARE, SHEET, SHEET),
        (HATCHED, LOOK.color("nan.ground"), LOOK.color("nan.stroke")),
        (CURRENT, LOOK.color("token.current"), LOOK.color("token.current")),
        (CHIP, LOOK.color("chip"), LOOK.color("chip")),
    ],
)
def test_what_has_no_level_has_its_own_look_and_no_bar(
    special: int, ground: tuple[int, int, int], stroke: tuple[int, int, int]
) -> None:
    colors = _colors("box", np.nan, special)
    assert tuple(colors[0]) == ground
    assert tuple(colors[STROKE]) == stroke
    assert (colors[BAR:] == SHEET).all()


@pytest.mark.parametrize("carried", [False, True])
def test_what_is_not_written_yet_is_sheet(carried: bool) -> None:
    assert (_colors("box", np.nan, HIDDEN, carried=carried) == (CARRIED if carried else SHEET)).all()


def test_rims_have_the_colour_of_their_section_except_on_the_current_token() -> None:
    colors, current = _colors("box", 0.5), _colors("box", 0.5, CURRENT)
    assert tuple(colors[RIM_THINK]) == LOOK.color("gutter.think")
    assert tuple(colors[RIM_ANSWER]) == LOOK.color("gutter.answer")
    assert (current[[RIM_THINK, RIM_ANSWER]] == LOOK.color("token.current")).all()
    assert (current[CUT] == LOOK.color("token.current.outline")).all()


def test_on_carried_lines_only_what_shows_the_sheet_changes() -> None:
    plain, carried = _colors("box", 0.4), _colors("box", 0.4, carried=True)
    differ = np.flatnonzero((plain != carried).any(axis=1))
    assert set(differ) == {*range(CORNER + 1, STROKE), *range(BAR + round(0.4 * N_BAR), BAR + N_BAR)}
