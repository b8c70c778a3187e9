"""For every family: samples in a batch are recorded as each of them alone, or the batch is refused."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from attnviz_video.capture.batch import generate_batch, replay_batch
from attnviz_video.capture.generate import generate
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import Step
from attnviz_video.errors import ModelError
from attnviz_video.testing.families.table import TinyFamily
from tests.capture.comparing import assert_same_steps
from tests.families.asking import TALL, WIDE, ask, pictures
from tests.families.test_replay import EVERYTHING, plan_of, writing_no_pictures

#: Attention so peaked that float32 rounds differently by more than is allowed when a batch adds in another order.
IN_FLOAT64 = ("Gemma 4",)
#: Families whose prompts must all have pictures, or as many as the others.
ALL_WITH_PICTURES, SAME_NUMBER = ("Idefics3", "SmolVLM2", "PaliGemma"), ("Mllama",)


@pytest.fixture
def model(family: TinyFamily, family_model: Any) -> Any:
    if family.name not in IN_FLOAT64:
        return family_model
    return replace(family_model, model=copy.deepcopy(family_model.model).double())


def samples(family: TinyFamily, loaded: Any) -> list[Prepared]:
    """Prompts of different lengths, with pictures of different shapes and numbers, as far as the family takes them."""
    if not family.max_images:
        return [
            ask(loaded, [], "What?"),
            ask(loaded, [], "What colour is it, and where?"),
            ask(loaded, [], "Why is it?"),
        ]
    asked = [
        ask(loaded, pictures([WIDE]), "What?"),
        ask(loaded, pictures([TALL]), "Is it the one with a very long question, or is it not?"),
    ]
    if family.max_images > 1 and family.name not in SAME_NUMBER:
        asked.append(ask(loaded, pictures([WIDE, TALL]), "What colour is it, and where?"))
    if family.name not in (*ALL_WITH_PICTURES, *SAME_NUMBER):
        asked.append(ask(loaded, [], "And without any picture?"))
    return asked


def in_batch(prepared: Sequence[Prepared]) -> list[list[Step]]:
    return [[] for _ in prepared]


@pytest.mark.claim("batch = single")
def test_t23_batches_equal_single_runs(family: TinyFamily, model: Any) -> None:
    prepared, plan = samples(family, model), plan_of(model)
    if not family.has_rule:
        with pytest.raises(ModelError, match="are not known to equal single runs"):
            generate_batch(model, prepared, plan, EVERYTHING, on_step=print)
        pytest.skip("refused, since nothing is known of its inputs")
    own = model.model.generation_config
    ends = own.eos_token_id
    alone, together, replayed = in_batch(prepared), in_batch(prepared), in_batch(prepared)
    with writing_no_pictures(model):
        free = generate(model, prepared[1], plan, EVERYTHING, on_step=str)
        own.eos_token_id = free.token_ids[2]
        try:
            single = [
                generate(model, sample, plan, EVERYTHING, on_step=steps.append)
                for sample, steps in zip(prepared, alone, strict=True)
            ]
            outcomes = generate_batch(
                model, prepared, plan, EVERYTHING, on_step=lambda number, step: together[number].append(step)
            )
        finally:
            own.eos_token_id = ends
    assert [outcome.token_ids for outcome in outcomes] == [made.token_ids for made in single]  # type: ignore[union-attr]
    assert len(alone[1]) <= 3, "one sample ends before the others"
    answers = [made.token_ids for made in single]
    done = replay_batch(
        model, prepared, plan, EVERYTHING, answers, on_step=lambda number, step: replayed[number].append(step)
    )
    assert [outcome.token_ids for outcome in done] == answers  # type: ignore[union-attr]
    for want, generated, again in zip(alone, together, replayed, strict=True):
        assert_same_steps(want, generated)
        assert_same_steps(want, again)
