"""Rows of the running model against the attentions of eager models, where the two could part: caches, masks, sinks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import Tensor

from attnviz_video.capture import intercept
from attnviz_video.capture.holder import BYTES_HELD, STEPS_HELD
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import Step, StepRows
from attnviz_video.errors import ModelError, UsageError
from attnviz_video.models.decoder import attention_modules
from attnviz_video.tracefile.format import SHARD_BYTES, STEPS_PER_SHARD
from tests.capture import in_memory
from tests.capture.running import EVERYTHING, plain_ids, record

TABLE = intercept.transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS
SIZES: dict[str, Any] = {**in_memory.TEXT, "head_dim": 8}


def text_model(kind: str, attention: str = "eager", **more: Any) -> Any:
    """A random text decoder with peaked attention."""
    torch.manual_seed(1)
    config_of = {
        "gemma2": lambda: transformers.Gemma2Config(
            **SIZES, query_pre_attn_scalar=8, sliding_window=6, attn_logit_softcapping=4.0, **more
        ),
        "gpt_oss": lambda: transformers.GptOssConfig(
            **SIZES, num_local_experts=2, num_experts_per_tok=1, sliding_window=6,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], **more,
        ),
        "qwen2": lambda: transformers.Qwen2Config(**SIZES, **more),
    }[kind]  # fmt: skip
    made = transformers.AutoModelForCausalLM.from_config(config_of(), attn_implementation=attention)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "q_proj.weight" in name or "k_proj.weight" in name:
                weight.mul_(20)
            elif "embed_tokens" in name or "lm_head" in name:
                weight.mul_(30)
            elif name.endswith("sinks"):
                weight.normal_()
    made.generation_config.eos_token_id = in_memory.IM_END
    made.generation_config.pad_token_id = in_memory.ENDOFTEXT
    return made.eval().requires_grad_(False)


def text_prepared() -> Prepared:
    """A prompt without the kinds of its tokens, which are for models that take images."""
    own = in_memory.prepared(())
    return replace(own, inputs={name: own.inputs[name] for name in ("input_ids", "attention_mask")})


def attentions(model: Any, inputs: Any, n_new: int, **how: Any) -> list[list[Tensor]]:
    """Per step and layer [heads, keys]: the last query's row of the model's own attentions."""
    output = model.generate(
        **inputs, max_new_tokens=n_new, do_sample=False, output_attentions=True, return_dict_in_generate=True, **how
    )
    return [[layer[0, :, -1] for layer in step] for step in output.attentions]


def assert_rows(rows: StepRows, layers: list[Tensor], n_keys: int) -> None:
    for layer, want in enumerate(layers):
        placed = torch.nn.functional.pad(want, (n_keys - want.shape[-1], 0))
        # Rows are kept in float16: half a unit in the last place of what is below 1.
        np.testing.assert_allclose(rows.heads[layer], placed.numpy(), rtol=2**-11, atol=1e-5)


def assert_all_rows(steps: list[Step], want: list[list[Tensor]], n_prompt: int) -> None:
    assert len(steps) == len(want) > 3
    for step, layers in zip(steps, want, strict=True):
        assert step.rows is not None
        assert_rows(step.rows, layers, n_prompt + step.info.index)


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss"])
def test_softcap_and_sinks_in_a_model_with_windows(kind: str) -> None:
    """Gemma 2 caps its scores; gpt-oss has a sink per head, so that rows sum to less than 1. Both run eager."""
    model, prepared = text_model(kind), text_prepared()
    result, steps = record(model, prepared, replace(EVERYTHING, max_new_tokens=20))
    assert result.token_ids == plain_ids(model, prepared, 20)
    want = attentions(model, prepared.inputs, 20)
    assert_all_rows(steps, want, prepared.n_prompt)
    sums = torch.stack([row.sum(-1) for layers in want for row in layers])
    assert bool(result.notices) != in_memory.EAGER_CAN_BE_WATCHED, "before 5.1 the model's own weights are taken"
    assert (sums.min() < 0.9) == (kind == "gpt_oss"), "the sink must take weight for this test to mean something"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_left_padding_has_no_weight(attention: str) -> None:
    model, bare = in_memory.model(attention=attention), in_memory.prepared(())
    pad = 5
    ids = torch.cat([torch.full((1, pad), in_memory.ENDOFTEXT), bare.inputs["input_ids"]], dim=1)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids).index_fill_(1, torch.arange(pad), 0)}
    padded = Prepared(inputs, layout_of(ids.shape[1]), (), "")
    _, steps = record(model, padded, replace(EVERYTHING, max_new_tokens=20))
    model.set_attn_implementation({"text_config": "eager"})
    assert_all_rows(steps, attentions(model, inputs, 20), padded.n_prompt)
    for step in steps:
        assert step.rows is not None
        assert not any(row[:, :pad].any() for row in step.rows.heads.values())
    _, alone = record(model, bare, replace(EVERYTHING, max_new_tokens=20))
    assert [step.info.token_id for step in alone] == [step.info.token_id for step in steps]


def layout_of(n_prompt: int) -> TokenLayout:
    nothing = np.full(n_prompt, -1, dtype=np.int64)
    return TokenLayout((), (), nothing, nothing)


def taken(model: Any, prepared: Prepared, n_new: int, **how: Any) -> list[StepRows]:
    """The rows of a generation of the caller's own, taken step by step."""
    found: list[StepRows] = []
    recorder = AttentionRecorder(
        attention_modules(model), in_memory.EVERYTHING, in_memory.loaded(model).identity(), prepared.layout
    )

    def step(ids: Tensor, scores: object, **_: object) -> Tensor:
        found.append(recorder.take(len(found))[0])
        return torch.zeros(1, dtype=torch.bool)

    with recorder:
        model.generate(**prepared.inputs, max_new_tokens=n_new, do_sample=False, stopping_criteria=[step], **how)
    return found


