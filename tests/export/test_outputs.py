"""Which files are written, under which names, and what is refused before any frame is painted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.config import RenderConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.core.sample import TruthBox
from attnviz_video.core.trace import TraceData
from attnviz_video.errors import UsageError
from attnviz_video.export.idle_settings import idle_notices
from attnviz_video.export.mark import mark_of, read_mark
from attnviz_video.export.names import Output, formats_of, kind_of, output_paths
from attnviz_video.export.poster import poster_frame
from attnviz_video.export.settings import ExportSettings
from attnviz_video.pipeline import counted, render_outputs, render_trace
from attnviz_video.progress import Silent
from attnviz_video.render.frame import FramePainter
from attnviz_video.testing.video import probe
from tests.render.made import Made, make_scores, make_trace

STEM = "combined_attention_visualization_layer3"


def names(settings: ExportSettings, **more: Any) -> list[tuple[str, str]]:
    return [(output.kind, output.path.name) for output in output_paths(settings, 3, **more)]


def test_one_name_for_each_form(tmp_path: Path) -> None:
    settings = ExportSettings(output_dir=tmp_path, format=("mp4", "png", "gif", "webp", "gif"), poster="auto")
    assert names(settings) == [
        ("mp4", f"{STEM}.mp4"), ("png", f"{STEM}_frames"), ("gif", f"{STEM}.gif"), ("webp", f"{STEM}.webp"),
        ("poster", f"{STEM}_poster.png"),
    ]  # fmt: skip
    assert names(ExportSettings(output_dir=tmp_path)) == [("mp4", f"{STEM}.mp4")]


def test_outputs_of_render_stand_beside_the_trace(tmp_path: Path) -> None:
    trace = tmp_path / "trace_sample0"
    assert output_paths(ExportSettings(), 3, trace_folder=trace)[0].path == tmp_path / f"{STEM}.mp4"
    elsewhere = ExportSettings(output_dir=tmp_path / "x")
    assert output_paths(elsewhere, 3, trace_folder=trace)[0].path == tmp_path / "x" / f"{STEM}.mp4"


@pytest.mark.parametrize(
    ("name", "kind"), [("a.mp4", "mp4"), ("a.WEBP", "webp"), ("b.c.gif", "gif"), ("a.avi", "mp4"), ("a", "mp4")]
)
def test_the_form_follows_the_name(name: str, kind: str) -> None:
    assert kind_of(Path(name)) == kind
    assert formats_of(ExportSettings(output=Path(name))) == (kind,)


def test_the_poster_stands_beside_the_named_file(tmp_path: Path) -> None:
    settings = ExportSettings(output=tmp_path / "a.gif", poster=4)
    assert names(settings) == [("gif", "a.gif"), ("poster", "a_poster.png")]
    assert names(ExportSettings(output=tmp_path / "a_frames", format=("png",), poster=4)) == [
        ("png", "a_frames"), ("poster", "a_poster.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("export", "sentence"),
    [
        ({"output": Path("a.mp4"), "format": ("mp4", "gif")}, r"-o a\.mp4 names one file, but --format asks for 2; "
         r"name one format, or give a folder with --output_dir"),
        ({"output": Path("a.mp4"), "format": ("gif",)}, r"a\.mp4: expected a file name that ends in \.gif; choose "),
        ({"output": Path("a.avi")}, r"a\.avi: expected a file name that ends in \.mp4; choose another with -o"),
        ({"output": Path("a.png"), "format": ("png",)}, r"a\.png: --format png writes a folder of frames; name a "
         r"folder, without \.png"),
    ],
)  # fmt: skip
def test_names_that_do_not_fit(export: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        output_paths(ExportSettings(**export), 3)


@pytest.mark.parametrize(
    ("kind", "name"), [("webp", f"{STEM}.webp"), ("gif", f"{STEM}.gif"), ("poster", f"{STEM}_poster.png")]
)
def test_f28_files_of_somebody_else_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"GIF89a something else")
    formats: Any = ("mp4",) if kind == "poster" else (kind,)
    settings = ExportSettings(output_dir=tmp_path, format=formats, poster="auto")
    with pytest.raises(UsageError, match=rf"{name} was not written by this program; choose another name with -o, or "):
        output_paths(settings, 3)
    assert output_paths(ExportSettings(output_dir=tmp_path, format=formats, poster="auto", overwrite=True), 3)


def test_f28_folders_of_somebody_else_are_refused(tmp_path: Path) -> None:
    settings = ExportSettings(output_dir=tmp_path, format=("png",))
    folder = tmp_path / f"{STEM}_frames"
    folder.write_text("a file")
    with pytest.raises(UsageError, match=f"{STEM}_frames was not written by this program; choose another name with -o"):
        output_paths(settings, 3)
    folder.unlink()
    folder.mkdir()
    assert output_paths(settings, 3), "an empty folder may be filled"
    (folder / "frame_00001.png").write_bytes(b"x")
    with pytest.raises(UsageError, match=f"{STEM}_frames was not written by this program"):
        output_paths(settings, 3)
    (folder / "thesis.txt").write_text("mine")
    with pytest.raises(
        UsageError, match="_frames holds 'thesis.txt', which this program did not write; choose another"
    ):
        output_paths(settings, 3)


# --- the files themselves --------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path) -> TraceData:
    folder = tmp_path / "trace"
    folder.mkdir()
    return make_trace(folder, Made())


def config(**settings: object) -> RenderConfig:
    return replace_settings(RenderConfig(), {"width": 480, "height": 270, **settings})


def test_every_form_at_once_and_again(trace: TraceData, tmp_path: Path) -> None:
    asked = config(format="mp4,webp,gif,png", poster="auto", output_dir=str(tmp_path / "out"))
    for _ in range(2):  # the second time over the first
        outputs = output_paths(asked.export, 0)
        paths = render_outputs(trace, 0, asked, outputs, Silent())
        assert paths == [output.path for output in outputs]
        assert all(read_mark(path) == mark_of(trace.header, 0) for path in paths)
    assert len(list((tmp_path / "out").iterdir())) == 5
    assert probe(paths[0]).n_frames == 6 * 8 + 24
    with Image.open(paths[1]) as webp, Image.open(paths[2]) as gif:
        assert (webp.n_frames, gif.n_frames) == (6, 6)  # type: ignore[attr-defined]


def test_a_path_says_what_is_written(trace: TraceData, tmp_path: Path) -> None:
    with Image.open(render_trace(trace, 0, config(), tmp_path / "x.gif", Silent())) as gif:
        assert gif.format == "GIF"


def test_notices(trace: TraceData, tmp_path: Path) -> None:
    told: list[str] = []

    class Listening(Silent):
        def notice(self, sentence: str) -> None:
            told.append(sentence)

    asked = config(chroma="444", hold_keywords="zebra", webp_quality=70)
    path = tmp_path / "x.mp4"
    render_trace(trace, 0, asked, path, Listening())
    assert probe(path).pixel_format == "yuv444p"
    assert told[-3:] == [
        "--webp_quality 70 has no effect: no WebP is written",
        "--hold_keywords: 'zebra' is not in the shown answer, nothing is held for it",
        f"{path} has full colour resolution (--chroma 444): browsers, QuickTime and PowerPoint do not play it, "
        "VLC and mpv do",
    ]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, []),
        ({"max_mb": 5, "chroma": "444", "webp_quality": 70, "format": "mp4,webp"}, []),
        ({"boxes": "truth"}, [
            "--boxes truth: the dataset has no box on the images of this sample, none of it is drawn",
        ]),
        ({"boxes": "answer"}, ["--boxes answer: the answer writes no box on the images, none of it is drawn"]),
        ({"boxes": "both"}, [
            "--boxes both: the dataset has no box on the images of this sample, none of it is drawn",
            "--boxes both: the answer writes no box on the images, none of it is drawn",
        ]),
        ({"max_mb": 5, "format": "gif"}, ["--max_mb 5 has no effect: it limits the MP4, and none is written"]),
        ({"chroma": "444", "format": "png"}, [
            "--chroma 444 has no effect: it is a setting of the MP4, and none is written",
        ]),
        ({"webp_quality": 70}, ["--webp_quality 70 has no effect: no WebP is written"]),
    ],
)  # fmt: skip
def test_settings_without_effect_are_told(
    trace: TraceData, tmp_path: Path, settings: dict[str, Any], expected: list[str]
) -> None:
    asked = config(output_dir=str(tmp_path / "out"), **settings)
    assert list(idle_notices(trace, asked.render, asked.export, output_paths(asked.export, 0))) == expected


def test_boxes_that_are_there_need_no_notice(trace: TraceData, tmp_path: Path) -> None:
    asked = config(boxes="both")
    sample = replace(trace.header.sample, boxes=(TruthBox("disc", 0, (20.0, 20.0, 120.0, 100.0)),))
    given = replace(trace, header=replace(trace.header, sample=sample))
    assert [said[:35] for said in idle_notices(given, asked.render, asked.export, ())] == [
        "--boxes both: the answer writes no "
    ]
    (tmp_path / "boxed").mkdir()
    boxed = make_trace(tmp_path / "boxed", Made(answer=(" A", " (500,", "250),(", "900,", "800)")))
    assert [said[:35] for said in idle_notices(boxed, asked.render, asked.export, ())] == [
        "--boxes both: the dataset has no bo"
    ]


def test_what_cannot_be_is_refused_before_anything_is_written(trace: TraceData, tmp_path: Path) -> None:
    paths = (Output("mp4", tmp_path / "x.mp4"), Output("gif", tmp_path / "x.gif"))
    with pytest.raises(UsageError, match="a GIF shows at most 50 frames per second"):
        render_outputs(trace, 0, config(tokens_per_second=60, fps=60), paths, Silent())
    paths = (Output("mp4", tmp_path / "x.mp4"), Output("poster", tmp_path / "x.png"))
    with pytest.raises(UsageError, match="--poster 7: the video has steps 1 to 6"):
        render_outputs(trace, 0, config(poster=7), paths, Silent())
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace"]


def test_the_poster_is_a_frame_of_the_video(trace: TraceData, tmp_path: Path) -> None:
    outputs = (Output("poster", tmp_path / "p.png"),)
    render_outputs(trace, 0, config(poster=3), outputs, Silent())
    scores = make_scores(tmp_path / "trace", Made())
    wanted = FramePainter(scores, config().render).frame(2)
    with Image.open(tmp_path / "p.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), wanted)


def test_the_poster_shows_most_image_attention(tmp_path: Path) -> None:
    def row(step: int, layout: Any) -> np.ndarray:
        weights = np.full(layout.n_prompt + step, 0.01, dtype=np.float32)
        weights[layout.patch_positions(0)] = 1.0 if step in (2, 4) else 0.1
        return weights / weights.sum()

    scores = make_scores(tmp_path, Made(row=row))
    assert poster_frame(scores, "auto") == 2
    assert poster_frame(scores, 6) == 5
    reading = make_scores(tmp_path, Made(row=row, analysis=AnalysisSettings(convention="reading")))
    assert poster_frame(reading, "auto") == 1, "the frame without a row never wins"
    none = make_scores(tmp_path, Made(image_sizes=(), grids=()))
    assert poster_frame(none, "auto") == 5


def test_progress_counts_every_frame_once_however_many_attempts() -> None:
    steps: list[int] = []
    on_frame = counted(steps.append)
    for written in (1, 2, 3, 1, 2, 3, 4):
        on_frame(written)
    assert steps == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("given", "found"), [("gif", ("gif",)), ("mp4, png", ("mp4", "png")), (["webp"], ("webp",)), (None, None)]
)
def test_formats_as_they_are_written(given: object, found: object) -> None:
    assert replace_settings(RenderConfig(), {"format": given}).export.format == found


def test_settings_that_cannot_be() -> None:
    with pytest.raises(
        UsageError, match="format: expected one or more of mp4, webp, gif, png, got 'webm'; did you mean"
    ):
        replace_settings(RenderConfig(), {"format": "webm"})
    assert replace_settings(RenderConfig(), {"chroma": 444}).export.chroma == "444"
    with pytest.raises(UsageError, match="poster: expected a whole number of at least 1, got 0"):
        replace_settings(RenderConfig(), {"poster": 0})
