"""Replaying a finished answer: the rows, scalars and candidates of the generation that wrote it, from one pass."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture import blocks, intercept
from attnviz_video.capture.blocks import check_causal
from attnviz_video.capture.call_part import part_of_call
from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.intercept import AttentionCall
from attnviz_video.capture.output_head import OutputHead
from attnviz_video.capture.plan import RecordingPlan, plan_of_replay
from attnviz_video.capture.replay import replay
from attnviz_video.capture.rows import AttentionOptions
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.capture.teacher_forced import Span, TeacherForcedPass, check_prompt_is_alone
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.core.trace import StartPoint
from attnviz_video.errors import DeviceError, ModelError, StartPhraseError, UsageError
from attnviz_video.models.decoder import attention_modules
from attnviz_video.models.teacher_forcing import with_answer
from tests.capture import in_memory
from tests.capture.comparing import assert_same_steps
from tests.capture.running import EVERYTHING, answer_text, model_that_writes, plain_ids, record

TWO_IMAGES = ((2, 3), (4, 2))
KINDS = pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
GRIDS = pytest.mark.parametrize("grids", [(), ((2, 3),), TWO_IMAGES], ids=["no image", "one image", "two images"])


def replayed(
    model: Any, prepared: Prepared, ids: Sequence[int], settings: CaptureSettings = EVERYTHING, **more: Any
) -> tuple[Any, list[Step]]:
    steps: list[Step] = []
    plan = more.pop("plan", in_memory.EVERYTHING)
    more.setdefault("on_step", steps.append)
    return replay(in_memory.loaded(model), prepared, plan, settings, ids, **more), steps


@KINDS
@GRIDS
def test_replay_hands_over_the_steps_of_the_generation(kind: str, grids: tuple[tuple[int, int], ...]) -> None:
    model, prepared = in_memory.model(kind), in_memory.prepared(grids)
    made, generated = record(model, prepared)
    result, steps = replayed(model, prepared, made.token_ids)
    assert_same_steps(generated, steps)
    assert (result.token_ids, result.start, result.stopped_by) == (made.token_ids, made.start, "stop")


@KINDS
def test_t26_rows_equal_eager_attentions_step_by_step_in_float32(kind: str) -> None:
    """Before anything is rounded to float16: the query at n_prompt - 1 + i produced token i."""
    model, prepared = in_memory.model(kind), in_memory.prepared(TWO_IMAGES)
    ids = plain_ids(model, prepared, 8)
    forward = TeacherForcedPass(attention_modules(model), [Span(prepared.n_prompt, 8)], n_heads=in_memory.N_HEADS)
    forward.run(model, with_answer(prepared.inputs, ids[:-1], model.config.model_type), None)
    model.set_attn_implementation({"text_config": "eager"})
    output = model.generate(
        **prepared.inputs, max_new_tokens=8, do_sample=False, output_attentions=True, return_dict_in_generate=True
    )
    assert tuple(output.sequences[0, prepared.n_prompt :].tolist()) == ids
    for step, layers in enumerate(output.attentions):
        for layer, want in enumerate(layers):
            row = forward.layers[0][layer].rows(range(step, step + 1))[:, 0]
            n_keys = prepared.n_prompt + step
            torch.testing.assert_close(row[:, :n_keys], want[0, :, -1], rtol=0, atol=1e-5)
            assert not row[:, n_keys:].any()


def test_sliding_layers_have_full_length_rows_with_nothing_before_the_window() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    prepared = in_memory.prepared()
    made, generated = record(model, prepared)
    _, steps = replayed(model, prepared, made.token_ids)
    assert_same_steps(generated, steps)
    assert steps[3].rows is not None
    assert not steps[3].rows.heads[0][:, :-5].any()


@pytest.mark.parametrize("steps_at_once", [1, 3])
def test_t21_blocks_do_not_change_the_steps(steps_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    ids = plain_ids(model, prepared, 8)
    _, whole = replayed(model, prepared, ids)
    monkeypatch.setattr(blocks, "STEPS_AT_ONCE", steps_at_once)
    _, parts = replayed(model, prepared, ids)
    assert_same_steps(whole, parts)


def test_t21_a_block_holds_few_steps_where_rows_are_long() -> None:
    plan = RecordingPlan((0,), tuple(range(28)), tuple(range(28)), (), ())
    answer = blocks.AnswerBlocks(plan, in_memory.prepared(()).layout, TraceColumns(8000, ("full",) * 28, None), 28)
    parts = list(answer.blocks(4096))
    assert [step for part in parts for step in part] == list(range(4096))
    assert max(len(part) for part in parts) * 28 * 12_096 * 28 * 2 <= blocks.BLOCK_BYTES


def test_t21_rows_are_streamed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step is handed over, nothing holds the rows of the blocks before it."""
    monkeypatch.setattr(blocks, "STEPS_AT_ONCE", 2)
    alive: list[int] = []
    seen: list[weakref.ref[np.ndarray]] = []

    def take(step: Step) -> None:
        assert step.rows is not None
        seen.append(weakref.ref(step.rows.heads[0]))
        alive.append(sum(reference() is not None for reference in seen))

    model, prepared = in_memory.model(), in_memory.prepared()
    replayed(model, prepared, plain_ids(model, prepared, 8), on_step=take)
    assert len(seen) == 8
    assert max(alive) <= 3


