"""The command line: what is typed, what is printed where, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video import api, cli, pipeline
from attnviz_video.commands.listing import COMMANDS
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import replace_settings
from attnviz_video.config.demo import demo_config, with_demo
from attnviz_video.errors import Interrupted
from attnviz_video.testing.families.text_only import build_qwen2
from attnviz_video.testing.video import probe
from attnviz_video.tracefile.read import open_trace

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--width", "640", "--height", "360", "--tokens_per_second", "8"]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A dataset of two items over one image of 120 × 60 pixels."""
    Image.new("RGB", (120, 60), (200, 30, 30)).save(tmp_path / "a.png")
    items = [
        {"id": "first", "image": "a.png", "problem": "Based on the following requirements, what is it?"},
        {"id": "second", "image": ["a.png"], "problem": "Where is it?", "answer": "y"},
    ]  # fmt: skip
    file = tmp_path / "data.json"
    file.write_text(json.dumps(items), encoding="utf-8")
    return file


@pytest.fixture
def flags(tiny_checkpoint: Any, dataset: Path, tmp_path: Path) -> list[str]:
    """The six flags of the main job on a tiny model, writing into an empty folder."""
    return ["--model_path", str(tiny_checkpoint("qwen2_vl")), "--benchmark_json", str(dataset), "--image_dir",
            str(dataset.parent), "--sample_idx", "0", "--device", "cpu", "--max_new_tokens", "6",
            "--output_dir", str(tmp_path / "out"), *SMALL]  # fmt: skip


def failure(capsys: pytest.CaptureFixture[str], arguments: list[str], exit_code: int = 2) -> str:
    """Standard error of a run that must fail with one line and print nothing else."""
    assert cli.main(arguments) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err
    return lines[0]


# --- the main job ----------------------------------------------------------------------------------------------------


def test_run_prints_one_path_and_the_path_is_a_video(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "3"]) == 0
    captured = capsys.readouterr()
    path = tmp_path / "out/combined_attention_visualization_layer3.mp4"
    assert captured.out == f"{path}\n"
    assert probe(path).size == (640, 360)
    assert open_trace(tmp_path / "out/trace_sample0").status == "complete"
    assert "generating" in captured.err


def test_several_layers_give_one_video_each_from_one_recording(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "1,-1", "--json"]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    names = [f"combined_attention_visualization_layer{layer}.mp4" for layer in (1, 3)]
    assert [Path(path).name for path in result["videos"]] == names
    assert result["trace"] == str(tmp_path / "out/trace_sample0")
    assert captured.err.count("generating") >= 1


def test_the_default_layer_of_a_shallow_model_is_its_last_with_a_notice(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(flags) == 0
    captured = capsys.readouterr()
    assert "layer 3 is shown: the model has 4 layers (choose another with --layer_idx)" in captured.err
    assert (tmp_path / "out/combined_attention_visualization_layer3.mp4").is_file()


def test_a_dataset_is_not_needed(
    tiny_checkpoint: Any, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model_path", str(tiny_checkpoint("qwen2_vl")), "--image", str(dataset.parent / "a.png"),
                 "--question", "What is it?", "--layer_idx", "0", "--start_phrase", "", "--max_new_tokens", "3",
                 "--output_dir", str(tmp_path / "out"), *SMALL]  # fmt: skip
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.endswith("layer0.mp4\n")


def test_a_text_only_model_needs_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_qwen2(tmp_path / "model")
    arguments = ["--model_path", str(tmp_path / "model"), "--question", "What is 1 + 1?", "--layer_idx", "0",
                 "--start_phrase", "", "--max_new_tokens", "3", "--output_dir", str(tmp_path), *SMALL]  # fmt: skip
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("layer0.mp4\n")
    assert "--question without --image: the model is asked about no picture" in captured.err


def test_render_makes_pictures_again_without_torch(flags: list[str], tmp_path: Path) -> None:
    assert cli.main([*flags, "--layer_idx", "1,3", "--quiet"]) == 0
    trace = tmp_path / "out/trace_sample0"
    program = (
        "import sys; from attnviz_video.cli import main\n"
        f"code = main(['render', {str(trace)!r}, '--layer_idx', '3', '--colormap', 'cividis', *{SMALL!r}])\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules], code)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    path = tmp_path / "out/combined_attention_visualization_layer3.mp4"
    assert result.stdout == f"{path}\n[] 0\n", result.stderr


def test_render_shows_all_recorded_layers_by_default(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "1,3", "--quiet"]) == 0
    capsys.readouterr()
    arguments = ["render", str(tmp_path / "out/trace_sample0"), "--output_dir", str(tmp_path / "again"), *SMALL]
    assert cli.main([*arguments, "--quiet"]) == 0
    assert [Path(line).name[-10:-4] for line in capsys.readouterr().out.splitlines()] == ["layer1", "layer3"]


def test_f22_render_shows_the_layers_the_trace_was_made_for(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "2", "--layers", "all", "--quiet"]) == 0
    trace = tmp_path / "out/trace_sample0"
    assert open_trace(trace).header.head_layers == (0, 1, 2, 3)
    capsys.readouterr()
    assert cli.main(["render", str(trace), *SMALL, "--quiet"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out/combined_attention_visualization_layer2.mp4'}\n"


def test_quiet_prints_nothing_but_the_path(flags: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*flags, "--layer_idx", "2", "--quiet"]) == 0
    captured = capfd.readouterr()
    assert captured.out.count("\n") == 1
    assert captured.err == ""


def test_a_repeated_run_says_when_it_replaces_another_sample(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "2", "--quiet"]) == 0
    assert cli.main([*flags, "--layer_idx", "2", "--sample_idx", "1"]) == 0
    assert "which showed sample first of model" in capsys.readouterr().err


