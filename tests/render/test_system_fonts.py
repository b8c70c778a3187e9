"""Fonts of a machine, played by a fake `fc-list` and fonts made here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection, TTFont

from attnviz_video.render.system_fonts import FontFile, font_for
from attnviz_video.render.typefaces import Typeface

HA = "\u0939"  # a letter that no shipped font has


def make_font(path: Path, characters: str, *, empty: bool = False) -> Path:
    """A font whose every character is a square, or nothing at all."""
    pen = TTGlyphPen(None)
    if not empty:
        pen.moveTo((100, 0))
        for point in ((100, 600), (700, 600), (700, 0)):
            pen.lineTo(point)
        pen.closePath()
    names = [".notdef", *(f"u{ord(character):04X}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(character): f"u{ord(character):04X}" for character in characters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 100)))
    builder.setupHorizontalHeader(ascent=900, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture(autouse=True)
def _no_memory() -> Iterator[None]:
    font_for.cache_clear()
    yield
    font_for.cache_clear()


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str, code: int = 0) -> Path:
    """A `fc-list` that answers every question with `lines` and notes that it was asked."""
    program, asked = folder / "fc-list", folder / "asked"
    listing = folder / "listing"
    listing.write_text("".join(f"{line}\n" for line in lines))
    program.write_text(f'#!/bin/sh\necho "$3" >> "{asked}"\ncat "{listing}"\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return asked


def test_a_font_is_believed_only_after_its_table_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    liar, honest = make_font(tmp_path / "aliar.ttf", "abc"), make_font(tmp_path / "honest.ttf", HA)
    asked = _install(tmp_path, monkeypatch, f"{liar}\t0\tRegular", f"{honest}\t0\tRegular")
    assert font_for(HA) == FontFile(honest)
    assert asked.read_text() == ":charset=939\n"


def test_what_cannot_be_used_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, text = tmp_path / "a.ttf", tmp_path / "b.ttf"
    broken.write_bytes(make_font(tmp_path / "whole.ttf", HA).read_bytes()[:300])
    text.write_text("no font")
    empty = make_font(tmp_path / "c.ttf", HA, empty=True)
    good = make_font(tmp_path / "z.ttf", HA)
    lines = (f"{path}\t0\tRegular" for path in (broken, text, tmp_path / "absent.ttf", empty, good))
    _install(tmp_path, monkeypatch, *lines, "nonsense", "\t\t", f"{good}\tx\t")
    assert font_for(HA) == FontFile(good)


def test_the_plainest_font_is_taken_whatever_the_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bold, plain, later = (make_font(tmp_path / name, HA) for name in ("A-Bold.ttf", "B.ttf", "C.ttf"))
    lines = [f"{later}\t0\tRegular", f"{bold}\t0\tBold", f"{plain}\t0\tRegular"]
    for order in (lines, lines[::-1]):
        font_for.cache_clear()
        _install(tmp_path, monkeypatch, *order)
        assert font_for(HA) == FontFile(plain)


def test_fonts_in_a_collection_are_found_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = TTCollection()
    collection.fonts = [
        TTFont(make_font(tmp_path / "a.ttf", "abc")), TTFont(make_font(tmp_path / "b.ttf", HA)),
    ]  # fmt: skip
    path = tmp_path / "both.ttc"
    collection.save(path)
    # A named instance of a variable font has a number in the upper half.
    _install(tmp_path, monkeypatch, f"{path}\t0\tRegular", f"{path}\t{(3 << 16) + 1}\tRegular")
    assert font_for(HA) == FontFile(path, 1)


def test_without_fontconfig_there_is_no_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert font_for(HA) is None
    font_for.cache_clear()
    _install(tmp_path, monkeypatch, "Fontconfig error", code=1)
    assert font_for(HA) is None


def test_the_typeface_asks_only_for_what_the_shipped_fonts_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _install(tmp_path, monkeypatch, f"{make_font(tmp_path / 'deva.ttf', HA + 'न')}\t0\tRegular")
    face = Typeface(24, fonts="system")
    assert face.visible("red 红色 ∑ שלום \x1b") == "red 红色 ∑ שלום ⟨U+001B⟩"
    assert not asked.exists()
    # One question for the script: its other letters are in the font found.
    assert face.visible(f"{HA}न{HA}") == f"{HA}न{HA}"
    assert asked.read_text().count("\n") == 1
    assert np.asarray(face.coverage(HA)).max() == 255
    assert face.notices() == ()
    rows = np.flatnonzero(face.coverage(HA).max(axis=1))
    assert 0 < rows.min() < rows.max() < face.height


def test_what_no_font_of_the_machine_has_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _install(tmp_path, monkeypatch)
    face = Typeface(24, fonts="system")
    assert face.visible("🧠🚀") == "⟨U+1F9E0⟩⟨U+1F680⟩"
    assert face.notices() == (
        "no shipped font and none of this machine has the character ⟨U+1F9E0⟩ (emoji); "
        "such characters are shown by number",
    )
    # A text full of them is not looked up without end.
    face.visible("".join(chr(code) for code in range(0x13000, 0x13200)))
    assert asked.read_text().count("\n") == 64


def test_bundled_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _install(tmp_path, monkeypatch, f"{make_font(tmp_path / 'deva.ttf', HA)}\t0\tRegular")
    assert Typeface(24, fonts="bundled").visible(HA) == "⟨U+0939⟩"
    assert not asked.exists()
