"""Batches: each sample's text and rows are those of the sample alone, whatever it is padded to and whenever it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture import intercept
from attnviz_video.capture.batch import generate_batch, replay_batch
from attnviz_video.capture.batch_run import BatchRun, SampleRun
from attnviz_video.capture.generate import Generated
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import DeviceError, ModelError, StartPhraseError, UsageError
from tests.capture import in_memory
from tests.capture.comparing import assert_same_steps
from tests.capture.running import EVERYTHING, answer_text, model_that_writes, record

KINDS = pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])


def samples() -> list[Prepared]:
    """Four prompts of different lengths: with one image, two, none, and one of another shape."""
    return [
        in_memory.prepared(((2, 3),), "What?", seed=1),
        in_memory.prepared(((2, 3), (4, 2)), "What is it, and where is the other one?", seed=2),
        in_memory.prepared((), "Nothing to see here?", seed=3),
        in_memory.prepared(((5, 4),), "How many?", seed=4),
    ]


def listening(kind: str = "qwen2_vl", **more: Any) -> Any:
    """A model whose answers differ between prompts: what attention brings in counts ten times as much."""
    model = in_memory.model(kind, **more)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "language_model" in name and name.endswith(("o_proj.weight", "v_proj.weight")):
                weight.mul_(10)
    return model


def alone(model: Any, prepared: Sequence[Prepared], settings: CaptureSettings = EVERYTHING, **more: Any) -> Any:
    """Outcome and steps of every sample by itself."""
    return [record(model, sample, settings, **more) for sample in prepared]


class Sink:
    """Keeps the steps of every sample."""

    def __init__(self, n_samples: int) -> None:
        self.steps: list[list[Step]] = [[] for _ in range(n_samples)]

    def __call__(self, number: int, step: Step) -> None:
        self.steps[number].append(step)


def batched(
    model: Any, prepared: Sequence[Prepared], settings: CaptureSettings = EVERYTHING, **more: Any
) -> tuple[list[Any], list[list[Step]]]:
    sink = Sink(len(prepared))
    plan = more.pop("plan", in_memory.EVERYTHING)
    more.setdefault("on_step", sink)
    return generate_batch(in_memory.loaded(model), prepared, plan, settings, **more), sink.steps


def replayed(
    model: Any, prepared: Sequence[Prepared], answers: Sequence[Sequence[int]], settings: CaptureSettings = EVERYTHING,
    **more: Any,
) -> tuple[list[Any], list[list[Step]]]:  # fmt: skip
    sink = Sink(len(prepared))
    plan = more.pop("plan", in_memory.EVERYTHING)
    more.setdefault("on_step", sink)
    return replay_batch(in_memory.loaded(model), prepared, plan, settings, answers, **more), sink.steps


@KINDS
def test_t23_batch_equals_single_runs(kind: str) -> None:
    model, prepared = listening(kind), samples()
    outcomes, steps = batched(model, prepared)
    assert len({outcome.token_ids for outcome in outcomes}) == 4, (
        "the samples must differ for this test to mean something"
    )
    for (want, own), outcome, got in zip(alone(model, prepared), outcomes, steps, strict=True):
        assert (outcome.token_ids, outcome.stopped_by, outcome.start) == (want.token_ids, want.stopped_by, want.start)
        assert_same_steps(own, got)
        assert outcome.settings == {**want.settings, "batch_size": 4}


def test_t23_sliding_layers_in_a_batch() -> None:
    """The window drops keys of the padding first, and each sample's at its own time."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    window = in_memory.prepared((), "What?").n_prompt + 3
    model = listening(use_sliding_window=True, sliding_window=window, max_window_layers=0, layer_types=kinds)
    prepared = [in_memory.prepared((), "What?"), in_memory.prepared((), "What is it, and why?")]
    _, steps = batched(model, prepared)
    for (_, own), got in zip(alone(model, prepared), steps, strict=True):
        assert_same_steps(own, got)


@pytest.mark.skipif(not in_memory.EAGER_CAN_BE_WATCHED, reason="transformers 5.1 or later")
def test_t23_eager_attention_in_a_batch() -> None:
    model, prepared = listening(attention="eager"), samples()
    _, steps = batched(model, prepared)
    for (_, own), got in zip(alone(model, prepared), steps, strict=True):
        assert_same_steps(own, got)