# --- the demo as default ---------------------------------------------------------------------------------------------


def test_no_arguments_mean_the_demo_configuration() -> None:
    assert demo_config() == ROOT / "configs/demo.yaml"


def test_a_model_alone_is_asked_about_the_demo_data() -> None:
    config, notices = with_demo(replace_settings(RunConfig(), {"model_path": "somewhere"}))
    assert config.source.benchmark_json == ROOT / "samples/demo.json"
    assert config.model.model_path == "somewhere"
    assert notices == ("no --benchmark_json and no --image: asking about the demo data that ships with this program",)


def test_data_alone_are_shown_to_the_demo_model() -> None:
    config, notices = with_demo(replace_settings(RunConfig(), {"benchmark_json": "data.json"}))
    assert config.model.model_path == str(ROOT / "samples/demo_model")
    assert notices == ("no --model_path: using the demo model that ships with this program",)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_an_unknown_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(capsys, ["rendre"]) == "error: unknown command 'rendre'; did you mean 'render'?"
    assert failure(capsys, ["zzz"]) == f"error: unknown command 'zzz'; the commands are: {', '.join(COMMANDS)}"


def test_a_command_after_flags_is_told_to_come_first(capsys: pytest.CaptureFixture[str]) -> None:
    line = failure(capsys, ["--layer_idx", "3", "render"])
    assert line == "error: put the command first: visualize_heatmap.py render …"


