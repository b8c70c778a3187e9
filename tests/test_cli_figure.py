"""`figure`: what is typed, what is printed, what is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from attnviz_video import cli, draw_figure
from attnviz_video.config import FIGURE_LOOK
from attnviz_video.errors import UsageError
from attnviz_video.render.settings import RenderSettings
from attnviz_video.shipped import shipped
from tests.export.figures.figure_reading import SvgFigure

ROOT = Path(__file__).resolve().parent.parent
TRACE = str(shipped("samples/demo_trace"))
COARSE = ["--layer_idx", "20", "--dpi", "80"]


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error of a `figure` that must fail with one line and print nothing else."""
    assert cli.main(["figure", TRACE, *arguments]) in (2, 4)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def test_a_step_is_drawn_and_its_path_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "step31.svg"
    assert cli.main(["figure", TRACE, *COARSE, "--step", "31", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert "step 31/53" in SvgFigure(path).text_of("caption-0")


def test_a_filmstrip_of_chosen_steps_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--filmstrip", "5", "--columns", "1", "--format", "svg", "--output_dir", str(tmp_path), "--json"]
    assert cli.main(["figure", TRACE, *COARSE, *arguments]) == 0
    path = tmp_path / "attention_filmstrip5_layer20.svg"
    assert json.loads(capsys.readouterr().out) == {"trace": TRACE, "figures": [str(path)]}
    figure = SvgFigure(path)
    steps = [int(text.removeprefix("step ")) for text in figure.texts if text.startswith("step ")]
    assert len(steps) == 5
    assert steps == sorted(steps)
    assert min(later - earlier for earlier, later in zip(steps, steps[1:], strict=False)) >= 5
    assert "steps with most image attention, at least 4 apart" in figure.text_of("caption-0")


def test_a_strip_of_named_steps_is_in_their_order_and_takes_negative_ones(tmp_path: Path) -> None:
    path = draw_figure(TRACE, tmp_path / "strip.svg", layer_idx=20, steps=[-3, 3, 17], dpi=80)
    texts = SvgFigure(path).texts
    assert [text for text in texts if text.startswith("step ")] == ["step 51", "step 3", "step 17"]


def test_several_layers_give_a_figure_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "--layer_idx",
        "19,20",
        "--dpi",
        "80",
        "--step",
        "-1",
        "--format",
        "svg",
        "--output_dir",
        str(tmp_path),
    ]
    assert cli.main(["figure", TRACE, *arguments]) == 0
    names = [f"attention_step53_layer{layer}.svg" for layer in (19, 20)]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "which steps? give --step N for one step, --filmstrip K for the K steps with most image attention"),
        (("--step", "3", "--filmstrip", "2"), "--step and --filmstrip each name a figure; give one of them"),
        (("--step", "0"), "--step 0: this video has steps 1 to 53 (or -53 to -1 from the end)"),
        (("--step", "54"), "--step 54: this video has steps 1 to 53"),
        (("--step", "-54"), "--step -54: this video has steps 1 to 53"),
        (("--step", "x"), "--step: expected a whole number, got 'x'"),
        (("--steps", "3,54"), "--steps 54: this video has steps 1 to 53"),
        (("--filmstrip", "0"), "--filmstrip: expected a whole number from 1 to 60, got 0"),
        (("--filmstrip", "54"), "--filmstrip 54: this video has 53 steps with a row; ask for fewer"),
        (("--filmstrip", "3", "--scale", "per_frame"), "a filmstrip has one scale for all of its panels"),
        (("--step", "1", "--columns", "3"), "--columns: expected a whole number from 1 to 2, got 3"),
        (("--step", "1", "--width", "900"), "unknown flag --width"),
        (("--step", "1", "-o", "a.mp4"), "-o a.mp4: expected a file name that ends in one of .pdf, .png, .svg"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_line(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(capsys, "--layer_idx", "20", *arguments).startswith(sentence)


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert failure(capsys, "--step", "1") == (
        "figures need matplotlib, which this environment lacks; install the extra: pip install 'attnviz-video[plots]'"
    )


def test_the_look_of_a_figure_is_part_of_that_of_a_frame() -> None:
    assert set(FIGURE_LOOK) <= {item.name for item in fields(RenderSettings)}


def test_settings_of_python_are_as_strict_as_flags(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown setting 'colour'"):
        draw_figure(TRACE, tmp_path / "a.pdf", step=1, colour="x")
    with pytest.raises(UsageError, match="unknown setting 'width'"):
        draw_figure(TRACE, tmp_path / "a.pdf", step=1, width=900)


def test_figures_need_no_torch_and_the_other_commands_no_matplotlib() -> None:
    program = (
        "import sys, tempfile; from attnviz_video import cli\n"
        f"code = cli.main(['figure', {TRACE!r}, '--layer_idx', '20', '--step', '1', '--dpi', '72', '-o', "
        "tempfile.mkdtemp() + '/a.png'])\n"
        "print([name for name in ('torch', 'transformers', 'matplotlib.pyplot') if name in sys.modules], code)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.endswith("[] 0\n"), result.stderr
    program = (
        "import sys; import attnviz_video.api, attnviz_video.render.frame, attnviz_video.export.mp4\n"
        "print([name for name in ('matplotlib', 'fontTools') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == "[]\n", result.stderr
