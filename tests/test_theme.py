from __future__ import annotations

import pytest

from attnviz_video import theme as themes
from attnviz_video.errors import UsageError
from attnviz_video.theme import contrast, luminance, theme

NAMES = ("light", "dark", "talk", "paper")
#: Contrast of ink with its ground: WCAG 2.1 level AA, and AAA where it has to be read from the back row.
LEAST_CONTRAST = {"talk": 7.0}


def test_every_theme_has_every_colour() -> None:
    assert set(themes._COLORS) == set(NAMES)
    for name in NAMES:
        assert set(theme(name).colors) == set(theme("light").colors)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "frame.background"),
        ("ink", "panel.background"),
        ("ink", "segment.think"),
        ("ink", "segment.answer"),
        ("ink.soft", "frame.background"),
        ("ink.soft", "panel.background"),
        ("ink.faint", "frame.background"),
        ("ink.faint", "panel.background"),
        ("notice", "frame.background"),
        ("token.current.ink", "token.current"),
    ],
)
def test_text_is_readable(name: str, ink: str, ground: str) -> None:
    look = theme(name)
    assert contrast(look.color(ink), look.color(ground)) >= LEAST_CONTRAST.get(name, 4.5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mark", ["series.entropy", "series.1", "token.current", "accent", "image.border"])
def test_marks_stand_out_from_their_sheet(name: str, mark: str) -> None:
    """WCAG 2.1, 1.4.11: 3 to 1 for graphics that are needed to understand."""
    look = theme(name)
    assert contrast(look.color(mark), look.color("panel.background")) >= 3.0


@pytest.mark.parametrize("name", NAMES)
def test_the_images_of_the_strip_are_told_apart_and_numbered(name: str) -> None:
    look = theme(name)
    colors = [look.color(f"series.{image + 1}") for image in range(themes.N_SERIES)]
    assert len(set(colors)) == themes.N_SERIES
    inks = (look.color("token.dark_letters"), look.color("token.light_letters"))
    assert all(max(contrast(ink, color) for ink in inks) >= 4.5 for color in colors)
    # Neighbours in a stack also differ in print without colour.
    if name == "paper":
        assert all(contrast(one, other) >= 1.8 for one, other in zip(colors[:-1], colors[1:], strict=True))


def test_paper_fills_no_panel() -> None:
    look = theme("paper")
    assert look.color("frame.background") == look.color("panel.background") == (255, 255, 255)
    assert look.px("panel.border") == look.px("image.border") == 1


def test_talk_is_larger_and_has_less_small_print() -> None:
    talk, light = theme("talk"), theme("light")
    for name in ("title.text", "caption.text", "small.text", "text.least", "text.largest"):
        assert talk.px(name) >= 1.35 * light.px(name)
    assert light.details == themes.DETAILS
    assert talk.details < light.details


@pytest.mark.parametrize("name", themes._OWN_SIZES)
def test_a_themes_own_sizes_replace_known_ones(name: str) -> None:
    assert name in NAMES
    assert set(themes._OWN_SIZES[name]) <= set(themes._SIZES)


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((1920, 1080), 1),
        ((1080, 1920), 1),
        ((3840, 2160), 2),
        ((2560, 1080), 1),
        ((1080, 1080), 0.75),
        ((1280, 720), 2 / 3),
    ],
)
def test_tall_and_square_frames_have_readable_sizes(size: tuple[int, int], scale: float) -> None:
    assert theme("light", *size).scale == pytest.approx(scale)


def test_sizes_follow_the_frame() -> None:
    assert theme("light", 1920, 1080).px("small.text") == 24
    assert theme("light", 3840, 2160).px("small.text") == 48
    assert theme("light", 1280, 720).px("small.text") == 16


def test_text_at_the_reference_is_never_below_24_pixels() -> None:
    look = theme("light")
    assert min(look.px(name) for name in themes._SIZES if name.endswith(".text") or name.startswith("text.")) >= 24


def test_no_size_vanishes_on_small_frames() -> None:
    look = theme("light", 480, 270)
    assert all(look.px(name) >= 1 for name in themes._SIZES)
    assert look.px("text.least") == 11


def test_unknown_theme_lists_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="unknown theme 'neon'; choose one of dark, light, paper, talk with --theme"):
        theme("neon")


def test_luminance_of_black_and_white() -> None:
    assert luminance((0, 0, 0)) == 0
    assert luminance((255, 255, 255)) == pytest.approx(1.0)
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
