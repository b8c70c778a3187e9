"""For every family: replaying an answer gives what generating it gave."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import RecordingPlan, plan_recording
from attnviz_video.capture.replay import replay
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.step import Step
from attnviz_video.models.layouts.adapter import image_token_id
from attnviz_video.testing.families.table import TinyFamily
from tests.capture.comparing import assert_same_steps
from tests.families.asking import ask, pictures, sizes_of

N_NEW = 6
EVERYTHING = CaptureSettings(start_phrase="", max_new_tokens=N_NEW, layers="all")


def plan_of(loaded: Any) -> RecordingPlan:
    return plan_recording(EVERYTHING, loaded.identity())[0]


@contextmanager
def writing_no_pictures(loaded: Any) -> Iterator[None]:
    """A random model may write the placeholder of pictures, which no answer of a trained one holds."""
    own, placeholder = loaded.model.generation_config, image_token_id(loaded.model.config)
    before = own.suppress_tokens
    own.suppress_tokens = None if placeholder is None else [placeholder]
    try:
        yield
    finally:
        own.suppress_tokens = before


@pytest.mark.claim("replay = generate")
def test_replay_equals_generation(family: TinyFamily, family_model: Any) -> None:
    prepared, plan = ask(family_model, pictures(sizes_of(family))), plan_of(family_model)
    generated: list[Step] = []
    replayed: list[Step] = []
    with writing_no_pictures(family_model):
        made = generate(family_model, prepared, plan, EVERYTHING, on_step=generated.append)
    assert len(generated) >= 3
    result = replay(family_model, prepared, plan, EVERYTHING, made.token_ids, on_step=replayed.append)
    assert_same_steps(generated, replayed)
    assert (result.token_ids, result.start) == (made.token_ids, made.start)
