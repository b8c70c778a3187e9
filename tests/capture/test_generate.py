"""Recording a generation: the same text, the right rows, the start phrase, and nothing kept."""

from __future__ import annotations

import functools
import itertools
import json
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture.holder import STEPS_HELD
from attnviz_video.capture.plan import RecordingPlan, forecast_bytes, plan_recording, row_bytes
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows, Step
from attnviz_video.errors import DeviceError, ModelError, StartPhraseError
from tests.capture import in_memory
from tests.capture.running import EVERYTHING, answer_text, model_that_writes, plain_ids, record

TWO_IMAGES = ((2, 3), (4, 2))
KINDS = pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])


def eager_steps(model: Any, prepared: Prepared, n_new: int) -> list[list[torch.Tensor]]:
    """Per step and layer [heads, keys]: the last query's row of the model's own attentions."""
    model.set_attn_implementation({"text_config": "eager"})
    output = model.generate(
        **prepared.inputs, max_new_tokens=n_new, do_sample=False, output_attentions=True, return_dict_in_generate=True
    )
    return [[layer[0, :, -1] for layer in step] for step in output.attentions]


def assert_equals_eager(step: Step, layers: list[torch.Tensor], n_prompt: int) -> None:
    assert step.rows is not None
    for layer, row in enumerate(layers):
        assert step.rows.heads[layer].shape == (in_memory.N_HEADS, n_prompt + step.info.index)
        # Rows are kept in float16; test_recorder compares before that, to 1e-5.
        np.testing.assert_allclose(step.rows.heads[layer], row.numpy(), atol=5e-4)
        np.testing.assert_allclose(step.rows.mean[layer], row.mean(0).numpy(), atol=5e-4)


@KINDS
@pytest.mark.parametrize("grids", [((2, 3),), TWO_IMAGES], ids=["one image", "two images"])
def test_t01_rows_are_those_of_the_query_that_produced_the_token(kind: str, grids: tuple[tuple[int, int], ...]) -> None:
    model, prepared = in_memory.model(kind), in_memory.prepared(grids)
    result, steps = record(model, prepared)
    assert tuple(step.info.token_id for step in steps) == result.token_ids
    assert [step.info.index for step in steps] == list(range(len(result.token_ids)))
    assert len(steps) > 3
    for step, layers in zip(steps, eager_steps(model, prepared, len(steps)), strict=True):
        assert_equals_eager(step, layers, prepared.n_prompt)


@KINDS
def test_t14_text_is_identical_with_and_without_recording(kind: str) -> None:
    model, prepared = in_memory.model(kind), in_memory.prepared(TWO_IMAGES)
    result, _ = record(model, prepared)
    assert result.token_ids == plain_ids(model, prepared, 8)


def test_t14_what_the_checkpoint_says_about_the_text_is_kept() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    free, _ = record(model, prepared)
    model.generation_config.update(
        repetition_penalty=5.0, suppress_tokens=[free.token_ids[0]], do_sample=True, temperature=0.1, top_k=3
    )
    result, _ = record(model, prepared)
    assert result.token_ids == plain_ids(model, prepared, 8) != free.token_ids
    assert result.settings["repetition_penalty"] == 5.0
    assert result.settings["checkpoint"] == {
        "suppress_tokens": [free.token_ids[0]], "pad_token_id": in_memory.ENDOFTEXT, "bos_token_id": in_memory.ENDOFTEXT
    }  # fmt: skip
    assert model.generation_config.do_sample, "the model's own configuration stays as it is"


def test_t16_sliding_layers_have_absolute_columns() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    prepared = in_memory.prepared()
    _, steps = record(model, prepared)
    for step, layers in zip(steps, eager_steps(model, prepared, len(steps)), strict=True):
        n_keys = prepared.n_prompt + step.info.index
        padded = [torch.nn.functional.pad(row, (n_keys - row.shape[-1], 0)) for row in layers]
        assert_equals_eager(step, padded, prepared.n_prompt)
        assert step.rows is not None
        assert not step.rows.heads[0][:, :-5].any()
        assert step.rows.heads[0][:, -5:].any()


def test_scalars_equal_the_rows() -> None:
    model, prepared = in_memory.model(), in_memory.prepared(TWO_IMAGES)
    _, steps = record(model, prepared)
    for step in steps:
        assert step.rows is not None
        assert step.info.scalars is not None
        for layer in in_memory.ALL_LAYERS:
            row, scalars = step.rows.heads[layer].astype(np.float32), step.info.scalars
            for image in (0, 1):
                share = row[:, prepared.layout.patch_positions(image)].sum(-1)
                np.testing.assert_allclose(scalars.image_share[layer, :, image], share, atol=2e-3)
            np.testing.assert_allclose(scalars.first_token[layer], row[:, 0], atol=1e-3)
            np.testing.assert_allclose(scalars.maximum[layer], row.max(-1), atol=1e-3)


