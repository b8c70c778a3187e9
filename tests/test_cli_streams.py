"""Standard output and error that are full, closed, or read by nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from attnviz_video.progress import StandardError

ROOT = Path(__file__).resolve().parent.parent


def in_shell(program: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a Python program with some of its streams redirected."""
    command = ["sh", "-c", f'"$0" -c "$1" {redirection}', sys.executable, program]
    # Unbuffered output, which some containers ask for, fails earlier than that of most users.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


REPORTING = (
    "import sys; from pathlib import Path; from attnviz_video import cli; from attnviz_video.commands import console\n"
    "cli.dispatch = lambda words: console.report(console.ConsoleSettings(), Path('t'), [Path('a.mp4')])\n"
    "sys.exit(cli.main([]))"
)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_f25_a_result_that_cannot_be_written_is_said_so() -> None:
    result = in_shell(REPORTING, ">/dev/full")
    assert result.returncode == 4
    assert result.stderr == (
        "error: cannot write the result to standard output: No space left on device; the videos were made: a.mp4\n"
    )


def test_a_reader_that_has_gone_is_no_error() -> None:
    result = in_shell(REPORTING, "| true; exit ${PIPESTATUS:-0}")
    assert (result.returncode, result.stderr) == (0, "")


def test_closed_standard_error_neither_crashes_nor_spoils_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    result = in_shell("import sys; from attnviz_video import cli; sys.exit(cli.main(['zzz']))", "2>&-")
    assert (result.returncode, result.stdout) == (2, "")
    monkeypatch.setattr(sys, "stderr", None)
    StandardError().notice("unheard")
    with StandardError().track("unseen", 3, "part") as advance:
        advance(1)
