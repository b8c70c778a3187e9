from __future__ import annotations

from pathlib import Path

import pytest

from attnviz_video.errors import UsageError
from attnviz_video.export.figures.files import figure_format, figure_path
from attnviz_video.export.figures.settings import FigureSettings


@pytest.mark.parametrize(
    ("settings", "frames", "name"),
    [
        (FigureSettings(step=12), (11,), "attention_step12_layer20.pdf"),
        (FigureSettings(step=-1, format="svg"), (52,), "attention_step53_layer20.svg"),
        (FigureSettings(filmstrip=5, format="png"), (0, 3, 6, 8, 9), "attention_filmstrip5_layer20.png"),
        (FigureSettings(steps=(40, 3)), (39, 2), "attention_steps40-3_layer20.pdf"),
    ],
)
def test_figures_stand_beside_the_trace_under_a_name_that_says_what_they_show(
    tmp_path: Path, settings: FigureSettings, frames: tuple[int, ...], name: str
) -> None:
    assert figure_path(settings, tmp_path / "trace_sample0", 20, frames) == tmp_path / name


def test_a_folder_or_a_name_can_be_given(tmp_path: Path) -> None:
    in_folder = FigureSettings(step=1, output_dir=tmp_path / "figures")
    assert figure_path(in_folder, tmp_path / "trace", 3, (0,)) == tmp_path / "figures/attention_step1_layer3.pdf"
    named = FigureSettings(step=1, output=tmp_path / "a.SVG")
    assert figure_path(named, tmp_path / "trace", 3, (0,)) == tmp_path / "a.SVG"
    assert figure_format(named) == "svg"


def test_another_ending_names_the_valid_ones() -> None:
    sentence = r"-o a.jpg: expected a file name that ends in one of .pdf, .png, .svg"
    with pytest.raises(UsageError, match=sentence):
        figure_format(FigureSettings(step=1, output=Path("a.jpg")))


def test_a_name_and_a_format_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UsageError, match="-o a.png and --format pdf name two formats; leave one out"):
        figure_format(FigureSettings(step=1, output=Path("a.png"), format="pdf"))


def test_one_name_for_two_layers_is_refused(tmp_path: Path) -> None:
    settings = FigureSettings(step=1, output=tmp_path / "a.pdf")
    with pytest.raises(UsageError, match=r"a\.pdf names one file, but 2 layers are asked for"):
        figure_path(settings, tmp_path / "trace", 3, (0,), n_layers=2)


def test_a_file_of_somebody_else_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.4 somebody else's")
    settings = FigureSettings(step=1, output=path)
    with pytest.raises(UsageError, match="was not written by this program; choose another name with -o, or replace it"):
        figure_path(settings, tmp_path / "trace", 3, (0,))
    assert figure_path(FigureSettings(step=1, output=path, overwrite=True), tmp_path, 3, (0,)) == path
    path.write_bytes(b"%PDF-1.4 (attnviz_video figure; layer 3)")
    assert figure_path(settings, tmp_path / "trace", 3, (0,)) == path


def test_a_folder_and_a_place_below_a_file_are_no_figures(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").mkdir()
    with pytest.raises(UsageError, match=r"a\.pdf is a folder; name a file with -o"):
        figure_path(FigureSettings(step=1, output=tmp_path / "a.pdf"), tmp_path, 3, (0,))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"b\.pdf cannot be written: .*file is a file; choose another place"):
        figure_path(FigureSettings(step=1, output=tmp_path / "file/b.pdf"), tmp_path, 3, (0,))
