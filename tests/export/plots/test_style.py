"""`--style`: what a style file says is used, what matplotlib does not know is refused in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import colormaps, rcParams

from attnviz_video.colormaps import colormap
from attnviz_video.errors import UsageError
from attnviz_video.export.plots.look import SERIES, PlotLook, plain_look
from attnviz_video.export.plots.style import styled_look
from attnviz_video.theme import theme
from tests.export.plots.drawn import Told, plotted
from tests.render.made import Made, make_trace


def styled(folder: Path, text: str, told: Told | None = None, *, has_colormap: bool = False) -> PlotLook:
    file = folder / "own.mplstyle"
    file.write_text(text, encoding="utf-8")
    return styled_look(plain_look(theme("light"), None), file, told or Told(), has_colormap=has_colormap)


def test_colours_sizes_and_widths_are_taken(tmp_path: Path) -> None:
    look = styled(
        tmp_path,
        'figure.facecolor: "#102030"\ntext.color: white\naxes.labelcolor: 0.5\naxes.edgecolor: "#ff0000"\n'
        'grid.color: "#00ff00"\naxes.grid: True\nfont.size: 13\naxes.linewidth: 2\nlines.linewidth: 3\n'
        "axes.prop_cycle: cycler('color', ['0000ff', 'ffff00'])\n",
    )
    names = ("panel.background", "ink", "ink.soft", "image.border", "panel.border")
    assert [look.color(name) for name in names] == [
        (16, 32, 48), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0),
    ]  # fmt: skip
    assert (look.text("label"), look.text("small"), look.text("title")) == (13, 12, 16)
    assert (look.border_width, look.line_width, look.grid) == (2, 3, True)
    assert look.series == ((0, 0, 255), (255, 255, 0))


def test_what_a_file_does_not_say_stays(tmp_path: Path) -> None:
    look, plain = (
        styled(tmp_path, "figure.dpi: 50\naxes.edgecolor: auto\n".replace("auto", "none")),
        plain_look(theme("light"), None),
    )
    assert look.colors == {}
    assert (look.text_size, look.series, look.grid, look.fonts) == (plain.text_size, SERIES, None, None)
    np.testing.assert_array_equal(look.table, colormap("reds"))


def test_a_colour_map_by_name_stands_before_that_of_the_file(tmp_path: Path) -> None:
    look = styled(tmp_path, "image.cmap: inferno\n")
    np.testing.assert_allclose(look.table, colormaps["inferno"](np.arange(256))[:, :3] * 255, atol=0.501)
    np.testing.assert_array_equal(styled(tmp_path, "image.cmap: inferno\n", has_colormap=True).table, colormap("reds"))


def test_a_font_of_this_machine_is_used_and_one_that_is_missing_is_told(tmp_path: Path) -> None:
    # matplotlib brings this one.
    look = styled(tmp_path, "font.family: serif\nfont.serif: No Such Font, DejaVu Serif\n")
    assert look.fonts is not None
    assert [Path(file).name for file in look.fonts] == ["DejaVuSerif.ttf", "DejaVuSerif-Bold.ttf"]
    told = Told()
    assert styled(tmp_path, "font.family: No Such Font\n", told).fonts is None
    (notice,) = told.notices
    assert "this machine has no TrueType font called No Such Font; the shipped fonts are used" in notice


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("lines.linewdth: 3", r"Bad key lines.linewdth, line 1 \('lines.linewdth: 3'\)"),
        ("lines.linewidth: thick", "Bad value, line 1 .*Could not convert 'thick' to float"),
        ("nonsense", "Missing colon, line 1"),
    ],
)
def test_a_wrong_line_is_one_sentence(tmp_path: Path, line: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        UsageError, match=f"--style .*own.mplstyle: {why}.*; correct that line or leave it out$"
    ) as found:
        styled(tmp_path, line + "\n")
    assert "\n" not in str(found.value)
    assert capsys.readouterr().err == ""


def test_a_colour_map_that_nobody_knows_is_a_wrong_line(tmp_path: Path) -> None:
    said = r"own.mplstyle: image.cmap: matplotlib knows no colour map 'nosuchmap'; correct that line or leave it out$"
    with pytest.raises(UsageError, match=said):
        styled(tmp_path, "image.cmap: nosuchmap\n")
    with pytest.raises(UsageError, match="no colour map 'virids'; did you mean viridis"):
        styled(tmp_path, "image.cmap: virids\n", has_colormap=True)


@pytest.mark.parametrize("size", [3.9, 14.1, 200])
def test_text_that_a_plot_has_no_room_for_is_refused(tmp_path: Path, size: float) -> None:
    said = rf"own.mplstyle: font.size: expected a size from 4 to 14 points, .*, got {size:g}; correct that line"
    with pytest.raises(UsageError, match=said):
        styled(tmp_path, f"font.size: {size}\n")


def test_a_missing_file_a_folder_and_bytes(tmp_path: Path) -> None:
    plain = plain_look(theme("light"), None)
    with pytest.raises(UsageError, match="--style .*gone.mplstyle: expected a matplotlib style file, but it does not"):
        styled_look(plain, tmp_path / "gone.mplstyle", Told())
    with pytest.raises(UsageError, match="but it is a folder"):
        styled_look(plain, tmp_path, Told())
    (tmp_path / "bytes.mplstyle").write_bytes(b"\xff\xfe\x00lines")
    with pytest.raises(UsageError, match="bytes.mplstyle cannot be read as a style file"):
        styled_look(plain, tmp_path / "bytes.mplstyle", Told())


def test_a_plot_follows_its_style_and_nothing_else_does(tmp_path: Path) -> None:
    file = tmp_path / "own.mplstyle"
    file.write_text('text.color: "#123456"\nfont.family: DejaVu Serif\nfont.size: 9\n', encoding="utf-8")
    before = dict(rcParams)
    trace = make_trace(tmp_path, Made(answer=("红色", " is")))
    figure = plotted(trace, tmp_path, "matrix", style=str(file))
    assert dict(rcParams) == before
    assert "#123456" in figure.source
    assert "font-family: 'DejaVu Serif'" in figure.source
    assert "红色" in figure.texts
    assert min(figure.text_sizes) == pytest.approx(9 * 6 / 6.5, abs=0.01)


def test_filmstrips_take_no_style(tmp_path: Path) -> None:
    trace = make_trace(tmp_path, Made())
    with pytest.raises(UsageError, match=r"--style has no effect on --what filmstrip; it is for --what matrix, heads"):
        plotted(trace, tmp_path, "filmstrip", style=str(tmp_path / "own.mplstyle"))
