"""What users call from code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import attnviz_video
from attnviz_video import AttentionVisualizer, open_trace, record, render_video
from attnviz_video.api import pictures_from, with_settings
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.errors import TraceError, UsageError
from attnviz_video.progress import Silent
from attnviz_video.testing.video import probe
from attnviz_video.views import shown_layers
from tests.tracefile.made import made

SMALL: dict[str, Any] = {"width": 640, "height": 360, "tokens_per_second": 8.0}


class Heard(Silent):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "a.png"
    Image.new("RGB", (120, 60), (30, 200, 30)).save(file)
    return file


@pytest.fixture
def dataset(picture: Path, tmp_path: Path) -> Path:
    file = tmp_path / "data.json"
    file.write_text(json.dumps([{"id": "x", "image": "a.png", "problem": "What is it?", "answer": "green"}]))
    return file


@pytest.fixture
def trace(tiny_model: Any, picture: Path, tmp_path: Path) -> Any:
    return record(
        tiny_model("qwen2_vl"), images=[picture], question="What is it?", progress=Silent(),
        layer_idx=[1, 2], start_phrase="", max_new_tokens=5, output_dir=tmp_path / "out",
    )  # fmt: skip


def test_all_names_exist_and_nothing_else_is_promised() -> None:
    for name in attnviz_video.__all__:
        assert getattr(attnviz_video, name) is not None
    with pytest.raises(AttributeError, match="module 'attnviz_video' has no attribute 'nothing'"):
        attnviz_video.nothing  # noqa: B018


def test_a_recording_can_be_asked_for_weights(trace: Any) -> None:
    assert trace.n_steps == 5
    assert trace.layers == (1, 2)
    n_prompt = trace.data.n_prompt
    for step in range(5):
        row = trace.weights(step, 2)
        assert row.shape == (n_prompt + step,)
        assert row.sum() == pytest.approx(1.0, abs=2e-3)
    heads = np.stack([trace.weights(3, 1, head) for head in range(4)])
    np.testing.assert_allclose(heads.mean(axis=0), trace.weights(3, 1), atol=2e-3)


def test_weights_on_an_image_come_as_its_grid(trace: Any) -> None:
    (grid,) = trace.image_weights(0, 2)
    layout = trace.data.layout
    assert grid.shape == (layout.grids[0].rows, layout.grids[0].columns)
    row = trace.weights(0, 2)
    assert grid[1, 2] == row[layout.patch_positions(0)[grid.shape[1] + 2]]
    for image in (4, -1):
        with pytest.raises(UsageError, match=f"image {image}: the trace has images 0 to 0"):
            trace.image_weights(0, 2, image)


def test_pieces_are_one_per_position(trace: Any) -> None:
    assert len(trace.pieces) == trace.data.n_prompt + 5
    assert "".join(trace.pieces[trace.data.n_prompt :]) == trace.answer


def test_a_layer_that_was_not_recorded_is_an_error(trace: Any) -> None:
    with pytest.raises(TraceError, match="--layers"):
        trace.weights(0, 3, head=1)


def test_a_trace_opens_again_and_renders(trace: Any, tmp_path: Path) -> None:
    path = render_video(open_trace(trace.folder), layer_idx=-2, progress=Silent(), colormap="cividis", **SMALL)
    assert path == tmp_path / "out/combined_attention_visualization_layer2.mp4"
    assert probe(path).size == (640, 360)
    named = render_video(trace.folder, tmp_path / "x.mp4", progress=Silent(), **SMALL)
    assert named == tmp_path / "x.mp4"


def test_negative_layers_count_from_the_end(trace: Any) -> None:
    assert shown_layers(trace, (-1, 0)) == (3, 0)
    assert shown_layers(trace, (3, -1, 0, 3)) == (3, 0)
    with pytest.raises(UsageError, match="--layer_idx 7: the model has layers 0 to 3"):
        shown_layers(trace, (7,))


def test_settings_by_name_are_checked_as_flags_are() -> None:
    assert with_settings(RunConfig(), {"gamma": 0.4}).analysis.gamma == 0.4
    with pytest.raises(UsageError, match="unknown setting 'gama'; did you mean 'gamma'"):
        with_settings(RunConfig(), {"gama": 0.4})


def test_the_visualizer_class_makes_the_promised_file(
    tiny_checkpoint: Any, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    visualizer = AttentionVisualizer(str(tiny_checkpoint("qwen2_vl")), max_image_num=2, device="cpu")
    sample, images = visualizer.load_sample_data(dataset, tmp_path, sample_idx=0)
    assert sample.problem == "What is it?"
    assert [image.size for image in images] == [(120, 60)]
    small = {**SMALL, "max_new_tokens": 4}
    path = visualizer.create_attention_visualization_for_sample(
        sample=sample, images=images, layer_idx=2, start_phrase="", **small
    )
    assert path == Path("videos/combined_attention_visualization_layer2.mp4")
    assert path.is_file()
    paths = visualizer.create_attention_visualization_for_sample(sample, layer_idx=[0, 3], **small)
    assert isinstance(paths, list)
    assert [item.name[-10:] for item in paths] == ["layer0.mp4", "layer3.mp4"]


def test_the_visualizer_takes_a_raw_item_and_open_pictures(
    tiny_model: Any, picture: Path, tmp_path: Path, tiny_checkpoint: Any
) -> None:
    visualizer = AttentionVisualizer(str(tiny_checkpoint("qwen2_vl")), device="cpu", output_dir=str(tmp_path / "o"))
    item = {"problem": "What is it?"}
    with Image.open(picture) as image:
        path = visualizer.create_attention_visualization_for_sample(
            item, [image], layer_idx=1, start_phrase="", max_new_tokens=3, **SMALL
        )
    assert isinstance(path, Path)
    assert len(open_trace(tmp_path / "o/trace_sample0").data.layout.images) == 1


def test_f23_an_incomplete_trace_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = made(20)
    with recording.writer(tmp_path / "trace") as writer:
        for step in recording.steps:
            writer.add(step)
    heard = Heard()
    assert open_trace(tmp_path / "trace", heard).n_steps == 20
    sentence = f"{tmp_path / 'trace'}: the trace is incomplete, 20 steps (its recording failed)"
    assert heard.notices == [sentence]
    open_trace(tmp_path / "trace")
    assert sentence in capsys.readouterr().err


def test_a_picture_that_holds_several_is_said_to(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    heard = Heard()
    (picture,) = pictures_from((), Sample(0, "x", "?", (tmp_path / "a.gif",)), heard)
    assert picture.size == (8, 8)
    assert heard.notices == [f"{tmp_path / 'a.gif'}: holds several pictures; the first is used"]


def test_f20_the_size_said_beforehand_is_about_that_of_the_trace(
    tiny_model: Any, picture: Path, tmp_path: Path
) -> None:
    heard = Heard()
    recorded = record(
        tiny_model("qwen2_vl"), images=[picture], question="What is it?", progress=heard, layer_idx=1,
        start_phrase="", max_new_tokens=40, output_dir=tmp_path / "out",
    )  # fmt: skip
    (said,) = [sentence for sentence in heard.notices if "the trace then takes about" in sentence]
    number, unit = said.split("about ")[1].split()
    taken = sum(file.stat().st_size for file in recorded.folder.iterdir())
    assert recorded.n_steps == 40
    assert 0.6 < float(number) * {"kB": 1e3, "MB": 1e6}[unit] / taken < 1.6


def test_a_trace_says_in_one_line_what_it_is(trace: Any) -> None:
    said = f"Trace({str(trace.folder)!r}: {trace.data.header.model.short_name}, 5 steps, complete)"
    assert repr(trace) == said
