"""`report`: what is typed, what is printed, how long it takes."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from attnviz_video import cli
from attnviz_video.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
TRACE = str(shipped("samples/demo_trace"))


def test_its_path_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a" / "report.html"
    assert cli.main(["report", TRACE, "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert cli.main(["report", TRACE, "-o", str(path), "--json", "--colormap", "cividis", "--sinks", "mask"]) == 0
    assert json.loads(capsys.readouterr().out) == {"trace": TRACE, "reports": [str(path)]}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer_idx", "99"], "error: --layer_idx 99: the model has layers 0 to 21 (or -22 to -1)"),
        (["--head", "9"], "error: --head 9 is out of range: the model has query heads 0 to 3"),
        (["--report_layers", "x"], "error: --report_layers: expected"),
        (["--report_weights", "x"], "error: --report_weights: expected one of auto, exact, short, got 'x'"),
        (["-o", "r.txt"], "error: -o r.txt: expected a file name that ends in .html"),
    ],
)
def test_what_cannot_be_made(flags: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", TRACE, *flags]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(message)


def test_the_demo_takes_less_than_two_seconds_without_torch(tmp_path: Path) -> None:
    program = (
        "import sys; from attnviz_video.cli import main\n"
        f"code = main(['report', {TRACE!r}, '-o', {str(tmp_path / 'r.html')!r}])\n"
        "sys.exit(code or ('torch' in sys.modules) or ('transformers' in sys.modules) or ('PIL' in sys.modules))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    # Time of the processor: what else the machine does must not count.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