def test_no_logits_of_the_prompt_are_computed() -> None:
    """The head sees the queries that produced the answer, and no other position."""
    model, prepared = in_memory.model(), in_memory.prepared(TWO_IMAGES)
    ids, seen = plain_ids(model, prepared, 8), []
    hook = model.lm_head.register_forward_hook(lambda module, given, output: seen.append(given[0].shape[1]))
    replayed(model, prepared, ids)
    hook.remove()
    assert seen == [8]


def test_shown_depth_stops_after_the_last_layer_and_says_that_probabilities_are_missing() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    made, generated = record(model, prepared)
    plan = plan_of_replay(replace(in_memory.EVERYTHING, head_layers=(1,), shown_layers=(1,)), "shown")
    assert (plan.mean_layers, plan.scalar_layers) == ((0, 1), (0, 1))
    ran: list[int] = []
    for number, layer in enumerate(model.model.language_model.layers):
        layer.register_forward_pre_hook(lambda module, given, number=number: ran.append(number))
    model.lm_head.register_forward_pre_hook(lambda module, given: ran.append(-1))
    result, steps = replayed(model, prepared, made.token_ids, replace(EVERYTHING, replay_depth="shown"), plan=plan)
    assert ran == [0, 1]
    assert result.settings == {"replay_depth": "shown"}
    for step, whole in zip(steps, generated, strict=True):
        assert math.isnan(step.info.log_probability)
        assert step.info.candidates == ()
        assert step.rows is not None
        assert whole.rows is not None
        np.testing.assert_allclose(step.rows.heads[1], whole.rows.heads[1], atol=5e-4)
        assert (set(step.rows.heads), set(step.rows.mean)) == ({1}, {0, 1})


def test_full_depth_keeps_the_plan() -> None:
    assert plan_of_replay(in_memory.EVERYTHING, "full") is in_memory.EVERYTHING


def test_steps_of_a_replay_take_no_time_of_their_own() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    _, steps = replayed(model, prepared, [104, 105])
    assert all(math.isnan(step.info.milliseconds) for step in steps)


def test_an_answer_with_its_end_token_was_stopped_by_it() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    result, steps = replayed(model, prepared, [104, 105, in_memory.IM_END])
    assert (result.stopped_by, len(steps)) == ("eos", 3)


def test_interrupted_between_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "STEPS_AT_ONCE", 2)
    model, prepared = in_memory.model(), in_memory.prepared()
    steps: list[Step] = []
    result, _ = replayed(model, prepared, [104] * 7, on_step=steps.append, should_stop=lambda: len(steps) >= 3)
    assert (result.stopped_by, result.token_ids, len(steps)) == ("interrupted", (104,) * 4, 4)


def test_prompt_rows_are_those_of_the_prompt_alone() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    plan = replace(in_memory.EVERYTHING, head_layers=(0, 2), heads=(1, 3), query_rows="all")
    want: list[PromptRows] = []
    made, _ = record(model, prepared, plan=plan, on_prompt_rows=want.append)
    got: list[PromptRows] = []
    replayed(model, prepared, made.token_ids, plan=plan, on_prompt_rows=got.append)
    assert [rows.layer for rows in got] == [0, 2]
    for own, other in zip(got, want, strict=True):
        np.testing.assert_allclose(own.heads, other.heads, atol=5e-4)