def test_candidates_are_raw_probabilities() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    model.generation_config.repetition_penalty = 5.0
    own = model.prepare_inputs_for_generation
    # Families differ in whether the prefill gives the logits of all positions or of the last.
    all_positions = functools.wraps(own)(lambda *some, **named: {**own(*some, **named), "logits_to_keep": 0})
    model.prepare_inputs_for_generation = all_positions
    _, steps = record(model, prepared)
    logits = model(**prepared.inputs).logits[0, -1]
    want = torch.softmax(logits.double(), -1)
    first = steps[0].info
    assert len(first.candidates) == 10
    assert [candidate.id for candidate in first.candidates] == torch.topk(want, 10).indices.tolist()
    probabilities = [candidate.probability for candidate in first.candidates]
    np.testing.assert_allclose(probabilities, torch.topk(want, 10).values, 1e-4)
    assert first.log_probability == pytest.approx(float(want[first.token_id].log()), abs=1e-4)
    assert all(step.info.milliseconds > 0 for step in steps)
    assert all(candidate.piece for step in steps for candidate in step.info.candidates)


def test_end_token_is_a_step_and_ends_the_answer() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    free, _ = record(model, prepared)
    assert free.stopped_by == "length"
    model.generation_config.eos_token_id = [9999, free.token_ids[2]]
    result, steps = record(model, prepared)
    stop = free.token_ids.index(free.token_ids[2]) + 1
    assert result.token_ids == free.token_ids[:stop]
    assert result.stopped_by == "eos"
    assert len(steps) == stop
    assert result.settings["eos_token_id"] == sorted([9999, free.token_ids[2]])


def test_stop_string_of_the_checkpoint_ends_the_answer() -> None:
    model, prepared, full = model_that_writes()
    model.generation_config.stop_strings = [answer_text(full)[:2]]
    result, _ = record(model, prepared)
    assert (len(result.token_ids), result.stopped_by) == (2, "stop")


def after(n_tokens: int) -> Callable[[], bool]:
    """A `should_stop` that is true from the given number of tokens on."""
    asked = itertools.count(1)
    return lambda: next(asked) >= n_tokens


def test_interrupted_after_a_step() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    result, steps = record(model, prepared, should_stop=after(3))
    assert (len(result.token_ids), result.stopped_by) == (3, "interrupted")
    assert [step.info.index for step in steps] == [0, 1, 2], "the steps that were finished are handed over"


def test_an_end_token_counts_more_than_an_interruption() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    model.generation_config.eos_token_id = record(model, prepared)[0].token_ids[0]
    result, _ = record(model, prepared, should_stop=lambda: True)
    assert (len(result.token_ids), result.stopped_by) == (1, "eos")


def test_a_late_stop_adds_no_step() -> None:
    """Some devices run one more step after a stop; it is not part of the answer."""
    model, prepared = in_memory.model(), in_memory.prepared()
    own = model.generate

    def generate_late(**inputs: Any) -> None:
        own(**inputs)
        inputs["stopping_criteria"][0](torch.tensor([[1, 2, 3]]), None)

    model.generate = generate_late
    result, steps = record(model, prepared, should_stop=after(3))
    assert len(result.token_ids) == len(steps) == 3


def test_zero_new_tokens() -> None:
    result, steps = record(in_memory.model(), in_memory.prepared(), replace(EVERYTHING, max_new_tokens=0))
    assert (result.token_ids, result.stopped_by, steps) == ((), "length", [])


def test_prompt_without_images() -> None:
    model, prepared = in_memory.model(), in_memory.prepared(())
    result, steps = record(model, prepared)
    assert result.token_ids == plain_ids(model, prepared, 8)
    assert steps[0].info.scalars is not None
    assert steps[0].info.scalars.image_share.shape == (in_memory.N_LAYERS, in_memory.N_HEADS, 0)


@pytest.mark.parametrize("n_tokens", [24, 56])
def test_t21_rows_are_streamed(n_tokens: int) -> None:
    """When a step is handed over, nothing holds rows but those computed with it, however long the answer."""
    alive: list[int] = []
    seen: list[weakref.ref[np.ndarray]] = []

    def take(step: Step) -> None:
        assert step.rows is not None
        alive.append(sum(reference() is not None for reference in seen))
        seen.append(weakref.ref(step.rows.heads[0]))

    record(in_memory.model(), in_memory.prepared(), replace(EVERYTHING, max_new_tokens=n_tokens), on_step=take)
    assert len(seen) == n_tokens
    assert max(alive) < STEPS_HELD


def test_prompt_rows_are_handed_over_once_per_head_layer() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    plan = replace(in_memory.EVERYTHING, head_layers=(0, 2), heads=(1, 3), query_rows="all")
    got: list[PromptRows] = []
    record(model, prepared, plan=plan, on_prompt_rows=got.append)
    assert [rows.layer for rows in got] == [0, 2]
    model.set_attn_implementation({"text_config": "eager"})
    want = model(**prepared.inputs, output_attentions=True).attentions
    for rows in got:
        assert rows.heads.dtype == np.float16
        np.testing.assert_allclose(rows.heads, want[rows.layer][0, [1, 3], :-1], atol=5e-4)


