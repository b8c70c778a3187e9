"""The README's blocks run, its flags exist, and every flag is in it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from attnviz_video.commands.run import RunArguments
from attnviz_video.config.compose import parse
from attnviz_video.config.fields import settings_of

ROOT = Path(__file__).resolve().parent.parent
ENGLISH = ROOT / "README_attention_visualization.md"
CHINESE = ROOT / "README_attention_visualization.zh.md"


def blocks(file: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_readme_is_a_link_to_the_mandated_name() -> None:
    assert (ROOT / "README.md").resolve() == ENGLISH


@pytest.mark.parametrize("file", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_nothing_is_left_to_fill_in(file: Path) -> None:
    assert re.findall(r"\{[A-Z_]+\}", file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("file", [ENGLISH, CHINESE], ids=["english", "chinese"])
def test_linked_files_exist(file: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", file.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (ROOT / link).exists(), link


def test_both_languages_show_the_same_commands() -> None:
    def commands(file: Path) -> list[str]:
        return [block for block in blocks(file, "bash") if "--question" not in block]

    assert commands(ENGLISH) == commands(CHINESE)


def test_every_flag_is_in_the_table_and_no_other() -> None:
    table = ENGLISH.read_text(encoding="utf-8").partition("## Flags")[2].partition("\n## ")[0]
    documented = set(re.findall(r"`--([a-z_]+)`", table))
    assert documented == {setting.name for setting in settings_of(RunArguments)} | {"config"}


def test_commands_are_accepted_by_the_parser() -> None:
    lines = [line for block in blocks(ENGLISH, "bash") for line in block.replace("\\\n", " ").splitlines()]
    runs = [line.partition("visualize_heatmap.py")[2] for line in lines if "visualize_heatmap.py --" in line]
    assert len(runs) >= 2
    for run in runs:
        parse(RunArguments, shlex.split(run), prog="visualize_heatmap.py", description="")


@pytest.mark.slow
def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both blocks, one after the other, in an empty folder that sees the samples."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    found = blocks(ENGLISH, "python")
    assert len(found) == 2
    for block in found:
        exec(compile(block, "README", "exec"), {})
    assert (tmp_path / "videos/combined_attention_visualization_layer20.mp4").is_file()
