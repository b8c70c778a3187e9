from __future__ import annotations

import pytest

from attnviz_video import theme as themes
from attnviz_video.errors import UsageError
from attnviz_video.theme import contrast, luminance, theme


def test_every_theme_has_every_colour() -> None:
    assert set(theme("light").colors) == set(theme("dark").colors)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("ink", "frame.background"),
        ("ink", "panel.background"),
        ("ink.soft", "frame.background"),
        ("notice", "frame.background"),
        ("token.current.ink", "token.current"),
    ],
)
def test_text_is_readable(name: str, ink: str, ground: str) -> None:
    look = theme(name)
    assert contrast(look.color(ink), look.color(ground)) >= 4.5


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
    with pytest.raises(UsageError, match="unknown theme 'neon'; choose one of dark, light with --theme"):
        theme("neon")


def test_luminance_of_black_and_white() -> None:
    assert luminance((0, 0, 0)) == 0
    assert luminance((255, 255, 255)) == pytest.approx(1.0)
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