# --- where it starts -------------------------------------------------------------------------------------------------


def test_t17_steps_before_the_phrase_in_the_answer_have_no_rows_but_candidates() -> None:
    model, prepared, full = model_that_writes()
    phrase = answer_text(full)[2:4]
    settings = replace(EVERYTHING, start_phrase=phrase)
    ids = [step.info.token_id for step in full]
    result, steps = replayed(model, prepared, ids, settings)
    assert result.start == StartPoint(phrase, "answer", prepared.n_prompt + 2, 4)
    assert [step.info.recorded for step in steps] == [False] * 4 + [True] * 4
    assert all(step.rows is None and step.info.scalars is None for step in steps[:4])
    assert all(len(step.info.candidates) == 10 for step in steps)
    assert_same_steps(full[4:], steps[4:])


@pytest.mark.parametrize("last", [6, 8], ids=["within", "at the very end"])
def test_t17_whole_blocks_may_lie_before_the_phrase(last: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "STEPS_AT_ONCE", 2)
    model, prepared, full = model_that_writes()
    settings = replace(EVERYTHING, start_phrase=answer_text(full)[:last])
    _, steps = replayed(model, prepared, [step.info.token_id for step in full], settings)
    assert [step.info.recorded for step in steps] == [False] * last + [True] * (8 - last)
    assert_same_steps(full[last:], steps[last:])


def test_t20_rows_that_are_not_numbers_are_not_taken_for_looking_ahead() -> None:
    rows = torch.zeros(2, 3, 9)
    rows[:, 1] = torch.nan
    check_causal(rows, 0, range(2, 5), 4)
    rows[0, 0, 6] = 0.1
    with pytest.raises(ModelError, match="would attend to what comes after it"):
        check_causal(rows, 0, range(2, 5), 4)


def test_t17_a_phrase_found_nowhere_is_an_error_before_the_model_runs() -> None:
    model, prepared, full = model_that_writes()
    model.register_forward_pre_hook(lambda module, given: pytest.fail("the model ran"))
    with pytest.raises(StartPhraseError, match=f"'nowhere' occurs neither .* in the answer {answer_text(full)!r}"):
        replayed(model, prepared, [step.info.token_id for step in full], replace(EVERYTHING, start_phrase="nowhere"))


def test_built_in_phrase_nowhere_is_a_notice() -> None:
    prepared = in_memory.prepared()
    result, steps = replayed(in_memory.model(), prepared, [104, 105], replace(EVERYTHING, start_phrase=None))
    assert all(step.info.recorded for step in steps)
    assert "shown from the answer on" in result.notices[0]


# --- the model is left as it was -------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("depth", ["full", "shown"])
def test_the_model_is_left_as_it_was_and_generates_as_before(kind: str, depth: str) -> None:
    model, prepared = in_memory.model(kind), in_memory.prepared(TWO_IMAGES)
    ids = plain_ids(model, prepared, 8)
    other = in_memory.prepared(((3, 3),), "Another question, with another picture?")
    before, deltas = plain_ids(model, other, 8), model.model.rope_deltas.clone()
    functions, config = dict(intercept._functions()), model.config.to_dict()
    replayed(model, prepared, ids, replace(EVERYTHING, replay_depth=depth))
    assert (dict(intercept._functions()), model.config.to_dict()) == (functions, config)
    assert "forward" not in vars(model.model)
    torch.testing.assert_close(model.model.rope_deltas, deltas)
    assert plain_ids(model, other, 8) == before


def test_a_stale_position_offset_of_another_prompt_does_no_harm() -> None:
    model, prepared = in_memory.model(), in_memory.prepared(TWO_IMAGES)
    made, generated = record(model, prepared)
    model.model.rope_deltas = torch.tensor([[40]])
    _, steps = replayed(model, prepared, made.token_ids)
    assert_same_steps(generated, steps)


