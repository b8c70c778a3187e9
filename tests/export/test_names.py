"""Names of outputs, and FAULTS 28: what may be replaced."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import ModelIdentity, StartPoint, TraceHeader
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.mark import VideoMark, mark_of, read_mark
from attnviz_video.export.mp4 import VideoMetadata, write_mp4
from attnviz_video.export.names import (
    beside_trace,
    check_target,
    rendered_path,
    replaced_sentence,
    trace_path,
    video_metadata,
    video_path,
)
from attnviz_video.export.settings import ExportSettings

MODEL = ModelIdentity(
    id="checkpoints/my_model", revision="", model_type="qwen2_vl", config_hash="c", processor_hash="p",
    template_hash="t", n_layers=4, n_heads=2, n_kv_heads=1, layer_kinds=("full",) * 4, dtype="float32",
    device="cpu", attention="sdpa",
)  # fmt: skip


def header(model_id: str = "checkpoints/my_model", index: int = 0, sample_id: str = "item-0") -> TraceHeader:
    return TraceHeader(
        model=dataclasses.replace(MODEL, id=model_id),
        sample=Sample(index, sample_id, "How many circles?", (Path("a.png"),), source="test.json"),
        rendered_prompt="", start=StartPoint("", "none", 0, 0), head_layers=(3,), heads=(0, 1), mean_layers=(3,),
        scalar_layers=(3,),
    )  # fmt: skip


def write_video(path: Path, metadata: VideoMetadata) -> Path:
    frame = np.zeros((16, 16, 3), dtype=np.uint8)
    return write_mp4([frame], path, size=(16, 16), n_frames=1, settings=ExportSettings(), metadata=metadata)


def test_names_are_those_of_the_design(tmp_path: Path) -> None:
    settings = ExportSettings(output_dir=tmp_path)
    assert video_path(settings, 20) == tmp_path / "combined_attention_visualization_layer20.mp4"
    assert trace_path(settings, header(index=7).sample) == tmp_path / "trace_sample7"
    assert video_path(ExportSettings(output=tmp_path / "a.mp4"), 20) == tmp_path / "a.mp4"


def test_render_writes_beside_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "combined_attention_visualization_layer3.mp4"
    assert beside_trace(tmp_path / "trace_sample0", 3) == tmp_path / name
    assert beside_trace(Path("trace_sample0"), 3) == Path(name)
    (tmp_path / "trace_sample0").mkdir()
    monkeypatch.chdir(tmp_path / "trace_sample0")
    assert beside_trace(Path("."), 3) == tmp_path / name


def test_render_writes_into_any_folder_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = "combined_attention_visualization_layer3.mp4"
    trace = Path("elsewhere/trace_sample0")
    assert rendered_path(ExportSettings(), trace, 3) == Path("elsewhere") / name
    assert rendered_path(ExportSettings(output_dir=Path("videos")), trace, 3) == Path("videos") / name
    assert rendered_path(ExportSettings(output=Path("a.mp4")), trace, 3) == Path("a.mp4")
    assert video_path(ExportSettings(), 3) == Path("videos") / name
    assert trace_path(ExportSettings(), header(index=7).sample) == Path("videos/trace_sample7")


def test_one_file_name_for_several_layers_is_refused() -> None:
    sentence = (
        r"-o a\.mp4 names one file, but 2 layers are asked for; name one layer with --layer_idx, or give a folder"
    )
    with pytest.raises(UsageError, match=sentence):
        video_path(ExportSettings(output=Path("a.mp4")), 3, n_layers=2)


def test_f28_target_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").mkdir()
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"out\.mp4 is a folder; name a file with -o, or a folder"):
            check_target(tmp_path / "out.mp4", overwrite=overwrite)


def test_f28_target_is_no_mp4(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.avi: expected a file name that ends in \.mp4; choose another with -o"):
        check_target(tmp_path / "out.avi", overwrite=False)


def test_f28_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match=r"x\.mp4 cannot be written: .*file is a file; choose another place"):
        check_target(tmp_path / "file" / "deeper" / "x.mp4", overwrite=False)


def test_f28_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The system's answer is replaced: root, who runs the tests in a container, may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UsageError, match=r"x\.mp4 cannot be written: no permission in .*; choose another place with"):
        check_target(tmp_path / "new" / "x.mp4", overwrite=False)


def test_f28_a_file_of_somebody_else_needs_overwrite(tmp_path: Path) -> None:
    target = write_video(tmp_path / "out.mp4", VideoMetadata("holiday", "attnviz_video is a nice program"))
    sentence = r"out\.mp4 was not written by this program; choose another name with -o, or replace it with --overwrite"
    with pytest.raises(UsageError, match=sentence):
        check_target(target, overwrite=False)
    check_target(target, overwrite=True)


def test_f28_our_own_file_is_replaced_and_another_recording_is_named(tmp_path: Path) -> None:
    target = write_video(tmp_path / "out.mp4", video_metadata(header(), 3))
    check_target(target, overwrite=False)
    assert replaced_sentence(target, header()) is None
    sentence = f"replacing {target}, which showed sample item-0 of model my_model"
    assert replaced_sentence(target, header(sample_id="item-1")) == sentence
    assert replaced_sentence(target, header("checkpoints/other/my_model")) == sentence
    assert replaced_sentence(tmp_path / "nothing.mp4", header()) is None


def test_f28_unreadable_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"x")

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(EnvironmentFault, match=r"cannot read .*out\.mp4: Permission denied; choose another name"):
        check_target(target, overwrite=False)


def test_mark_survives_the_file(tmp_path: Path) -> None:
    odd = header("C:\\models\\模型-7B\\", sample_id='红色 "x" \ud83d {')
    path = write_video(tmp_path / "a.mp4", video_metadata(odd, 3))
    assert read_mark(path) == mark_of(odd, 3)
    assert mark_of(odd, 3).model == "模型-7B"


def test_mark_holds_no_folder_of_the_machine() -> None:
    metadata = video_metadata(header("/home/somebody/secret/my_model"), 3)
    assert metadata.title == "Attention of my_model, layer 3, sample item-0"
    assert "somebody" not in metadata.comment


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"moov",
        b"\0\0\0\0moov" + b"attnviz_video {",
        b"\0\0\0\x01moov" + b"\xff" * 8,
        b"\0\0\0\x20moov" + b'attnviz_video {"sample": }' + b" " * 10,
        b"\0\0\0\x04moov",
        b"\xff\xff\xff\xffmdat",
    ],
)
def test_what_is_not_ours_has_no_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    assert read_mark(tmp_path / "a.mp4") is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_asked_for_a_mark(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "a.mp4"
    path.write_bytes(content)
    assert read_mark(path) is None


@given(st.text(), st.text(min_size=1), st.integers(0, 99))
def test_mark_is_read_from_a_moov_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, sample: str, model: str, layer: int
) -> None:
    mark = VideoMark(sample, model, layer, "k")
    body = b"...." + mark.comment().encode("ascii") + b"\0rest"
    moov = (8 + len(body)).to_bytes(4, "big") + b"moov" + body
    large = b"\0\0\0\x01mdat" + (16 + 5).to_bytes(8, "big") + b"12345"
    path = tmp_path_factory.mktemp("any") / "a.mp4"
    path.write_bytes(large + moov)
    assert read_mark(path) == mark
