"""docs/plots.md: its commands and its Python run, its style is a style, its pictures exist, every kind is on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video import cli
from attnviz_video.export.plots.kinds import KINDS
from attnviz_video.export.plots.style import _COLORS
from tests.documented import ROOT, blocks, prose, shown_commands

PAGE = ROOT / "docs" / "plots.md"
COMMANDS = shown_commands(PAGE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that sees the demo trace, and holds the style of the page."""
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "demo_trace").symlink_to(ROOT / "samples" / "demo_trace")
    (style,) = [text for language, text in blocks(PAGE) if language == "mplstyle"]
    (tmp_path / "paper.mplstyle").write_text(style, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_command_of_the_page_makes_its_file(
    command: object, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = next(one.words for one in COMMANDS if one is command)
    assert cli.main(list(words)) == 0
    (path,) = capsys.readouterr().out.split()
    assert (folder / path).stat().st_size > 1000


def test_the_python_of_the_page_runs(folder: Path) -> None:
    found = [text for language, text in blocks(PAGE) if language == "python"]
    assert found
    for block in found:
        exec(compile(block, "plots.md", "exec"), {})
    assert {"matrix.png", "overview.svg"} <= {file.name for file in folder.iterdir()}


def test_every_kind_has_an_example_and_a_heading() -> None:
    shown = {command.words[command.words.index("--what") + 1] for command in COMMANDS if "--what" in command.words}
    assert shown | {"matrix"} == set(KINDS)
    text = PAGE.read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"\n## {kind}\n" in text
        assert f"| `{kind}` |" in text


def test_the_entries_of_a_style_that_are_used_are_listed() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for entry in _COLORS:
        assert f"`{entry}`" in text
    assert prose(PAGE)
