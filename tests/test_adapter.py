"""`--adapter` from the command line to the trace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video import cli
from attnviz_video.models.load import load_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.tracefile.read import open_trace
from tests.models.test_lora import write_adapter


def test_a_trace_says_which_adapter_the_model_had(
    tiny_checkpoint: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(tiny_checkpoint("qwen2_vl"))
    adapter = write_adapter(load_model(ModelSettings(model_path=model, device="cpu")).model, tmp_path / "a", ["q_proj"])
    Image.new("RGB", (120, 60), (200, 30, 30)).save(tmp_path / "a.png")
    asked = ["--model_path", model, "--image", str(tmp_path / "a.png"), "--question", "What?", "--device", "cpu"]
    small = ["--start_phrase", "", "--layer_idx", "0", "--width", "640", "--height", "360", "--quiet"]
    for name, more in (("with", ["--adapter", str(adapter)]), ("without", []), ("replay", ["--adapter", str(adapter)])):
        answer = ["--response", "it is red"] if name == "replay" else ["--max_new_tokens", "3"]
        assert cli.main([*asked, *small, *answer, *more, "--output_dir", str(tmp_path / name)]) == 0
        header = open_trace(tmp_path / name / "trace_sample0").header
        assert header.generation.get("adapter") == (str(adapter) if more else None)
        assert ("peft" in header.versions) == bool(more)
    assert capsys.readouterr().err == ""
