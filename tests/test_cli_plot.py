"""`plot`: what is typed, what is printed, what is refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from attnviz_video import cli, open_trace
from attnviz_video.config import PLOT_LOOK, PlotConfig
from attnviz_video.config.fields import settings_of
from attnviz_video.errors import UsageError
from attnviz_video.export.plots.kinds import FLAG_KINDS, KINDS
from attnviz_video.export.plots.settings import PlotSettings
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.shipped import shipped

ROOT = Path(__file__).resolve().parent.parent
TRACE = str(shipped("samples/demo_trace"))
COARSE = ["--layer_idx", "20", "--dpi", "80"]


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The error of a `plot` that must fail with one line and print nothing else."""
    assert cli.main(["plot", TRACE, *arguments]) in (2, 4)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line.removeprefix("error: ")


def test_a_plot_is_made_and_its_path_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "matrix.png"
    assert cli.main(["plot", TRACE, *COARSE, "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_names_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--output_dir", str(tmp_path), "--format", "png", "--quiet"]
    expected = {
        ("--what", "matrix"): "attention_matrix_layer20.png",
        ("--what", "matrix", "--head", "2"): "attention_matrix_layer20_head2.png",
        ("--what", "matrix", "--head", "max"): "attention_matrix_layer20_max.png",
        ("--what", "heads"): "attention_heads_layer20.png",
        ("--what", "heads", "--step", "-1"): "attention_heads_step53_layer20.png",
        ("--what", "layers_heads"): "attention_layers_heads_image_share.png",
        ("--what", "layers_heads", "--scalar", "entropy", "--step", "3"): "attention_layers_heads_entropy_step3.png",
        ("--what", "filmstrip"): "attention_filmstrip5_layer20.png",
        ("--what", "filmstrip", "--steps", "3,-1"): "attention_steps3-53_layer20.png",
    }
    for arguments, name in expected.items():
        assert cli.main(["plot", TRACE, *COARSE, *places, *arguments, "--json"]) == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == {"trace": TRACE, "plots": [str(tmp_path / name)]}
        assert captured.err == ""


def test_several_layers_give_a_plot_each_or_one_in_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--layer_idx", "19,20", "--dpi", "80", "--format", "png", "--output_dir", str(tmp_path)]
    assert cli.main(["plot", TRACE, *arguments]) == 0
    names = [f"attention_matrix_layer{layer}.png" for layer in (19, 20)]
    assert capsys.readouterr().out.split() == [str(tmp_path / name) for name in names]
    assert cli.main(["plot", TRACE, *arguments, "--what", "layers_heads"]) == 0
    assert len(capsys.readouterr().out.split()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--what", "matrx"), "--what: expected"),
        (("--step", "3"), "--step has no effect on --what matrix; it is for --what heads, layers_heads"),
        (("--what", "heads", "--step", "0"), "--step 0: this video has steps 1 to 53 (or -53 to -1 from the end)"),
        (("--what", "heads", "--step", "54"), "--step 54: this video has steps 1 to 53"),
        (("--what", "layers_heads", "--patches"), "--patches has no effect on --what layers_heads; it is for"),
        (("--scalar", "entropy"), "--scalar has no effect on --what matrix; it is for --what layers_heads, curves"),
        (("--filmstrip", "3"), "--filmstrip has no effect on --what matrix; it is for --what filmstrip: leave it"),
        (("--what", "filmstrip", "--filmstrip", "3", "--steps", "1"), "--steps and --filmstrip each name a figure"),
        (("--what", "filmstrip", "--filmstrip", "54"), "--filmstrip 54: this video has 53 steps with a row"),
        (("--columns", "3"), "--columns: expected a whole number from 1 to 2, got 3"),
        (("--width", "900"), "unknown flag --width"),
        (("-o", "a.mp4"), "-o a.mp4: expected a file name that ends in one of .pdf, .png, .svg"),
        (("-o", "a.png", "--format", "pdf"), "-o a.png and --format pdf name two formats; leave one out"),
        (("--head", "9"), "--head 9 is out of range: the model has query heads 0 to 3"),
        (("--colormap", "jet"), "--colormap: expected"),
        (
            ("--style", "gone.mplstyle"),
            "--style gone.mplstyle: expected a matplotlib style file, but it does not exist",
        ),
    ],
)
def test_what_cannot_be_plotted_is_refused_in_one_line(
    arguments: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure(capsys, "--layer_idx", "20", *arguments).startswith(sentence)


def test_one_name_for_two_layers_and_a_layer_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(capsys, "--layer_idx", "19,20", "-o", "a.png") == (
        "-o a.png names one file, but 2 layers are asked for; name one layer with --layer_idx, or give a folder with "
        "--output_dir"
    )
    assert failure(capsys, "--layer_idx", "22").startswith("--layer_idx 22: the model has layers 0 to 21")


def test_somebody_elses_file_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.png"
    path.write_bytes(b"mine")
    assert failure(capsys, *COARSE, "-o", str(path)).startswith(f"{path} was not written by this program")
    assert path.read_bytes() == b"mine"
    assert cli.main(["plot", TRACE, *COARSE, "-o", str(path), "--overwrite"]) == 0
    assert cli.main(["plot", TRACE, *COARSE, "-o", str(path)]) == 0  # its own it may replace


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert failure(capsys, *COARSE) == (
        "figures need matplotlib, which this environment lacks; install the extra: pip install 'attnviz-video[plots]'"
    )


def test_every_kind_can_be_named_and_the_flags_of_kinds_exist() -> None:
    what = next(setting for setting in settings_of(PlotConfig) if setting.name == "what")
    for kind in KINDS:
        assert f"{kind}: " in what.metadata["help"]
    names = {item.name for item in fields(PlotSettings)}
    assert set(FLAG_KINDS) <= names
    assert {kind for kinds in FLAG_KINDS.values() for kind in kinds} <= set(KINDS)
    assert set(PLOT_LOOK) <= {item.name for item in fields(RenderSettings)}


def test_python_is_as_strict_as_flags(tmp_path: Path) -> None:
    trace = open_trace(TRACE)
    with pytest.raises(UsageError, match="unknown setting 'colour'"):
        trace.plot("matrix", tmp_path / "a.png", colour="x", progress=Silent())
    with pytest.raises(UsageError, match="what: expected"):
        trace.plot("matrices", tmp_path / "a.png", progress=Silent())


def test_plots_need_no_torch_and_leave_pyplot_alone() -> None:
    program = (
        "import sys, tempfile; from attnviz_video import cli\n"
        f"code = cli.main(['plot', {TRACE!r}, '--layer_idx', '20', '--dpi', '72', '-o', "
        "tempfile.mkdtemp() + '/a.png'])\n"
        "print([name for name in ('torch', 'transformers', 'matplotlib.pyplot') if name in sys.modules], code)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.endswith("[] 0\n"), result.stderr
