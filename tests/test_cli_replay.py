"""Replaying a stored response from the command line and from Python: what is written, said and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video import open_trace, record, replay
from attnviz_video.cli import main
from attnviz_video.errors import DatasetError, UsageError
from attnviz_video.models import load
from attnviz_video.progress import Silent
from attnviz_video.testing.video import probe
from attnviz_video.tracefile.manifest import load_manifest
from tests.capture.comparing import HALF_UNIT

RESPONSE = "<think>It is red. 红色</think><answer>1</answer><|im_end|>"
SMALL = ["--width", "640", "--height", "360", "--tokens_per_second", "8"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    Image.new("RGB", (120, 60), (200, 30, 30)).save(tmp_path / "a.png")
    item = {"id": "x", "image": "a.png", "problem": "What is it?", "pred": RESPONSE, "ids": [5, 6, 7], "empty": ""}
    file = tmp_path / "data.json"
    file.write_text(json.dumps([item, {"problem": "Why?", "pred": None}]), encoding="utf-8")
    return file


@pytest.fixture
def flags(tiny_checkpoint: Any, dataset: Path, tmp_path: Path) -> list[str]:
    return ["--model_path", str(tiny_checkpoint("qwen2_vl")), "--benchmark_json", str(dataset), "--device", "cpu",
            "--layer_idx", "2", "--start_phrase", "", "--max_new_tokens", "6", "--output_dir", str(tmp_path / "out"),
            *SMALL]  # fmt: skip


def failure(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    return line


def test_a_response_of_the_item_becomes_a_video(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*flags, "--response_field", "pred"]) == 0
    captured = capsys.readouterr()
    video = tmp_path / "out/combined_attention_visualization_layer2.mp4"
    assert captured.out == f"{video}\n"
    assert probe(video).size == (640, 360)
    assert "field pred is text and was tokenised again: its tokens may differ" in captured.err
    assert "of the response to replay; the trace then takes about" in captured.err
    assert "replaying" in captured.err
    assert "generating" not in captured.err
    trace = open_trace(tmp_path / "out/trace_sample0")
    assert trace.answer == RESPONSE
    header = trace.data.header
    assert header.kind == "replay"
    how = {name: header.generation[name] for name in header.generation if name not in ("prompt", "images")}
    assert how == {"response_from": "field pred", "retokenised": True, "replay_depth": "full"}
    assert header.sample.response == RESPONSE
    assert {token.segment for token in trace.data.tokens[trace.data.n_prompt :]} == {"think", "answer", "other"}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (["--response", "- red"], "- red"),
        (["--answer", "stored"], RESPONSE),
        (["--answer", "auto"], RESPONSE),
        (["--response_field", "ids"], None),
        (["--response_ids", "5", "6", "7"], None),
    ],
)
def test_every_way_to_name_a_response(flags: list[str], asked: list[str], text: str | None, tmp_path: Path) -> None:
    assert main([*flags, *asked, "--quiet"]) == 0
    trace = open_trace(tmp_path / "out/trace_sample0")
    assert trace.data.header.kind == "replay"
    assert trace.data.header.generation["retokenised"] == (text is not None)
    if text is None:
        assert [token.id for token in trace.data.tokens[trace.data.n_prompt :]] == [5, 6, 7]
    else:
        assert trace.answer == text


@pytest.mark.parametrize("asked", [[], ["--answer", "generate"], ["--answer", "auto", "--sample_idx", "1"]])
def test_a_single_run_generates_unless_told_otherwise(flags: list[str], asked: list[str], tmp_path: Path) -> None:
    assert main([*flags, *asked, "--quiet"]) == 0
    (trace,) = (tmp_path / "out").glob("trace_sample*")
    assert load_manifest(trace).header.kind == "generation"


def test_shown_depth_leaves_out_what_was_not_run(flags: list[str], tmp_path: Path) -> None:
    assert main([*flags, "--response_ids", "5,6,7", "--replay_depth", "shown", "--quiet"]) == 0
    trace = open_trace(tmp_path / "out/trace_sample0")
    header = trace.data.header
    assert (header.head_layers, header.mean_layers, header.scalar_layers) == ((2,), (0, 1, 2), (0, 1, 2))
    assert all(step.candidates == () for step in trace.data.steps)
    assert (tmp_path / "out/combined_attention_visualization_layer2.mp4").is_file()


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--response_field", "empty"], "data.json, item 0: field empty is empty: there is nothing to replay"),
        (["--response_field", "nowhere"], "data.json, item 0: no response to replay under 'nowhere': expected text or"),
        (["--response_field", "pred", "--sample_idx", "1"], "data.json, item 1: no response to replay under 'pred'"),
        (["--answer", "stored", "--sample_idx", "1"], "item 1: no response to replay (looked under pred, prediction,"),
        (["--response", ""], "--response is empty: there is nothing to replay; use --answer generate"),
        (["--response", "so", "--response_ids", "4"], "--response and --response_ids each name a response to replay"),
        (["--answer", "generate", "--response", "so"], "--answer generate and --response, which names a response"),
        (
            ["--answer", "store"],
            "--answer: expected one of generate, stored, auto, got 'store'; did you mean 'stored'?",
        ),
        (["--replay_depth", "half"], "--replay_depth: expected one of full, shown, got 'half'"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_the_model_loads(
    flags: list[str],
    asked: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(load, "load_model", lambda settings: pytest.fail("the model was loaded"))
    assert sentence in failure(capsys, [*flags, *asked])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--response_ids", "5,99999"], "error: the response holds token 99999, the model knows 0 to"),
        (["--response", "a <|image_pad|>"], "the model's image placeholder: it stands for features of a picture"),
        (["--response", "so " * 5000], "together more than the 4096 the model reads"),
        (["--response", "so", "--start_phrase", "zebra"], "start phrase 'zebra' occurs neither in the user's prompt"),
        (["--response", "so", "--max_trace_gb", "0.000001"],
         "more than --max_trace_gb 1e-06; record fewer --layers or --heads, or raise --max_trace_gb"),
    ],
)  # fmt: skip
def test_what_only_the_model_can_tell_is_refused_before_anything_is_written(
    flags: list[str], asked: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in failure(capsys, [*flags, *asked])
    assert not list(tmp_path.glob("out/trace_sample0*"))


# --- from Python -----------------------------------------------------------------------------------------------------


def test_t26_a_recorded_answer_replayed_gives_the_same_trace(tiny_model: Any, dataset: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {
        "images": [dataset.parent / "a.png"], "question": "What is it?", "progress": Silent(), "layer_idx": 2,
        "start_phrase": "", "max_new_tokens": 6,
    }  # fmt: skip
    first = record(tiny_model("qwen2_vl"), output_dir=tmp_path / "one", **asked)
    ids = [step.token_id for step in first.data.steps]
    again = replay(tiny_model("qwen2_vl"), ids, output_dir=tmp_path / "two", **asked)
    assert again.answer == first.answer
    assert again.data.header.generation["response_from"] == "--response_ids"
    for step in range(6):
        one, other = first.weights(step, 2), again.weights(step, 2)
        assert (abs(one - other) <= 1e-5 + 2 * HALF_UNIT * one).all()
        assert first.data.steps[step].candidates[0].piece == again.data.steps[step].candidates[0].piece


def test_replay_takes_text_or_the_items_own_response(tiny_model: Any, dataset: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"progress": Silent(), "start_phrase": "", "output_dir": tmp_path / "out"}
    item = {"problem": "What is it?", "pred": "red", "vllm": "green"}
    assert replay(tiny_model("qwen2_vl"), "blue", sample=item, **asked).answer == "blue"
    assert replay(tiny_model("qwen2_vl"), sample=item, **asked).answer == "red"
    assert replay(tiny_model("qwen2_vl"), sample=item, response_field="vllm", **asked).answer == "green"


def test_replay_refuses_before_the_model_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_model", lambda settings: pytest.fail("the model was loaded"))
    with pytest.raises(DatasetError, match="no response to replay"):
        replay("somewhere", question="What is it?")
    with pytest.raises(UsageError, match="--response_ids is empty"):
        replay("somewhere", [], question="What is it?")