def test_t23_early_finishers_are_cut_at_their_end_token() -> None:
    model, prepared = listening(), samples()
    free = alone(model, prepared)
    model.generation_config.eos_token_id = [free[1][0].token_ids[2], in_memory.IM_END]
    want = alone(model, prepared)
    outcomes, steps = batched(model, prepared)
    assert [outcome.token_ids for outcome in outcomes] == [single.token_ids for single, _ in want]
    assert [outcome.stopped_by for outcome in outcomes] == [single.stopped_by for single, _ in want]
    assert outcomes[1].stopped_by == "eos"
    assert len(steps[1]) == 3
    assert {len(own) for own in steps} != {3}
    for (_, own), got in zip(want, steps, strict=True):
        assert_same_steps(own, got)


def test_t23_rules_against_repetition_see_no_padding() -> None:
    """They look at all ids of a row, hidden ones too: padding must not keep a token out of the answer."""
    model, prepared = in_memory.model(), samples()[:2]
    model.generation_config.update(no_repeat_ngram_size=1, repetition_penalty=3.0)
    likeliest = alone(model, prepared)[0][0].token_ids[0]
    with torch.no_grad():
        model.lm_head.weight[in_memory.ENDOFTEXT] = model.lm_head.weight[likeliest] * 1.01
    outcomes, _ = batched(model, prepared)
    assert [outcome.token_ids for outcome in outcomes] == [single.token_ids for single, _ in alone(model, prepared)]
    assert outcomes[0].token_ids[0] == in_memory.ENDOFTEXT == model.generation_config.pad_token_id


def test_t17_the_start_phrase_is_sought_in_each_sample() -> None:
    model, prepared = listening(), [samples()[0], in_memory.prepared((), "so?"), in_memory.prepared((), "Hm, why?")]
    model.generation_config = model_that_writes()[0].generation_config
    single = alone(model, prepared)
    texts = [answer_text(steps) for _, steps in single]
    first = next(place for place in range(5) if texts[0][place : place + 2] not in texts[2])
    phrase = texts[0][first : first + 2]
    prepared[1] = in_memory.prepared((), f"so, where is {phrase} it?")
    outcomes, steps = batched(model, prepared, replace(EVERYTHING, start_phrase=phrase))
    assert outcomes[0].start.found_in == "answer"
    assert [step.info.recorded for step in steps[0]] == [False] * (first + 2) + [True] * (6 - first)
    assert_same_steps(single[0][1][first + 2 :], steps[0][first + 2 :])
    assert outcomes[1].start.found_in == "prompt"
    assert all(step.info.recorded for step in steps[1])
    assert isinstance(outcomes[2], StartPhraseError)
    assert f"in the answer {texts[2]!r}" in str(outcomes[2])
    assert len(steps[2]) == 8, "the tokens were handed over all the same"


def test_a_phrase_that_one_prompt_lacks_leaves_that_sample_out() -> None:
    model = in_memory.model()
    prepared = [in_memory.prepared((), "look at it"), in_memory.prepared((), "What?")]
    settings = replace(EVERYTHING, start_phrase="look", start_phrase_in="prompt")
    outcomes, steps = batched(model, prepared, settings)
    assert isinstance(outcomes[0], Generated)
    assert isinstance(outcomes[1], StartPhraseError)
    assert [len(own) for own in steps] == [8, 0]


def test_prompt_rows_are_each_samples_own() -> None:
    model, prepared = in_memory.model(), samples()
    plan = replace(in_memory.EVERYTHING, head_layers=(1,), query_rows="all")
    got: list[tuple[int, PromptRows]] = []
    batched(model, prepared, plan=plan, on_prompt_rows=lambda number, rows: got.append((number, rows)))
    again: list[tuple[int, PromptRows]] = []
    answers = [[104, 105]] * len(prepared)
    replayed(model, prepared, answers, plan=plan, on_prompt_rows=lambda number, rows: again.append((number, rows)))
    for (number, rows), (also, others), sample in zip(got, again, prepared, strict=True):
        want: list[PromptRows] = []
        record(model, sample, plan=plan, on_prompt_rows=want.append)
        assert number == also
        np.testing.assert_allclose(rows.heads, want[0].heads, atol=5e-4)
        np.testing.assert_allclose(others.heads, want[0].heads, atol=5e-4)


