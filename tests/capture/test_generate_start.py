"""Where recording starts in a real generation, and what becomes of the tokens before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import Step
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import StartPhraseError
from attnviz_video.models.prompt import prepare
from tests.capture import in_memory
from tests.capture.running import EVERYTHING, answer_text, model_that_writes, plain_ids, record


def test_t17_recording_starts_after_the_phrase_in_the_answer() -> None:
    model, prepared, full = model_that_writes()
    phrase = answer_text(full)[2:4]
    result, steps = record(model, prepared, replace(EVERYTHING, start_phrase=phrase))
    assert [step.info.recorded for step in steps] == [False] * 4 + [True] * 4
    assert result.start == StartPoint(phrase, "answer", prepared.n_prompt + 2, 4)
    for step, whole in zip(steps, full, strict=True):
        assert step.info.token_id == whole.info.token_id
        if not step.info.recorded:
            assert step.rows is None
            assert step.info.scalars is None
            continue
        assert step.rows is not None
        assert whole.rows is not None
        np.testing.assert_array_equal(step.rows.heads[1], whole.rows.heads[1])


def test_t17_phrase_in_the_prompt_records_everything() -> None:
    prepared = in_memory.prepared(question="look, look at it")
    result, steps = record(in_memory.model(), prepared, replace(EVERYTHING, start_phrase="look"))
    assert all(step.info.recorded for step in steps)
    assert result.start.found_in == "prompt"
    shown = "".join(token.piece for token in prepared.tokens[result.start.first_shown :])
    assert shown.startswith("look at it")


def test_t17_phrase_nowhere_is_an_error_with_the_generated_text() -> None:
    model, prepared, full = model_that_writes()
    seen: list[Step] = []
    with pytest.raises(StartPhraseError, match=f"'nowhere to be found' occurs neither .* answer {answer_text(full)!r}"):
        record(model, prepared, replace(EVERYTHING, start_phrase="nowhere to be found"), on_step=seen.append)
    assert len(seen) == 8, "the tokens were handed over all the same"


def test_built_in_phrase_nowhere_is_a_notice() -> None:
    prepared = in_memory.prepared()
    result, steps = record(in_memory.model(), prepared, replace(EVERYTHING, start_phrase=None))
    assert result.start.first_shown == prepared.n_prompt
    assert all(step.info.recorded for step in steps)
    assert "shown from the answer on" in result.notices[0]


def test_real_prompt_of_a_checkpoint_with_a_chinese_phrase(tiny_model: Any) -> None:
    """With the family's own processor and tokenizer, whose tokens split Chinese characters into bytes."""
    loaded = tiny_model("qwen2_vl")
    sample = Sample(0, "0", "Look. 根据图片回答 what is it?", (Path("a.png"),))
    prepared = prepare(loaded, sample, [Image.new("RGB", (90, 60), (200, 30, 30))], "{problem}")
    steps: list[Step] = []
    plan, _ = plan_recording(CaptureSettings(), loaded.identity())
    settings = CaptureSettings(start_phrase="据图片", max_new_tokens=4)
    result = generate(loaded, prepared, plan, settings, on_step=steps.append)
    assert result.token_ids == plain_ids(loaded.model, prepared, 4)
    shown = "".join(token.piece for token in prepared.tokens[result.start.first_shown :])
    assert shown.startswith("据图片回答 what is it?")
    assert steps[0].rows is not None
    assert steps[0].rows.heads[plan.shown_layers[0]].shape[1] == prepared.n_prompt