@pytest.mark.parametrize(
    "how",
    [{"cache_implementation": "static"}, {"prefill_chunk_size": 7}, {"use_cache": False}],
    ids=["static cache", "chunked prefill", "no cache"],
)
def test_other_caches_give_the_same_rows(how: dict[str, Any]) -> None:
    model, prepared = text_model("qwen2", "sdpa"), text_prepared()
    # Version 5.0 cuts prompts up only where it is given the cache.
    cache = {"past_key_values": transformers.DynamicCache()} if "prefill_chunk_size" in how else {}
    found = taken(model, prepared, 6, **how, **cache, disable_compile=True)
    model.set_attn_implementation("eager")
    for number, (rows, want) in enumerate(zip(found, attentions(model, prepared.inputs, 6), strict=True)):
        assert_rows(rows, want, prepared.n_prompt + number)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_of_half_precision_models_are_distributions(dtype: torch.dtype) -> None:
    model = in_memory.model().to(dtype)
    own = in_memory.prepared(((2, 3),))
    prepared = replace(own, inputs={**own.inputs, "pixel_values": own.inputs["pixel_values"].to(dtype)})
    result, steps = record(model, prepared, replace(EVERYTHING, max_new_tokens=20))
    assert result.token_ids == plain_ids(model, prepared, 20)
    for step in steps:
        assert step.rows is not None
        for row in step.rows.heads.values():
            np.testing.assert_allclose(row.astype(np.float64).sum(-1), 1, atol=2e-3)
            assert (row >= 0).all()