def test_interrupted_samples_keep_what_they_have() -> None:
    model, prepared = in_memory.model(), samples()
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 2 * len(prepared)

    outcomes, steps = batched(model, prepared, should_stop=stop)
    assert [(outcome.stopped_by, len(own)) for outcome, own in zip(outcomes, steps, strict=True)] == [
        ("interrupted", 3)
    ] * 4


def test_zero_new_tokens() -> None:
    outcomes, steps = batched(in_memory.model(), samples()[:2], replace(EVERYTHING, max_new_tokens=0))
    assert [(outcome.token_ids, outcome.stopped_by) for outcome in outcomes] == [((), "length")] * 2
    assert steps == [[], []]


def test_a_sample_that_has_ended_holds_no_keys() -> None:
    """Or every early finisher would keep a copy of the whole cache of its last step."""
    model, prepared = listening(), samples()
    model.generation_config.eos_token_id = alone(model, prepared[:1])[0][0].token_ids[2]
    held: list[int] = []
    own = BatchRun.__call__

    def spy(self: Any, input_ids: Any, scores: Any = None, **more: Any) -> Any:
        result = own(self, input_ids, scores, **more)
        held.append(sum(len(run.recorder._keys) for run in self._runs if not run.running))
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchRun, "__call__", spy)
        batched(model, prepared)
    assert len(held) > 3
    assert set(held) == {0}


def test_the_table_of_functions_is_restored_also_after_an_error() -> None:
    model, functions = in_memory.model(), dict(intercept._functions())
    seen: list[Step] = []

    def broken(number: int, step: Step) -> None:
        seen.append(step)
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(DeviceError, match="cpu is out of memory while generating a batch; run fewer samples at once"):
        batched(model, samples(), on_step=broken)
    assert dict(intercept._functions()) == functions
    assert seen


# --- replay ----------------------------------------------------------------------------------------------------------


@KINDS
def test_t23_replay_of_a_batch_equals_single_generations(kind: str) -> None:
    model, prepared = listening(kind), samples()
    single = alone(model, prepared)
    answers = [made.token_ids[: 8 - number] for number, (made, _) in enumerate(single)]
    outcomes, steps = replayed(model, prepared, answers)
    for (_, own), outcome, answer, got in zip(single, outcomes, answers, steps, strict=True):
        assert outcome.token_ids == answer
        assert_same_steps(own[: len(answer)], got)


def test_an_answer_that_cannot_be_replayed_is_left_out() -> None:
    model, prepared = in_memory.model(), samples()[:3]
    outcomes, steps = replayed(model, prepared, [[], [104, 9999], [104, 105]])
    assert [type(outcome) for outcome in outcomes] == [UsageError, ModelError, Generated]
    assert [len(own) for own in steps] == [0, 0, 2]


def test_replay_of_a_batch_to_the_shown_depth() -> None:
    model, prepared = in_memory.model(), samples()[:2]
    settings = replace(EVERYTHING, replay_depth="shown")
    plan = replace(in_memory.EVERYTHING, head_layers=(0,), mean_layers=(0,), scalar_layers=(0,))
    _, steps = replayed(model, prepared, [[104, 105], [106]], settings, plan=plan)
    assert [len(own) for own in steps] == [2, 1]
    assert all(step.info.candidates == () for own in steps for step in own)


# --- what no batch can do --------------------------------------------------------------------------------------------


def test_sampling_and_stop_strings_are_refused() -> None:
    model = in_memory.model()
    with pytest.raises(
        UsageError, match="--do_sample: in a batch, .* would depend on the others; .* generate greedily"
    ):
        batched(model, samples(), replace(EVERYTHING, do_sample=True))
    model.generation_config.stop_strings = ["stop"]
    with pytest.raises(UsageError, match="configuration of in-memory ends answers at stop_strings, .* one by one"):
        batched(model, samples())


def test_families_whose_batches_are_not_known_are_refused() -> None:
    model = in_memory.model()
    model.config.model_type = "something_else"
    with pytest.raises(ModelError, match="batches of model_type 'something_else' are not known to equal single runs; "):
        batched(model, samples())


def test_a_sample_runs_until_it_is_stopped() -> None:
    run = SampleRun(
        in_memory.loaded(in_memory.model()), samples()[0], in_memory.EVERYTHING, EVERYTHING, print, None, bool
    )
    assert run.running
    run.stepper.stopped_by = "eos"
    assert not run.running