def test_an_answer_that_fails_leaves_the_model_as_it_was() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    functions = dict(intercept._functions())

    def broken(step: Step) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    with pytest.raises(DeviceError, match="cpu is out of memory while replaying; shorten the response, lower --max_pi"):
        replayed(model, prepared, [104, 105], on_step=broken)
    assert dict(intercept._functions()) == functions


# --- what cannot be replayed -----------------------------------------------------------------------------------------


def test_an_answer_without_tokens_is_refused() -> None:
    with pytest.raises(UsageError, match="the response has no tokens: there is nothing to replay"):
        replayed(in_memory.model(), in_memory.prepared(), [])


def test_a_model_without_a_head_of_its_own_is_refused_with_the_way_out() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    body = model.model
    body.get_output_embeddings = lambda: None
    with pytest.raises(
        ModelError, match="does not keep its decoder and its output head apart, .* --replay_depth shown"
    ):
        OutputHead(body)
    _, steps = replayed(model, prepared, [104, 105], replace(EVERYTHING, replay_depth="shown"))
    assert len(steps) == 2


def test_layers_that_do_not_go_through_the_interface_are_named() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    attention = model.model.language_model.layers[1].self_attn
    attention.forward = lambda hidden_states, **given: (torch.zeros_like(hidden_states), None)
    with pytest.raises(
        ModelError, match="the attention of layer 1 did not go through transformers' attention interface"
    ):
        replayed(model, prepared, [104, 105])


def test_a_model_whose_output_is_not_a_number() -> None:
    model = in_memory.model()
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="the model's output is not a number; load it with --dtype bfloat16"):
        replayed(model, in_memory.prepared(), [104, 105])


def call_with(mask: torch.Tensor | None) -> AttentionCall:
    query, key = torch.zeros(1, 2, 5, 4), torch.zeros(1, 1, 5, 4)
    return AttentionCall(3, query, key, key, torch.zeros(1, 5, 2, 4), AttentionOptions(0.5, mask=mask))


def test_a_prompt_that_would_see_the_answer_is_refused() -> None:
    causal = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
    check_prompt_is_alone(call_with(None), 0, 3)
    check_prompt_is_alone(call_with(causal), 0, 3)
    check_prompt_is_alone(call_with(torch.where(causal, 0.0, torch.finfo(torch.float32).min)), 0, 3)
    both_ways = causal.clone()
    both_ways[..., :4, :4] = True
    for mask in (both_ways, torch.where(both_ways, 0.0, -torch.inf)):
        with pytest.raises(
            ModelError, match="layer 3: in one pass the prompt would attend to the response, .* generate"
        ):
            check_prompt_is_alone(call_with(mask), 0, 3)
    check_prompt_is_alone(call_with(both_ways), 0, 4)


def test_an_answer_that_would_see_what_comes_after_it_is_refused() -> None:
    rows = torch.zeros(2, 2, 8)
    rows[:, 0, :4], rows[:, 1, :5] = 0.25, 0.2
    check_causal(rows, 3, range(1, 3), 3)
    with pytest.raises(ModelError, match="layer 3: in one pass the response would attend to what comes after it"):
        check_causal(rows, 3, range(0, 2), 3)


def test_a_part_of_a_call_sees_its_own_keys_only() -> None:
    noise = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 6, 4, generator=noise) for heads in (4, 2, 2))
    mask = torch.rand(2, 1, 6, 6, generator=noise) > 0.3
    output = torch.randn(2, 6, 4, 4, generator=noise)
    call = AttentionCall(7, query, key, value, output, AttentionOptions(0.5, mask=mask, first_query=0))
    part = part_of_call(call, 1, range(4, 6), range(2, 6))
    assert torch.equal(part.query, query[1:, :, 4:6])
    assert torch.equal(part.key, key[1:, :, 2:])
    assert torch.equal(part.value, value[1:, :, 2:])
    assert torch.equal(part.output, output[1:, 4:6])
    assert part.options.mask is not None
    assert torch.equal(part.options.mask, mask[1:, :, 4:6, 2:])
    assert part.options.first_query == 2
    flash = replace(call, options=replace(call.options, mask=mask[:, 0, 0]))
    cut = part_of_call(flash, 1, range(4, 6), range(2, 6)).options.mask
    assert cut is not None
    assert torch.equal(cut, mask[1:, 0, 0, 2:])