def test_render_needs_a_trace(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "needs TRACE" in failure(capsys, ["render"])
    assert str(tmp_path) in failure(capsys, ["render", str(tmp_path)])


def test_f17_a_layer_out_of_range_is_refused_before_the_model_loads(
    flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz_video.models import load

    monkeypatch.setattr(load, "load_model", lambda settings: pytest.fail("the model was loaded"))
    assert "has 4 layers; give 0 to 3" in failure(capsys, [*flags, "--layer_idx", "20"])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--head", "99"], "--head 99 is out of range: the model has query heads 0 to 3"),
        (["--head", "max", "--heads", "0"], "--head max cannot be shown: --heads keeps only 0 of the 4 query heads; "
         "record more with --heads, or use --head mean"),
        (["--head", "1", "--heads", "0,2"], "--head 1 cannot be shown: --heads keeps only 0, 2 of the 4 query heads"),
    ],
)  # fmt: skip
def test_f17_a_head_that_cannot_be_shown_is_refused_before_the_model_loads(
    flags: list[str],
    asked: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from attnviz_video.models import load

    monkeypatch.setattr(load, "load_model", lambda settings: pytest.fail("the model was loaded"))
    assert sentence in failure(capsys, [*flags, "--layer_idx", "2", *asked])


def test_a_frame_that_is_too_small_is_refused_before_the_model_loads(
    flags: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from attnviz_video.models import load

    monkeypatch.setattr(load, "load_model", lambda settings: pytest.fail("the model was loaded"))
    assert "--width: expected a whole number from 480" in failure(capsys, [*flags, "--width", "400"])


def test_f17_a_layer_that_was_not_recorded_names_those_that_were(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*flags, "--layer_idx", "2", "--quiet"]) == 0
    capsys.readouterr()
    trace = str(tmp_path / "out/trace_sample0")
    assert "--layer_idx 9: the model has layers 0 to 3" in failure(capsys, ["render", trace, "--layer_idx", "9"])
    assert "2" in failure(capsys, ["render", trace, "--layer_idx", "1", "--head", "0"])


def test_f18_a_model_that_is_not_there(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["/nowhere/model" if "qwen2_vl" in flag else flag for flag in flags]
    assert "'/nowhere/model' is neither a local folder nor a model" in failure(capsys, arguments)


def test_f6_a_missing_image_names_the_path_tried(
    flags: list[str], dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (dataset.parent / "a.png").unlink()
    assert "a.png" in failure(capsys, flags)


def test_f15_a_given_phrase_found_nowhere_shows_the_text_and_keeps_it(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = failure(capsys, [*flags, "--layer_idx", "2", "--start_phrase", "never ever"])
    assert "start phrase 'never ever' occurs neither in the user's prompt nor in the answer" in line
    assert str(tmp_path / "out/trace_sample0.partial") in line
    kept = open_trace(tmp_path / "out/trace_sample0.partial")
    assert kept.status == "failed"
    assert len(kept.steps) == 6
    assert not (tmp_path / "out/combined_attention_visualization_layer2.mp4").exists()


def test_f20_a_forecast_that_is_too_large_names_what_shrinks_it(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = failure(capsys, [*flags, "--max_trace_gb", "0.000001"])
    assert "more than --max_trace_gb 1e-06; lower --max_new_tokens, record fewer --layers or --heads" in line


def test_f28_a_file_of_somebody_else_is_left_alone(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = tmp_path / "out/combined_attention_visualization_layer2.mp4"
    theirs.parent.mkdir()
    theirs.write_bytes(b"mine")
    assert "was not written by this program" in failure(capsys, [*flags, "--layer_idx", "2"])
    assert theirs.read_bytes() == b"mine"
    assert cli.main([*flags, "--layer_idx", "2", "--overwrite", "--quiet"]) == 0


def test_a_bug_of_ours_is_one_line_and_exit_code_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(arguments: list[str]) -> int:
        raise KeyError("secret")

    monkeypatch.setattr(cli, "dispatch", broken)
    assert failure(capsys, [], exit_code=1).endswith("run again with --debug and send us what it prints")
    assert cli.main(["--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "dispatch", stopped)
    assert failure(capsys, [], exit_code=130) == "error: stopped"


def test_a_failed_video_leaves_the_recording_and_says_how_to_go_on(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", "/bin/false")
    line = failure(capsys, [*flags, "--layer_idx", "2"], exit_code=4)
    trace = tmp_path / "out/trace_sample0"
    assert f"the recording is kept, make its video with: python visualize_heatmap.py render {trace}" in line
    assert open_trace(trace).status == "complete"


@pytest.mark.slow
def test_f24_ctrl_c_while_generating_keeps_what_was_recorded(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*flags, "--layer_idx", "2", "--max_new_tokens", "3000"]
    command = [sys.executable, "visualize_heatmap.py", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    partial = tmp_path / "out/trace_sample0.partial"
    deadline = time.monotonic() + 120
    while not (partial / "attn-00001.safetensors").exists():
        assert time.monotonic() < deadline, "the recording never started"
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert f"make its video with: python visualize_heatmap.py render {partial}" in err
    trace = open_trace(partial)
    assert trace.status == "failed"
    assert len(trace.steps) >= 16
    rendered = ["render", str(partial), "--layer_idx", "2", "-o", str(tmp_path / "x.mp4"), "--quiet", *SMALL]
    assert cli.main(rendered) == 0
    assert cli.main([word for word in rendered if word != "--quiet"]) == 0
    assert f"the trace is incomplete, {len(trace.steps)} steps (its recording failed)" in capsys.readouterr().err


# --- signals ---------------------------------------------------------------------------------------------------------


def test_f24_a_signal_before_anything_is_loaded_is_130_with_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*anything: object) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)

    for command in ("run", "render"):
        monkeypatch.setattr(f"attnviz_video.commands.{command}.reporter", stopped)
    assert failure(capsys, ["--question", "x"], exit_code=130) == "error: stopped by SIGTERM"
    assert failure(capsys, ["render", "x"], exit_code=130) == "error: stopped by SIGTERM"


def test_f24_ctrl_c_just_after_the_last_token_makes_no_video(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record_sample = pipeline.record_sample

    def stopped(*arguments: Any) -> Any:
        recording = record_sample(*arguments)
        os.kill(os.getpid(), signal.SIGINT)
        return recording

    monkeypatch.setattr(pipeline, "record_sample", stopped)
    line = failure(capsys, [*flags, "--layer_idx", "2"], exit_code=130)
    trace = tmp_path / "out/trace_sample0"
    hint = f"make its video with: python visualize_heatmap.py render {trace}"
    assert line == f"error: stopped before the video; the recording is complete, {hint}"
    assert open_trace(trace).status == "complete"
    assert list((tmp_path / "out").glob("*.mp4")) == []


def test_f24_ctrl_c_while_rendering_keeps_the_recording(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object) -> Any:
        raise Interrupted("stopped by SIGINT")

    monkeypatch.setattr(api, "videos_of", stopped)
    spaced = [str(tmp_path / "my videos") if word == str(tmp_path / "out") else word for word in flags]
    line = failure(capsys, [*spaced, "--layer_idx", "2"], exit_code=130)
    trace = tmp_path / "my videos/trace_sample0"
    assert "error: stopped by SIGINT; the recording is kept, make its video with: " in line
    assert line.endswith(f"python visualize_heatmap.py render '{trace}'")
