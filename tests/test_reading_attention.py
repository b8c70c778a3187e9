"""docs/reading-attention.md: each number and each figure on it is what its commands give."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz_video import cli
from tests.documented import ROOT, ShownCommand, differs, numbers_without_source, prose, shown_commands
from tests.golden_pictures import compare

PAGE = ROOT / "docs" / "reading-attention.md"
COMMANDS = shown_commands(PAGE)
PICTURES = re.findall(r"\]\((pictures/reading/[^)]+)\)", PAGE.read_text(encoding="utf-8"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that sees the samples."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_the_demo_trace(command: ShownCommand) -> bool:
    return "samples/demo_trace" in command.words


@pytest.mark.parametrize("command", list(filter(of_the_demo_trace, COMMANDS)), ids=str)
def test_what_the_page_shows_of_the_demo_trace_is_so(
    command: ShownCommand, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(command, folder, capsys)


@pytest.mark.slow
def test_what_the_page_shows_of_a_recording_is_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [command for command in COMMANDS if not of_the_demo_trace(command)]
    assert len(commands) == 3
    for command in commands:
        check(command, folder, capsys)


def check(command: ShownCommand, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(list(command.words)) == 0
    printed = capsys.readouterr().out
    if "-o" in command.words:
        name = command.words[command.words.index("-o") + 1]
        assert printed == f"{name}\n"
        compare(
            np.asarray(Image.open(folder / name).convert("RGB")), Path(name).stem, ROOT / name, folder, str(command)
        )
    elif command.output is not None:
        assert differs(command.output, printed) == ""


def test_every_picture_is_made_by_a_command_of_the_page() -> None:
    made = [command.words[command.words.index("-o") + 1] for command in COMMANDS if "-o" in command.words]
    assert [f"docs/{picture}" for picture in PICTURES] == made
    assert sorted(path.name for path in (ROOT / "docs/pictures/reading").iterdir()) == sorted(
        Path(name).name for name in made
    )


def test_every_number_in_the_text_stands_in_an_output() -> None:
    assert len(re.findall(r"\d\.\d{4}", prose(PAGE))) >= 8
    assert numbers_without_source(PAGE) == []


@pytest.mark.parametrize(
    ("shown", "printed", "is_right"),
    [
        ("a 0.1234\n…\nb 0.5", "a 0.1235\nx\ny\nb 0.5\n", True),
        ("a 0.1234\n…\nb 0.5", "a 0.1244\nx\nb 0.5\n", False),
        ("a 0.5\nb 0.5", "a 0.5\nx\nb 0.5\n", False),
        ("a 0.5", "a 0.5\nb\n", False),
        ("a 12 0.5", "a 13 0.5\n", False),
    ],
)
def test_a_wrong_output_is_noticed(shown: str, printed: str, is_right: bool) -> None:
    assert (differs(shown, printed) == "") is is_right
