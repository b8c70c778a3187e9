"""docs/text-models.md: its blocks run, in order, from an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from attnviz_video import cli

PAGE = Path(__file__).resolve().parent.parent / "docs" / "text-models.md"
BLOCKS = re.findall(r"^```(python|bash)\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert [kind for kind, _ in BLOCKS].count("bash") >= 5
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, PAGE.name, "exec"), {})
            continue
        for line in block.replace("\\\n", " ").splitlines():
            program, script, *flags = shlex.split(line)
            assert (program, script) == ("python", "visualize_heatmap.py")
            assert cli.main(flags) == 0, capsys.readouterr().err
    made = {
        str(path.relative_to(tmp_path)) for path in (tmp_path / "out").rglob("*") if path.suffix in (".html", ".csv")
    }
    assert made == {
        "out/gpt2/trace_sample0_report.html", "out/bert/trace_sample0_report.html",
        "out/pair/trace_sample0_report.html", "out/weights.csv",
    }  # fmt: skip


def test_flags_that_the_page_names_exist() -> None:
    from attnviz_video.commands.run import RunArguments
    from attnviz_video.commands.table import TableArguments
    from attnviz_video.config.fields import settings_of

    known = {setting.name for arguments in (RunArguments, TableArguments) for setting in settings_of(arguments)}
    named = set(re.findall(r"--([a-z_]+)", PAGE.read_text(encoding="utf-8")))
    assert named <= known