def test_prompt_rows_come_also_while_the_phrase_is_awaited() -> None:
    got: list[PromptRows] = []
    plan = replace(in_memory.EVERYTHING, query_rows="all")
    settings = CaptureSettings(start_phrase="nowhere", max_new_tokens=2)
    with pytest.raises(StartPhraseError):
        record(in_memory.model(), in_memory.prepared(), settings, plan=plan, on_prompt_rows=got.append)
    assert [rows.layer for rows in got] == [0, 1, 2]


def test_t26_one_seed_writes_one_text_and_leaves_the_random_state_alone() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    with torch.no_grad():
        model.lm_head.weight.mul_(0.02)
    sampled = replace(EVERYTHING, do_sample=True, temperature=1.5, seed=3)
    before = torch.get_rng_state()
    first, _ = record(model, prepared, sampled)
    torch.rand(5)
    again, _ = record(model, prepared, sampled)
    other, _ = record(model, prepared, replace(sampled, seed=4))
    assert first.token_ids == again.token_ids != other.token_ids
    assert (first.settings["seed"], first.settings["temperature"], first.settings["top_k"]) == (3, 1.5, 0)
    torch.set_rng_state(before)
    record(model, prepared, sampled)
    assert torch.equal(torch.get_rng_state(), before)


def test_sampling_filters_are_ours_and_not_the_checkpoints() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    greedy, _ = record(model, prepared)
    model.generation_config.update(top_k=1, temperature=0.01)
    with torch.no_grad():
        model.lm_head.weight.mul_(0.02)
    free, _ = record(model, prepared, replace(EVERYTHING, do_sample=True))
    one, _ = record(model, prepared, replace(EVERYTHING, do_sample=True, top_k=1))
    assert free.token_ids != one.token_ids == greedy.token_ids


def test_settings_are_json() -> None:
    result, _ = record(in_memory.model(), in_memory.prepared())
    record_again = json.loads(json.dumps(result.settings))
    assert (record_again["max_new_tokens"], record_again["do_sample"], record_again["seed"]) == (8, False, 0)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
    ids=["cuda", "cpu"],
)
def test_out_of_memory_says_what_to_lower(error: RuntimeError) -> None:
    def full(step: Step) -> None:
        raise error

    with pytest.raises(DeviceError, match=r"cpu is out of memory .* lower --max_new_tokens, --max_pixels .* --layers"):
        record(in_memory.model(), in_memory.prepared(), on_step=full)


def test_other_errors_of_the_library_stay_themselves() -> None:
    def broken(step: Step) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        record(in_memory.model(), in_memory.prepared(), on_step=broken)


def test_model_whose_output_is_not_a_number() -> None:
    model = in_memory.model()
    with torch.no_grad():
        model.lm_head.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="the model's output is not a number; load it with --dtype bfloat16"):
        record(model, in_memory.prepared())


def test_batches_are_refused() -> None:
    prepared = in_memory.prepared(())
    two = replace(prepared, inputs={name: value.repeat(2, 1) for name, value in prepared.inputs.items()})
    with pytest.raises(ModelError, match="one sequence at a time, 2 came; for beams and batches, replay"):
        record(in_memory.model(), two)


def test_forecast_equals_the_bytes_of_the_rows() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    identity = in_memory.loaded(model).identity()
    settings = CaptureSettings(layer_idx=(1,), heads=(0, 2), start_phrase="", max_new_tokens=8, record_rows="all")
    plan, _ = plan_recording(settings, identity)
    total: list[int] = []

    def add(step: Step) -> None:
        assert step.rows is not None
        total.extend(row.nbytes for row in [*step.rows.heads.values(), *step.rows.mean.values()])

    def add_prompt(rows: PromptRows) -> None:
        total.append(rows.heads.nbytes)

    record(model, prepared, settings, plan=plan, on_step=add, on_prompt_rows=add_prompt)
    assert sum(total) == row_bytes(plan, prepared.n_prompt, 8)
    large = forecast_bytes(plan, identity, 2000, 256, 1)
    assert large == pytest.approx(row_bytes(plan, 2000, 256), rel=0.1)


def test_default_plan_records_means_and_scalars_of_all_layers() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    plan, notices = plan_recording(CaptureSettings(), in_memory.loaded(model).identity())
    assert plan == RecordingPlan((2,), (2,), (0, 1, 2, 3), (0, 1, 2), (0, 1, 2))
    assert len(notices) == 1
    _, steps = record(model, prepared, plan=plan)
    assert steps[0].rows is not None
    assert (list(steps[0].rows.heads), list(steps[0].rows.mean)) == ([2], [0, 1, 2])