def test_rows_computed_together_are_those_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among them layers with windows, whose rows cannot wait; and steps before the start phrase."""
    kinds = ["sliding_attention", "full_attention", "full_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    prepared = in_memory.prepared(((2, 3), (4, 2)))
    settings = replace(EVERYTHING, max_new_tokens=40)
    _, together = record(model, prepared, settings)
    # Several steps are one product of matrices: with this limit each is handed over alone.
    monkeypatch.setattr("attnviz_video.capture.holder.BYTES_HELD", 1)
    _, alone = record(model, prepared, settings)
    assert len(together) == len(alone) == 40
    for one, other in zip(together, alone, strict=True):
        assert one.rows is not None
        assert other.rows is not None
        assert one.info.candidates == other.info.candidates
        for layer in in_memory.ALL_LAYERS:
            np.testing.assert_allclose(one.rows.heads[layer], other.rows.heads[layer], rtol=2**-10, atol=1e-6)
            np.testing.assert_allclose(one.rows.mean[layer], other.rows.mean[layer], rtol=2**-10, atol=1e-6)


def test_steps_are_handed_over_at_least_as_often_as_a_shard_is_written() -> None:
    assert STEPS_HELD <= STEPS_PER_SHARD
    assert SHARD_BYTES / 2 < BYTES_HELD < 2 * SHARD_BYTES
    seen: list[int] = []
    asked: list[int] = []

    def should_stop() -> bool:
        asked.append(len(seen))
        return False

    record(
        in_memory.model(), in_memory.prepared(), replace(EVERYTHING, max_new_tokens=40),
        on_step=lambda step: seen.append(step.info.index), should_stop=should_stop,
    )  # fmt: skip
    assert seen == list(range(40))
    waiting = [number - done for number, done in enumerate(asked)]
    assert max(waiting) == STEPS_HELD - 1, "at most one buffer is lost where the program is killed"


def test_what_was_finished_is_handed_over_when_the_model_fails() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    calls: list[int] = []

    def fail(*_: object) -> None:
        calls.append(1)
        if len(calls) == 8:
            raise ZeroDivisionError

    model.lm_head.register_forward_hook(fail)
    steps: list[Step] = []
    with pytest.raises(ZeroDivisionError):
        record(model, prepared, on_step=steps.append)
    assert [step.info.index for step in steps] == list(range(7))
    model.lm_head._forward_hooks.clear()
    _, want = record(model, prepared)
    for one, other in zip(steps, want, strict=False):
        assert one.rows is not None
        assert other.rows is not None
        np.testing.assert_allclose(one.rows.heads[1], other.rows.heads[1], rtol=2**-10, atol=1e-6)


def everything_hooked(model: Any) -> dict[str, tuple[int, int]]:
    return {name: (len(part._forward_hooks), len(part._forward_pre_hooks)) for name, part in model.named_modules()}


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(fails: bool) -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    before = (dict(TABLE._local_mapping), model.config.to_dict(), everything_hooked(model))
    implementations = [part.config._attn_implementation for part in attention_modules(model).values()]

    def on_step(step: Step) -> None:
        if fails:
            raise ZeroDivisionError

    if fails:
        with pytest.raises(ZeroDivisionError):
            record(model, prepared, on_step=on_step)
    else:
        record(model, prepared, on_step=on_step)
    assert (dict(TABLE._local_mapping), model.config.to_dict(), everything_hooked(model)) == before
    assert [part.config._attn_implementation for part in attention_modules(model).values()] == implementations


def test_the_vision_tower_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    own = [part for part in model.modules() if "Vision" in type(part).__name__ and "Attention" in type(part).__name__]
    assert own, "the model must have a vision tower for this test to mean something"
    seen: list[int] = []
    real = AttentionRecorder.watch
    monkeypatch.setattr(AttentionRecorder, "watch", lambda self, call: (seen.append(call.layer), real(self, call))[-1])
    record(model, prepared, replace(EVERYTHING, max_new_tokens=2))
    assert seen == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"num_beams": 4}, "beam search"),
        ({"num_beams": 4, "do_sample": True}, "beam sample"),
        ({"prompt_lookup_num_tokens": 3}, "assisted generation"),
    ],
)
def test_beams_and_assistants_are_refused(change: dict[str, Any], name: str) -> None:
    model = in_memory.model()
    model.generation_config.update(**change)
    with pytest.raises(UsageError, match=f"configuration asks for {name}, .* replay the text with --response or"):
        record(model, in_memory.prepared())


def test_a_layer_that_stops_being_seen_ends_the_recording() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    identity = in_memory.loaded(model).identity()
    with AttentionRecorder(attention_modules(model), in_memory.EVERYTHING, identity, prepared.layout) as recorder:
        model(**prepared.inputs)
        recorder.hold(0)
        with pytest.raises(ModelError, match="the attention of layer 0, 1, 2 did not go through") as caught:
            recorder.hold(1)
    assert not isinstance(caught.value, intercept.NotRoutedError), "there are tokens by then"


def test_a_model_that_cannot_be_recorded_says_so_before_the_start_phrase_is_written() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    plan: RecordingPlan = in_memory.EVERYTHING
    hide: Callable[[Any], None] = hidden_from_the_table
    hide(attention_modules(model)[1])
    model.forward = without_attentions(model.forward)
    settings = replace(EVERYTHING, start_phrase="never written")
    with pytest.raises(ModelError, match="the attention of layer 1 did not go through transformers' attention"):
        record(model, prepared, settings, plan=plan)


def hidden_from_the_table(part: Any) -> None:
    """Let an attention module take its function where no recorder can put its own."""
    own = part.forward

    def forward(*some: Any, **named: Any) -> Any:
        table = dict(TABLE._local_mapping)
        TABLE._local_mapping.clear()
        try:
            return own(*some, **named)
        finally:
            TABLE._local_mapping.update(table)

    part.forward = forward


def without_attentions(own: Any) -> Any:
    """A `forward` of the same arguments that returns no weights, whoever asks for them."""

    @functools.wraps(own)
    def forward(*some: Any, **named: Any) -> Any:
        return own(*some, **{**named, "output_attentions": False})

    return forward
