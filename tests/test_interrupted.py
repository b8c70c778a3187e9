"""A recording that the user stops: its trace says how it was made, and can be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnviz_video.analysis.scores import score
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import TraceHeader
from attnviz_video.export.settings import ExportSettings
from attnviz_video.pipeline import record_sample, render_trace
from attnviz_video.progress import Silent
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.video import probe
from attnviz_video.tracefile.read import open_trace


def stop_after(count: int) -> Callable[[], bool]:
    asked = iter(range(count))
    return lambda: next(asked, None) is None


def stopped(loaded: Any, folder: Path, phrase: str, should_stop: Callable[[], bool], **more: Any) -> Any:
    capture = CaptureSettings(max_new_tokens=12, start_phrase=phrase, seed=7, **more)
    config = RunConfig(capture=capture, export=ExportSettings(output_dir=folder))
    recording = record_sample(Sample(0, "x", "Say what it is.", ()), (), loaded, config, Silent(), should_stop)
    assert recording.interrupted
    return open_trace(recording.trace_folder)


def test_an_interrupted_trace_starts_at_the_phrase_and_names_its_seed(tiny_model: Any, tmp_path: Path) -> None:
    trace = stopped(tiny_model("qwen2_vl"), tmp_path, "what", stop_after(4))
    header: TraceHeader = trace.header
    assert trace.status == "failed"
    assert (header.generation["seed"], header.generation["max_new_tokens"]) == (7, 12)
    assert (header.start.phrase, header.start.found_in, header.start.first_step) == ("what", "prompt", 0)
    pieces = [token.piece for token in trace.tokens]
    assert "".join(pieces[header.start.first_shown :]).lstrip().startswith("what")
    config = RunConfig(render=RenderSettings(width=640, height=360), export=ExportSettings(output_dir=tmp_path))
    scores = score(trace, header.shown_layers[0], config.analysis)
    assert scores.shown.units[0, 0] == header.start.first_shown
    video = render_trace(trace, header.shown_layers[0], config, tmp_path / "x.mp4", Silent())
    assert probe(video).size == (640, 360)


def test_a_trace_that_ends_in_an_error_names_its_seed_and_starts_at_the_phrase(tiny_model: Any, tmp_path: Path) -> None:
    def fail() -> bool:
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        stopped(tiny_model("qwen2_vl"), tmp_path, "what", fail)
    (folder,) = tmp_path.glob("*.partial")
    trace = open_trace(folder)
    assert (trace.status, trace.header.generation["seed"]) == ("failed", 7)
    start = trace.header.start
    assert (start.phrase, start.found_in) == ("what", "prompt")
    assert "".join(token.piece for token in trace.tokens[start.first_shown :]).lstrip().startswith("what")
