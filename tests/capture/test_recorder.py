"""The recorder beside the model: exact rows, nothing left behind, and a clear refusal of what it cannot record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from attnviz_video.capture import intercept
from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.intercept import AttentionCall, call_options, watched_attention
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.capture.recorder import AttentionRecorder, check_row, prompt_rows
from attnviz_video.capture.reduce import StepReducer, absolute_columns, to_host
from attnviz_video.capture.rows import AttentionOptions, attention_rows
from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.decoder import attention_modules
from tests.capture import in_memory

TABLE = intercept.transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS


def all_rows(model: Any, inputs: Any) -> dict[int, Tensor]:
    """One forward pass with our rows of every query, [heads, queries, keys] per layer."""
    found: dict[int, Tensor] = {}

    def watch(call: AttentionCall) -> None:
        found[call.layer] = attention_rows(call.query, call.key, call.options, range(call.query.shape[2]))[0]

    with watched_attention(attention_modules(model), watch):
        model(**inputs, use_cache=False)
    return found


def eager_attentions(model: Any, inputs: Any) -> list[Tensor]:
    model.set_attn_implementation({"text_config": "eager"})
    return [layer[0] for layer in model(**inputs, use_cache=False, output_attentions=True).attentions]


@pytest.mark.parametrize("grids", [((2, 3),), ((2, 3), (4, 2))], ids=["one image", "two images"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl"])
def test_t15_rows_equal_eager_attentions_in_float32(kind: str, attention: str, grids: Any) -> None:
    if attention == "eager" and not in_memory.EAGER_CAN_BE_WATCHED:
        pytest.skip("transformers 5.1 or later")
    model = in_memory.model(kind, attention)
    inputs = in_memory.prepared(grids).inputs
    rows = all_rows(model, inputs)
    for layer, want in enumerate(eager_attentions(model, inputs)):
        torch.testing.assert_close(rows[layer], want, rtol=0, atol=1e-5)
        assert want.max() > 0.5, "attention must be peaked for this test to mean something"


def test_sliding_window_layers_equal_eager() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    inputs = in_memory.prepared().inputs
    rows = all_rows(model, inputs)
    for layer, want in enumerate(eager_attentions(model, inputs)):
        torch.testing.assert_close(rows[layer], want, rtol=0, atol=1e-5)
    assert not rows[0][:, -1, :-5].any()
    assert rows[1][:, -1, :-5].any()


def recorder(model: Any, prepared: Any, plan: RecordingPlan = in_memory.EVERYTHING, **more: Any) -> AttentionRecorder:
    loaded = in_memory.loaded(model)
    return AttentionRecorder(attention_modules(model), plan, loaded.identity(), prepared.layout, **more)


def test_table_of_functions_is_restored_also_after_an_error() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    local, functions, config = dict(TABLE._local_mapping), dict(TABLE), model.config.to_dict()
    with recorder(model, prepared) as running:
        assert TABLE["sdpa"] is not functions["sdpa"]
        model(**prepared.inputs)
        running.take(0)
    assert (TABLE._local_mapping, dict(TABLE)) == (local, functions)

    def fail() -> None:
        with recorder(model, prepared):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (TABLE._local_mapping, dict(TABLE), model.config.to_dict()) == (local, functions, config)
    with recorder(model, prepared):
        pass


def test_a_users_own_override_is_put_back() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    own = TABLE["sdpa"]
    TABLE["sdpa"] = own
    try:
        with recorder(model, prepared):
            pass
        assert TABLE._local_mapping["sdpa"] is own
    finally:
        del TABLE["sdpa"]


def test_vision_tower_and_unwanted_layers_pass_through() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    plan = RecordingPlan((1,), (1,), (0,), (1,), (1,))
    with recorder(model, prepared, plan) as running:
        model(**prepared.inputs)
        assert set(running._rows) == {1}
        rows, scalars = running.take(0)
    assert set(rows.heads) == set(rows.mean) == {1}
    assert rows.heads[1].shape == (1, prepared.n_prompt)
    assert scalars.entropy.shape == (1, in_memory.N_HEADS)


def test_switched_off_costs_nothing() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    with recorder(model, prepared) as running:
        running.enabled = False
        model(**prepared.inputs)
        assert not running._rows


def test_rows_of_a_step_are_never_handed_over_again() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    with recorder(model, prepared) as running:
        model(**prepared.inputs)
        running.take(0)
        with pytest.raises(ModelError, match="the attention of layer 0, 1, 2 did not go through"):
            running.take(0)


def test_only_one_recording_at_a_time() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    with (
        recorder(model, prepared),
        pytest.raises(ModelError, match="another recording is running in this process;"),
    ):
        recorder(model, prepared).__enter__()


class Unrouted(nn.Module):
    """An attention module that never calls the attention interface."""

    config = SimpleNamespace(_attn_implementation="sdpa")


def test_layer_that_is_not_routed_is_named() -> None:
    model, prepared = in_memory.model(), in_memory.prepared()
    modules = {**attention_modules(model), 1: Unrouted()}
    identity = in_memory.loaded(model).identity()
    with AttentionRecorder(modules, in_memory.EVERYTHING, identity, prepared.layout) as running:
        model(**prepared.inputs)
        with pytest.raises(ModelError, match="the attention of layer 1 did not go through .* choose other layers"):
            running.take(0)
    with pytest.raises(ModelError, match="layer 1 has no attention module that can be recorded; .* have one: 0, 2"):
        AttentionRecorder({0: modules[0], 2: modules[2]}, in_memory.EVERYTHING, identity, prepared.layout)


def test_batches_are_refused() -> None:
    model, prepared = in_memory.model(), in_memory.prepared(())
    two = {name: value.repeat(2, 1) for name, value in prepared.inputs.items()}
    with (
        recorder(model, prepared),
        pytest.raises(ModelError, match="one sequence at a time, the model runs 2; "),
    ):
        model(**two)


def module(implementation: str | None, kind: type[nn.Module] = Unrouted) -> nn.Module:
    made = kind()
    made.config = SimpleNamespace(_attn_implementation=implementation)
    return made


@pytest.mark.skipif(not in_memory.EAGER_CAN_BE_WATCHED, reason="transformers 5.1 or later")
@pytest.mark.parametrize(
    ("implementation", "message"),
    [
        ("flex_attention", "layer 4 runs flex_attention, whose block masks cannot be read; load the model with sdpa"),
        ("eager", r"layer 4 \(Unrouted\) has attention code of its own .* it cannot be recorded"),
        (None, r"layer 4 \(Unrouted\) has attention code of its own"),
        ("mine", "layer 4 runs attention 'mine', which transformers does not know; load the model with sdpa"),
    ],
)
def test_functions_that_cannot_be_watched_are_refused_before_the_model_runs(
    implementation: str | None, message: str
) -> None:
    with pytest.raises(ModelError, match=message), watched_attention({4: module(implementation)}, print):
        pass


def test_eager_is_refused_where_the_library_has_no_way_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intercept, "_functions", lambda: {})
    with (
        pytest.raises(ModelError, match="layer 0 runs eager .* sdpa attention, or install transformers 5.1 or later"),
        watched_attention({0: module("eager")}, print),
    ):
        pass


def a_call(heads: int = 2, options: AttentionOptions | None = None) -> AttentionCall:
    noise = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, count, 3, 8, generator=noise) for count in (heads, 1, 1))
    options = options or AttentionOptions(8**-0.5, is_causal=True)
    rows = attention_rows(query, key, options, range(3))
    return AttentionCall(7, query, key, value, (rows @ value).transpose(1, 2), options)


def last_row(call: AttentionCall) -> Tensor:
    return attention_rows(call.query, call.key, call.options, range(2, 3))[0, :, 0]


def test_first_row_is_compared_with_the_models_own_output() -> None:
    call = a_call()
    check_row(call, last_row(call), 2)
    with pytest.raises(ModelError, match="layer 7: the recorded weights do not give the model's own output"):
        check_row(replace(call, output=call.output + 0.1), last_row(call), 2)
    capped = replace(call.options, softcap=0.5)
    with pytest.raises(ModelError, match="layer 7: the recorded weights do not give the model's own output"):
        check_row(call, last_row(replace(call, options=capped)), 2)


def test_rows_that_do_not_sum_to_one_are_refused_unless_a_sink_takes_the_rest() -> None:
    call = a_call()
    with pytest.raises(ModelError, match="layer 7: the recorded weights do not give"):
        check_row(replace(call, output=call.output / 2), last_row(call) / 2, 2)
    with_sink = a_call(options=AttentionOptions(8**-0.5, is_causal=True, sinks=torch.tensor([1.0, 2.0])))
    check_row(with_sink, last_row(with_sink), 2)


def test_rows_that_are_not_numbers_and_wrong_heads_are_refused() -> None:
    call = a_call()
    with pytest.raises(ModelError, match="layer 7: attention is not a number in float32; .* --dtype bfloat16"):
        check_row(call, last_row(call) * torch.nan, 2)
    with pytest.raises(ModelError, match="layer 7 has 2 query heads, the model's configuration says 4"):
        check_row(call, last_row(call), 4)


def test_prompt_rows_need_the_whole_prompt() -> None:
    with pytest.raises(ModelError, match="layer 7: the prompt's rows need its 5 queries in one pass, 3 came"):
        prompt_rows(a_call(), RecordingPlan((0,), (0,), (0,), (), ()), TraceColumns(5, ("full",) * 8, None))


def test_sliding_rows_are_padded_and_static_rows_cut() -> None:
    row = torch.tensor([[0.25, 0.75]])
    assert absolute_columns(row, 4, 0, "window 2").tolist() == [[0, 0, 0.25, 0.75]]
    assert absolute_columns(torch.tensor([[0.25, 0.75, 0, 0]]), 2, 0, "full").tolist() == [[0.25, 0.75]]
    for length in (1, 4):
        with pytest.raises(ModelError, match=rf"layer 3 \(full\): its row has 2 keys where .* have {length} positions"):
            absolute_columns(row, length, 3, "full")


def test_what_each_function_ignores_is_ignored() -> None:
    query, key = torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 5, 4)
    given = {"sliding_window": 2, "softcap": 3.0, "s_aux": torch.zeros(2), "scaling": 0.1}
    plain = module("sdpa")
    sdpa = call_options("sdpa", plain, query, key, None, given)
    assert (sdpa.scaling, sdpa.is_causal, sdpa.sliding_window, sdpa.softcap, sdpa.sinks, sdpa.first_query) == (
        0.1, True, None, None, None, 0,
    )  # fmt: skip
    eager = call_options("eager", plain, query, key, None, given)
    assert (eager.is_causal, eager.sliding_window, eager.softcap) == (False, None, 3.0)
    assert eager.sinks is given["s_aux"]
    flash = call_options("flash_attention_2", plain, query, key, None, given)
    assert (flash.is_causal, flash.sliding_window, flash.softcap, flash.first_query) == (True, 2, 3.0, 2)
    decode = call_options("sdpa", plain, query[:, :, :1], key, None, {})
    assert (decode.is_causal, decode.scaling, decode.first_query) == (False, 0.5, 4)
    both_ways = call_options("sdpa", plain, query, key, None, {"is_causal": False})
    assert not both_ways.is_causal


def layout_with_patches(n_prompt: int, *images: Sequence[int]) -> TokenLayout:
    """A prompt in which image i has one row of patches at the positions `images[i]`."""
    image_of, patch_of = np.full(n_prompt, -1), np.full(n_prompt, -1)
    for number, positions in enumerate(images):
        image_of[list(positions)], patch_of[list(positions)] = number, range(len(positions))
    info = tuple(ImageInfo(f"{number}.png", 80, 60, "0") for number in range(len(images)))
    grids = tuple(
        PatchGrid(number, 1, len(positions), (0.0, 0.0, 80.0, 60.0)) for number, positions in enumerate(images)
    )
    return TokenLayout(info, grids, image_of.astype(np.int64), patch_of.astype(np.int64))


@pytest.mark.parametrize("images", [([2, 3], [5, 6, 7]), ([1, 4, 6], [2])], ids=["ranges", "with gaps"])
def test_scalars_are_the_rows_own_numbers(images: Any) -> None:
    noise = torch.Generator().manual_seed(0)
    layers = {layer: torch.softmax(torch.randn(4, 2, 9, generator=noise) * 3, -1) for layer in (0, 1, 2)}
    for rows in layers.values():
        rows[:, 0, 8:] = 0  # the first step sees one key less
    plan = RecordingPlan((1,), (1,), (0, 2), (0, 1, 2), (0, 2))
    steps = StepReducer(plan, layout_with_patches(8, *images), 4).reduce(layers.items(), [8, 9])
    for number, (kept, scalars) in enumerate(steps):
        rows = {layer: every[:, number, : 8 + number] for layer, every in layers.items()}
        np.testing.assert_array_equal(kept.heads[1], rows[1][[0, 2]].half().numpy())
        assert kept.heads.keys() == {1}
        for layer in (0, 1, 2):
            np.testing.assert_array_equal(kept.mean[layer], rows[layer].mean(0).half().numpy())
        for place, layer in enumerate((0, 2)):
            row = rows[layer].numpy().astype(np.float64)
            want = [row[:, list(positions)].sum(-1) for positions in images]
            np.testing.assert_allclose(scalars.image_share[place].T, want, rtol=1e-5)
            np.testing.assert_allclose(scalars.first_token[place], row[:, 0], rtol=1e-6)
            np.testing.assert_allclose(scalars.entropy[place], -(row * np.log(row)).sum(-1), rtol=1e-5)
            np.testing.assert_allclose(scalars.maximum[place], row.max(-1), rtol=1e-6)


def test_entropy_of_a_row_that_is_all_on_one_key_is_nothing() -> None:
    rows = torch.zeros(1, 1, 5)
    rows[..., 2] = 1
    ((_, scalars),) = StepReducer(RecordingPlan((), (), (), (), (0,)), layout_with_patches(5), 1).reduce(
        [(0, rows)], [5]
    )
    assert scalars.entropy.tolist() == [[0]]


def test_plan_without_scalars_or_images() -> None:
    rows = torch.full((2, 1, 4), 0.25)
    for scalar_layers in ((), (0,)):
        plan = RecordingPlan((0,), (0,), (0, 1), (), scalar_layers)
        ((_, scalars),) = StepReducer(plan, layout_with_patches(4), 2).reduce([(0, rows)], [4])
        assert scalars.entropy.shape == (len(scalar_layers), 2)
        assert scalars.image_share.shape == (len(scalar_layers), 2, 0)


def test_t21_arrays_do_not_keep_each_others_memory_alive() -> None:
    arrays = to_host([torch.ones(2, 3), torch.ones(5, dtype=torch.float16)])
    assert [array.dtype for array in arrays] == [np.float32, np.float16]
    assert [array.shape for array in arrays] == [(2, 3), (5,)]
    owners = [array if array.base is None else array.base for array in arrays]
    assert [owner.nbytes for owner in owners] == [24, 10]
