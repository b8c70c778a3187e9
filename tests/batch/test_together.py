"""Samples recorded in one batch of a real model: their traces are those of the samples alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video.batch.jobs import SampleTask
from attnviz_video.batch.together import CannotTogetherError, record_together
from attnviz_video.batch.work import RecordAndRender, at_home
from attnviz_video.capture import batch as capture_batch
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.config import RunConfig
from attnviz_video.core.sample import Sample
from attnviz_video.errors import DeviceError, DiskFullError, StartPhraseError
from attnviz_video.progress import Silent
from attnviz_video.recording import Recording
from attnviz_video.tracefile.read import open_trace
from attnviz_video.tracefile.write import TraceWriter
from tests.batch.running import Heard


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """One image, none, two; the last two have a stored response."""
    red, blue = tmp_path / "red.png", tmp_path / "blue.png"
    Image.new("RGB", (120, 60), (200, 30, 30)).save(red)
    Image.new("RGB", (60, 90), (30, 30, 200)).save(blue)
    return [
        Sample(0, "a", "What is it?", (red,)),
        Sample(1, "b", "Nothing to see, is there?", ()),
        Sample(2, "c", "Which one is it?", (red, blue), response="the blue one"),
        Sample(3, "d", "And here?", (blue,), response="a red one it is"),
    ]


def config(**capture: Any) -> RunConfig:
    return RunConfig(capture=CaptureSettings(max_new_tokens=5, start_phrase="", answer="auto", **capture))


def parts_in(folder: Path, samples: list[Sample], config: RunConfig) -> Any:
    tasks = [SampleTask(sample.index, sample.id, folder / sample.id, sample, "hash") for sample in samples]
    images = [[Image.open(path).convert("RGB") for path in sample.image_paths] for sample in samples]
    return [
        (sample, pictures, at_home(config, task)) for sample, pictures, task in zip(samples, images, tasks, strict=True)
    ]


def test_traces_are_those_of_the_samples_alone(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    loaded = tiny_model("qwen2_vl")
    together = record_together(parts_in(tmp_path / "t", samples, config()), loaded, Silent(), lambda: False)
    for sample, recording in zip(samples, together, strict=True):
        assert isinstance(recording, Recording)
        (alone,) = record_together(parts_in(tmp_path / "a", [sample], config()), loaded, Silent(), lambda: False)
        assert isinstance(alone, Recording)
        ours, theirs = open_trace(recording.trace_folder), open_trace(alone.trace_folder)
        assert ours.status == "complete"
        assert ours.header.kind == ("replay" if sample.response else "generation")
        assert [token.id for token in ours.tokens] == [token.id for token in theirs.tokens]
        layer = recording.shown_layers[0]
        for step in range(len(ours.steps)):
            np.testing.assert_allclose(ours.rows.head_rows(step, layer), theirs.rows.head_rows(step, layer), atol=2e-3)


def test_sampling_is_done_one_by_one(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    loaded = tiny_model("qwen2_vl")
    sampled = config(do_sample=True)
    with pytest.raises(CannotTogetherError, match="in a batch, what is drawn for one sample would depend") as caught:
        record_together(parts_in(tmp_path, samples, sampled), loaded, Silent(), lambda: False)
    assert caught.value.for_good


def worker_of(loaded: Any, config: RunConfig) -> RecordAndRender:
    work = RecordAndRender(replace(config, model=replace(config.model, model_path=loaded.id)))
    work._loaded = loaded
    return work


def tasks_in(folder: Path, samples: list[Sample]) -> list[SampleTask]:
    tasks = [SampleTask(sample.index, sample.id, folder / sample.id, sample, "hash") for sample in samples]
    for task in tasks:
        task.home.mkdir()
    return tasks


def test_a_worker_says_so_and_goes_on_one_by_one(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    work = worker_of(tiny_model("qwen2_vl"), config(do_sample=True))
    heard = Heard()
    facts = work.record(tasks_in(tmp_path, samples), heard, lambda: False)
    assert all(isinstance(one, dict) for one in facts)
    assert any(notice.startswith("recorded one by one: --do_sample: in a batch") for notice in heard.notices)
    again = Heard()
    work.record([*tasks_in(tmp_path / "a", samples[:2])], again, lambda: False)
    assert not any(notice.startswith("recorded one by one") for notice in again.notices), "it is not tried again"


def test_a_batch_that_does_not_fit_is_recorded_one_by_one(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **more: object) -> None:
        raise DeviceError("cuda:0 is out of memory while generating a batch")

    monkeypatch.setattr(capture_batch, "generate_batch", full)
    work = worker_of(tiny_model("qwen2_vl"), config())
    heard = Heard()
    facts = work.record(tasks_in(tmp_path, samples), heard, lambda: False)
    assert [one["n_tokens"] > 0 for one in facts if isinstance(one, dict)] == [True] * 4
    assert "recorded one by one: cuda:0 is out of memory while generating a batch" in heard.notices


def test_a_fault_of_one_sample_is_none_of_the_others(
    tiny_model: Any, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add = TraceWriter.add

    def add_or_fail(writer: TraceWriter, step: Any) -> None:
        if writer.folder.name == "trace_sample1":
            raise DiskFullError("disk full")
        add(writer, step)

    monkeypatch.setattr(TraceWriter, "add", add_or_fail)
    work = worker_of(tiny_model("qwen2_vl"), config())
    missing = Sample(9, "missing", "?", (tmp_path / "nowhere.png",))
    facts = work.record(tasks_in(tmp_path, [*samples[:2], missing]), Silent(), lambda: False)
    assert isinstance(facts[0], dict)
    assert isinstance(facts[1], DiskFullError)
    assert "nowhere.png not found" in str(facts[2])


def test_a_phrase_that_is_nowhere_fails_its_sample(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    asked = RunConfig(capture=CaptureSettings(max_new_tokens=3, start_phrase="Nothing to see"))
    facts = worker_of(tiny_model("qwen2_vl"), asked).record(tasks_in(tmp_path, samples[:2]), Silent(), lambda: False)
    assert isinstance(facts[0], StartPhraseError)
    assert "the text is kept in" in str(facts[0])
    assert isinstance(facts[1], dict)


def test_what_the_books_say_about_a_recording(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    work = worker_of(tiny_model("qwen2_vl"), config())
    first, none, pair, _ = work.record(tasks_in(tmp_path, samples), Silent(), lambda: False)
    assert isinstance(first, dict)
    assert isinstance(none, dict)
    assert isinstance(pair, dict)
    assert (first["kind"], pair["kind"], pair["response"]) == ("generation", "replay", "the blue one")
    assert (first["n_images"], none["n_images"], pair["n_images"]) == (1, 0, 2)
    assert none["image_share"] is None
    trace = open_trace(tmp_path / "a/trace_sample0")
    layer = trace.header.shown_layers[0]
    rows = [trace.rows.head_rows(step, layer).mean(axis=0) for step in range(len(trace.steps))]
    on_image = np.mean([row[trace.layout.patch_positions(0)].sum() for row in rows])
    assert first["image_share"] == pytest.approx(on_image, abs=2e-3)


def test_an_interrupted_batch_leaves_no_facts(tiny_model: Any, samples: list[Sample], tmp_path: Path) -> None:
    work = worker_of(tiny_model("qwen2_vl"), config())
    facts = work.record(tasks_in(tmp_path, samples[:2]), Silent(), lambda: True)
    assert [type(one).__name__ for one in facts] == ["Interrupted", "Interrupted"]
    assert open_trace(tmp_path / "a/trace_sample0").status == "failed"
