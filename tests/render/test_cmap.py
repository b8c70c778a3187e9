from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.errors import EnvironmentFault
from attnviz_video.render import typefaces
from attnviz_video.render.cmap import _format_4, _format_12, covered

FONTS = sorted(typefaces._FOLDER.glob("*.ttf"))


@pytest.mark.parametrize("font", FONTS, ids=lambda font: font.stem)
def test_coverage_agrees_with_another_reader(font: Path) -> None:
    reader = pytest.importorskip("fontTools.ttLib")
    assert covered(font) == frozenset(reader.TTFont(font).getBestCmap())


def test_every_common_character_of_three_languages_is_covered() -> None:
    points = covered(typefaces._FOLDER / "DroidSansFallback.ttf")
    assert all(code in points for code in range(0x4E00, 0x9FA6))
    assert all(code in points for code in range(0xAC00, 0xD7A4))
    assert all(code in points for code in range(0x3041, 0x3095))


def test_format_4_reads_deltas_and_offsets() -> None:
    words = [
        4, 0, 0, 6, 0, 0, 0,  # format, length, language, twice the segments, three search fields
        0x41, 0x62, 0xFFFF,  # ends
        0,
        0x41, 0x61, 0xFFFF,  # starts
        1, 0, 1,  # deltas
        0, 4, 0,  # offsets: the second segment's glyphs begin 4 bytes after its own entry
        0, 7,  # glyphs of 0x61 (none) and 0x62
    ]  # fmt: skip
    words[1] = 2 * len(words)
    data = b"".join(word.to_bytes(2, "big") for word in words)
    assert _format_4(data) == {0x41, 0x62}


def test_a_table_that_claims_all_numbers_is_refused() -> None:
    header = b"".join(value.to_bytes(size, "big") for value, size in ((12, 2), (0, 2), (28, 4), (0, 4), (1, 4)))
    group = b"".join(value.to_bytes(4, "big") for value in (0x40, 0xFFFFFFFF, 1))
    with pytest.raises(ValueError, match="characters 0x40 to 0xffffffff cannot be"):
        _format_12(header + group)


def test_no_font(tmp_path: Path) -> None:
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"\0\1\0\0\0\0")
    with pytest.raises(EnvironmentFault, match="cannot read the font .*broken.ttf: .*no cmap table.*reinstall"):
        covered(broken)


def test_fonts_are_shipped_with_their_licences_and_are_small() -> None:
    names = {file.name for file in typefaces._FOLDER.iterdir()}
    assert {"DejaVu-LICENSE.txt", "DroidSansFallback-LICENSE.txt"} <= names
    assert sum(file.stat().st_size for file in typefaces._FOLDER.iterdir()) < 5_000_000
