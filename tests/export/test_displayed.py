"""What a notebook is given of a video, a figure or another file."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video import open_trace
from attnviz_video.api import Trace
from attnviz_video.export import displayed
from attnviz_video.export.displayed import DisplayedFiles
from attnviz_video.progress import Silent
from attnviz_video.shipped import shipped

HOSTILE = "a'\"><img src=x onerror=1>&.mp4"


@pytest.fixture(scope="module")
def demo() -> Trace:
    return open_trace(shipped("samples/demo_trace"))


def made(path: Path, data: bytes = b"data") -> DisplayedFiles:
    path.write_bytes(data)
    return DisplayedFiles((path,))


def picture(path: Path, **settings: Any) -> DisplayedFiles:
    Image.new("RGB", (600, 300), (9, 99, 199)).save(path, **settings)
    return DisplayedFiles((path,))


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("mp4", "video/mp4"),
        ("png", "image/png"),
        ("svg", "image/svg+xml"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
    ],
)
def test_what_a_browser_can_show_is_part_of_the_notebook(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"x.{ending}"
    shown = (picture(path) if ending == "png" else made(path))._repr_html_()
    source = re.search(r'<(?:img|video) src="data:([^;]+);base64,([^"]+)"', shown)
    assert source is not None
    assert source[1] == kind
    assert base64.b64decode(source[2]) == path.read_bytes()


@pytest.mark.parametrize("name", ["x.pdf", "frames", "x.html"])
def test_other_files_are_named_and_linked_from_the_notebook_s_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    files = made(tmp_path / name)
    assert files._repr_html_() == f'<div style="margin:4px 0"><code>{tmp_path / name}</code></div>'
    monkeypatch.chdir(tmp_path)
    assert f'<a href="{name}" target="_blank"' in files._repr_html_()


def test_a_large_file_stays_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(displayed, "MOST_EMBEDDED", 3)
    files = made(tmp_path / "v 1.mp4")
    assert files._repr_html_().endswith("v 1.mp4</code> (4 B) is too large for a notebook; open it from there</div>")
    monkeypatch.chdir(tmp_path)
    assert '<video src="v%201.mp4" controls' in files._repr_html_()
    assert files._repr_png_() is None


def test_a_file_that_was_removed_is_said_to_be(tmp_path: Path) -> None:
    files = DisplayedFiles((tmp_path / "gone.png",))
    assert files._repr_html_().endswith("gone.png</code> is not there any more</div>")
    assert (files._repr_png_(), files._repr_svg_()) == (None, None)


def test_hostile_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = HOSTILE.replace("/", "")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(displayed, "MOST_EMBEDDED", 3)
    shown = made(tmp_path / name)._repr_html_()
    assert "<img" not in shown
    assert shown.count("<video ") == 1
    assert 'src="a%27%22%3E%3Cimg%20src%3Dx%20onerror%3D1%3E%26.mp4"' in shown


def test_a_picture_for_print_has_its_size_on_paper(tmp_path: Path) -> None:
    assert ' width="256" ' in picture(tmp_path / "a.png", dpi=(300, 300))._repr_html_()
    assert " width=" not in picture(tmp_path / "b.png")._repr_html_()
    assert " width=" not in made(tmp_path / "damaged.png")._repr_html_()


def test_one_picture_also_has_its_own_kind(tmp_path: Path) -> None:
    one, two = picture(tmp_path / "a.png"), picture(tmp_path / "b.png")
    assert one._repr_png_() == (tmp_path / "a.png").read_bytes()
    assert made(tmp_path / "c.svg", b"<svg/>")._repr_svg_() == "<svg/>"
    both = DisplayedFiles((one.path, two.path))
    assert both._repr_png_() is None
    assert both._repr_html_().count("<img ") == 2
    assert (list(both), len(both), str(both)) == ([one.path, two.path], 2, f"{one.path}, {two.path}")


# --- what a trace gives ----------------------------------------------------------------------------------------------


def test_a_video_of_a_trace(demo: Trace, tmp_path: Path) -> None:
    video = demo.video(
        tmp_path / "v.mp4", layer_idx=19, progress=Silent(), width=480, height=270, tokens_per_second=24, hold_end=0
    )
    assert video.path == tmp_path / "v.mp4"
    assert os.fspath(video) == str(video.path)
    assert '<video src="data:video/mp4;base64,' in video._repr_html_()
    # A path given in Python is meant: what stands there is replaced.
    video.path.write_bytes(b"of somebody else")
    assert demo.video(video.path, layer_idx=19, progress=Silent(), width=480, height=270).path.stat().st_size > 1000


def test_a_figure_of_a_trace_is_a_picture_unless_asked_otherwise(tmp_path: Path, demo: Trace) -> None:
    trace = Trace(tmp_path / "trace_sample0", demo.data)
    shown = trace.figure(step=25, layer_idx=[19, 20], columns=1, dpi=72, progress=Silent())
    assert [path.suffix for path in shown] == [".png", ".png"]
    assert shown._repr_html_().count('<img src="data:image/png;base64,') == 2
    assert trace.figure(step=25, columns=1, format="svg", progress=Silent()).path.suffix == ".svg"
    assert trace.figure(tmp_path / "x.pdf", step=25, columns=1, progress=Silent()).path == tmp_path / "x.pdf"
    assert trace.figure(output=str(tmp_path / "y.pdf"), step=25, columns=1, progress=Silent()).path.suffix == ".pdf"
