"""Encoders on the command line: a text becomes a trace, and the trace a page and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from attnviz_video import api, cli
from attnviz_video.testing.families import encoders
from attnviz_video.testing.families.text_only import build_gpt2
from attnviz_video.testing.planted_encoding import planted_encoding, write_encoding

TEXT = "The cat [MASK] on the mat."


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encoders.build_bert(tmp_path_factory.mktemp("encoder") / "bert"))


@pytest.fixture
def asked(bert: str, tmp_path: Path) -> Callable[..., int]:
    """Runs the program with the encoder and a folder for its output."""
    return lambda *flags: cli.main(["--model_path", bert, "--output_dir", str(tmp_path), "--device", "cpu", *flags])


def test_a_text_leaves_its_trace_and_says_how_to_see_it(
    asked: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("--question", TEXT) == 0
    captured = capsys.readouterr()
    folder = tmp_path / "trace_sample0"
    assert captured.out == f"{folder}\n"
    assert "reading: 9 tokens in one pass; the trace then takes about " in captured.err
    told = (
        f"an encoder writes no answer, so there is no video; see it with: python visualize_heatmap.py report {folder}"
    )
    assert told in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ["trace_sample0"]
    assert asked("--question", TEXT, "--json", "--quiet") == 0
    assert json.loads(capsys.readouterr().out) == {"trace": str(folder), "videos": []}


def test_two_sentences_and_what_is_made_of_them(
    asked: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked("--question", TEXT, "--question_pair", "Dogs chase it.", "--layer_idx", "1") == 0
    trace = str(tmp_path / "trace_sample0")
    data = api.open_trace(trace).data
    assert [token.segment for token in data.tokens] == ["first"] * 9 + ["second"] * 5
    assert (data.header.head_layers, data.header.shown_layers) == ((0, 1, 2), (1,))
    assert data.header.generation["question_pair"] == data.header.sample.extra["question_pair"] == "Dogs chase it."
    capsys.readouterr()
    assert cli.main(["report", trace]) == 0
    assert Path(capsys.readouterr().out.strip()).read_text().count('"kind":"encoding"') == 1
    assert cli.main(["table", trace, "--what", "masked"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 12
    assert lines[1].split() == ["position", "rank", "candidate", "candidate_id", "probability"]
    assert cli.main(["table", trace, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["columns"]["segment"][-1] == "sentence B"


def test_a_trace_without_steps_is_not_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_encoding(planted_encoding(), tmp_path / "trace")
    for words in (["render"], ["figure", "--step", "1"]):
        assert cli.main([words[0], str(folder), *words[1:]]) == 2
        captured = capsys.readouterr()
        assert captured.err == (
            "error: nothing to render: the trace is one pass of an encoder over a text, in which no token was "
            "generated; see it with report, plot or table\n"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--question", TEXT, "--response", "x"],
            "error: --response: an encoder reads a text and writes no answer, so ",
        ),
        (["--question", TEXT, "--layer_idx", "9"], "error: --layer_idx 9: "),
        (["--question", TEXT, "--heads", "0", "--head", "2"], "error: --head 2 cannot be shown: --heads keeps only 0"),
        (
            ["--question_pair", "x"],
            "error: --question_pair is the second of two sentences; give the first with --quest",
        ),
        (["--question", TEXT, "--question_pair", " "], "error: --question_pair is empty: what is the second sentence?"),
        (["--question", TEXT, "--max_trace_gb", "0.000001"], "error: the trace takes "),
        ([], "error: model_type 'bert' reads text only, and 1 image was given; ask without images, or take a vision"),
    ],
)
def test_what_cannot_be_done(
    asked: Callable[..., int], tmp_path: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(*flags) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith(message)
    assert not (tmp_path / "trace_sample0").exists()


def test_settings_without_effect_are_told(asked: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert asked("--question", TEXT, "--strategy", "cot", "--start_phrase", "cat") == 0
    told = capsys.readouterr().err
    for name in ("strategy", "start_phrase"):
        assert f"--{name} has no effect: an encoder reads the bare text, all of it" in told


def test_a_pair_is_for_encoders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from attnviz_video.shipped import shipped

    flags = ["--model_path", str(shipped("samples/demo_model")), "--output_dir", str(tmp_path)]
    assert cli.main([*flags, "--question", "a", "--question_pair", "b"]) == 2
    message = "error: --question_pair: model_type 'qwen2_vl' takes one question, not a pair of sentences; leave it out"
    assert capsys.readouterr().err.splitlines()[-1].startswith(message)


def test_a_batch_takes_no_encoder(bert: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items = tmp_path / "items.json"
    items.write_text(json.dumps([{"problem": TEXT}]))
    flags = ["--model_path", bert, "--benchmark_json", str(items), "--output_dir", str(tmp_path / "out")]
    assert cli.main(["batch", *flags]) == 2
    message = (
        "error: model_type 'bert' is an encoder, which reads a text and writes no answer; record its texts one by one"
    )
    assert capsys.readouterr().err.splitlines()[-1].startswith(message)


def test_from_python(bert: str, tmp_path: Path) -> None:
    trace = api.record(bert, question=TEXT, question_pair="It slept.", output_dir=str(tmp_path), device="cpu")
    assert trace.n_steps == 0
    assert trace.data.tokens[-1].segment == "second"
    assert trace.table("masked").n_lines == 10
    assert trace.report().path.is_file()
    item = api.record(bert, sample={"problem": TEXT, "question_pair": "It."}, output_dir=str(tmp_path), device="cpu")
    assert item.data.tokens[-1].segment == "second"


def test_layers_of_an_encoder(bert: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", "--model_path", bert]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"{bert}: 3 layers, 4 query heads, 4 key-value heads"


def test_a_text_decoder_of_the_gpt2_kind_writes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(build_gpt2(tmp_path / "gpt2"))
    flags = ["--model_path", model, "--question", "The red circle", "--max_new_tokens", "4", "--start_phrase", ""]
    assert cli.main([*flags, "--output_dir", str(tmp_path / "out"), "--record_rows", "all", "--layers", "all"]) == 0
    assert Path(capsys.readouterr().out.strip()).suffix == ".mp4"
    data = api.open_trace(tmp_path / "out" / "trace_sample0").data
    assert data.header.model.model_type == "gpt2"
    assert data.rows.prompt_rows(0).shape == (4, data.n_prompt - 1, data.n_prompt)
    assert cli.main(["layers", "--model_path", model]) == 0
    assert "    2  full  2 or -1  (default)" in capsys.readouterr().out
