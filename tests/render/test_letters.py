from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.render.brush import blend, canvas, write
from attnviz_video.render.letters import Letters
from attnviz_video.render.typefaces import Typeface

GROUND, INK = (244, 245, 247), (24, 27, 32)


@pytest.mark.parametrize("size", [10, 16, 24, 34, 48])
@pytest.mark.parametrize("text", ["step 31/53", "p = 90.5 %", "< 0.1 %  ·  “红色” 12.0 %", "8.8e-05", ""])
def test_kept_words_are_the_same_pixels_as_blended_ones(size: int, text: str) -> None:
    face = Typeface(size)
    letters = Letters(face, GROUND)
    for _ in range(2):
        one, other = canvas(900, 80, GROUND), canvas(900, 80, GROUND)
        ends = letters.write(one, 7, 3, text, INK), write(other, 7, 3, text, face, INK)
        assert ends == (7 + letters.width(text), 7 + face.width(text))
        # The rim of a letter may reach a pixel into the next one's place, where a copy covers it.
        assert (one != other).any(axis=2).sum() <= 4


def test_digits_do_not_depend_on_their_neighbours() -> None:
    """What the cutting at digits rests on."""
    for size in range(10, 70):
        face = Typeface(size)
        assert face.width("0123456789") == sum(face.width(digit) for digit in "0123456789")


def test_few_words_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnviz_video.render.letters._KEPT", 8)
    letters = Letters(Typeface(10), GROUND)
    frame = canvas(300, 30, GROUND)
    for length in range(1, 30):
        letters.write(frame, 0, 0, "x" * length, INK)
    assert len(letters._kept) == 8


def test_inks_are_kept_apart() -> None:
    letters = Letters(Typeface(24), GROUND)
    dark, red = canvas(60, 40, GROUND), canvas(60, 40, GROUND)
    letters.write(dark, 0, 0, "x", INK)
    letters.write(red, 0, 0, "x", (200, 0, 0))
    assert (red == (200, 0, 0)).all(axis=2).any()
    assert not (dark == (200, 0, 0)).all(axis=2).any()


def test_blending_is_exact_for_every_coverage_and_colour() -> None:
    coverage = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    for ink in (0, 1, 128, 254, 255):
        picture = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 256, axis=1).repeat(3, axis=2).copy()
        blend(picture, 0, 0, coverage, (ink, ink, ink))
        weight, ground = coverage.astype(np.int64), np.arange(256)[:, None]
        assert (picture[:, :, 1] == (ground * (255 - weight) + ink * weight + 127) // 255).all()
