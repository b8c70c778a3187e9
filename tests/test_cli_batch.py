"""`batch` and `render RUN_DIR` as they are typed, with a tiny model and real videos."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video import cli
from attnviz_video.testing.video import probe
from attnviz_video.tracefile.read import open_trace
from tests.batch.running import children_of, is_gone, rows_of, wait_until

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--width", "640", "--height", "360", "--layer_idx", "3", "--max_new_tokens", "4", "--device", "cpu"]


@pytest.fixture
def flags(tiny_checkpoint: Any, tmp_path: Path) -> list[str]:
    """A batch over three items: to generate, to replay, and one whose image is missing."""
    Image.new("RGB", (120, 60), (200, 30, 30)).save(tmp_path / "a.png")
    items = [
        {"id": "first", "image": "a.png", "problem": "What is it?"},
        {"id": "second", "image": ["a.png"], "problem": "Where is it?", "answer": "left", "pred": "left"},
        {"id": "third", "image": "missing.png", "problem": "Who is it?"},
    ]
    (tmp_path / "data.json").write_text(json.dumps(items), encoding="utf-8")
    return ["--model_path", str(tiny_checkpoint("qwen2_vl")), "--benchmark_json", str(tmp_path / "data.json"),
            "--output_dir", str(tmp_path / "run"), "--engine", "in_process", *SMALL]  # fmt: skip


def test_a_batch_from_the_command_line(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert cli.main(["batch", *flags]) == 3
    captured = capsys.readouterr()
    assert captured.out == f"{out}\n"
    assert "3 samples: 2 done, 1 failed" in captured.err
    assert captured.err.rstrip().endswith("--retry_failed")
    video = out / "000000-first/combined_attention_visualization_layer3.mp4"
    assert probe(video).size == (640, 360)
    assert open_trace(out / "000001-second/trace_sample1").header.kind == "replay"
    rows = {row["id"]: row for row in rows_of(out)}
    assert (rows["second"]["response"], rows["second"]["correct"]) == ("left", True)
    assert {"trace_sample0/manifest.json", video.name} <= {output["path"] for output in rows["first"]["outputs"]}
    assert rows["third"]["error"]["kind"] == "ImageError"
    before = video.stat().st_mtime_ns
    assert cli.main(["batch", *flags, "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"run": str(out), "samples": 3, "failed": 1}
    assert video.stat().st_mtime_ns == before


def test_traces_first_and_videos_later(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    samples = ["--samples", "0:2"]
    assert cli.main(["batch", *flags, *samples, "--trace_only", "--batch_size", "2"]) == 0
    assert not list(out.rglob("*.mp4"))
    assert cli.main(["render", str(out)]) == 0
    assert len(list(out.rglob("*.mp4"))) == 2
    assert capsys.readouterr().out == f"{out}\n" * 2
    assert cli.main(["render", str(out), "--colormap", "greys"]) == 2
    assert "--colormap: the videos of" in capsys.readouterr().err


def test_a_damaged_trace_is_told_at_every_rendering(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert cli.main(["batch", *flags, "--samples", "0:2", "--trace_only"]) == 0
    assert "2 samples: 2 recorded, in" in (said := capsys.readouterr().err)
    assert said.rstrip().endswith(f"; make the videos with: python visualize_heatmap.py render {out}")
    shard = next((out / "000001-second/trace_sample1").glob("attn-*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-9] + b"x" * 9)
    again = shlex.join(["batch", *flags, "--trace_only", "--samples", "1", "--retry_failed"])
    for _ in range(2):
        assert cli.main(["render", str(out)]) == 3
        said = capsys.readouterr().err.rstrip()
        assert said.endswith(f"; record 1 sample again with: python visualize_heatmap.py {again}")
        assert "2 samples: 1 done" in said
        assert "1 failed (why: " in said
    assert "damaged" in rows_of(out)[-1]["error"]["sentence"]
    assert cli.main(shlex.split(again)) == 0
    assert cli.main(["render", str(out)]) == 0
    assert len(list(out.rglob("*.mp4"))) == 2


def test_render_names_no_other_place(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert cli.main(["batch", *flags, "--samples", "0", "--trace_only"]) == 0
    for words in (["-o", "x.mp4"], ["--output_dir", "elsewhere"]):
        assert cli.main(["render", str(out), *words]) == 2
        assert f"{words[0]} {words[1]}: the videos of {out} go into" in capsys.readouterr().err


def test_settings_that_cannot_be_obeyed_are_told_before_anything_is_written(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["batch", *flags, "--layer_idx", "99"]) == 2
    assert "--layer_idx 99" in capsys.readouterr().err
    assert rows_of(tmp_path / "run") == []
    assert cli.main(["batch", *flags, "--layer_idx", "3", "--batch_size", "0"]) == 2
    assert "--batch_size: expected a whole number of at least 1" in capsys.readouterr().err


def test_a_folder_of_templates_that_lacks_one_is_refused_first(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "templates").mkdir()
    assert cli.main(["batch", *flags, "--prompt_template", str(tmp_path / "templates")]) == 2
    assert "this folder has no cot.txt, which the samples of data.json need" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_verdict_is_none_on_another_response_field(flags: list[str], tmp_path: Path) -> None:
    items = json.loads((tmp_path / "data.json").read_text())[1:2]
    items[0] |= {"score": 1.0, "mine": "right"}
    (tmp_path / "data.json").write_text(json.dumps(items))
    for field, correct, how in (("pred", True, "field score"), ("mine", False, "compared")):
        out = tmp_path / field
        cli.main(["batch", *flags, "--response_field", field, "--output_dir", str(out), "--trace_only"])
        row = rows_of(out)[-1]
        assert (row["kind"], row["correct"], row["correct_by"]) == ("replay", correct, how)
        assert row["score"] == (1.0 if field == "pred" else None)


def test_help_of_batch_names_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["batch", "-h"])
    text = capsys.readouterr().out
    assert all(flag in text for flag in ("--samples", "--shard", "--engine", "--retry_failed", "--trace_only"))


@pytest.mark.slow
def test_a_run_killed_while_it_renders_is_gone_on_with(flags: list[str], tmp_path: Path) -> None:
    """Row 22 of the faults: the short MP4, which plays, is not taken for done; what is done is not done again."""
    out = tmp_path / "run"
    items = json.loads((tmp_path / "data.json").read_text())[:2]
    items[1]["pred"] = "left and right " * 60
    (tmp_path / "data.json").write_text(json.dumps(items))
    command = [sys.executable, "visualize_heatmap.py", "batch", *flags, "--engine", "local"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
    second = out / "000001-second"
    try:
        wait_until(lambda: (second / "recorded.json").exists() and list(second.glob("*.partial.mp4")), 300)
        helpers = [child for worker in children_of(driver.pid) for child in [worker, *children_of(worker)]]
    finally:
        driver.kill()
        driver.wait()
    wait_until(lambda: all(map(is_gone, helpers)), 10)
    assert not list(second.glob("*layer3.mp4"))
    first_video = out / "000000-first/combined_attention_visualization_layer3.mp4"
    before = (first_video.stat().st_mtime_ns, (second / "recorded.json").stat().st_mtime_ns)
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert (first_video.stat().st_mtime_ns, (second / "recorded.json").stat().st_mtime_ns) == before
    assert probe(next(second.glob("*layer3.mp4"))).size == (640, 360)
    assert not list(out.rglob("*.partial*"))


@pytest.mark.slow
def test_ctrl_c_while_it_renders_leaves_no_encoder(flags: list[str], tmp_path: Path) -> None:
    out = tmp_path / "run"
    items = json.loads((tmp_path / "data.json").read_text())[1:2]
    items[0]["pred"] = "left and right " * 60
    (tmp_path / "data.json").write_text(json.dumps(items))
    command = [sys.executable, "visualize_heatmap.py", "batch", *flags, "--engine", "local"]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0)
    try:
        wait_until(lambda: list(out.rglob("*.partial.mp4")), 300)
        helpers = [child for worker in children_of(driver.pid) for child in [worker, *children_of(worker)]]
        os.killpg(driver.pid, signal.SIGINT)
        begin = time.monotonic()
        _, stderr = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert time.monotonic() - begin < 20
    assert driver.returncode == 130
    assert b"stopped after 0 of 1 samples; go on with: python visualize_heatmap.py batch" in stderr
    wait_until(lambda: all(map(is_gone, helpers)), 10)
    assert not list(out.rglob("*.partial*"))
