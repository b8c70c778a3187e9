"""What is done where attention cannot be watched: the model's own weights, and a warning; or a clear refusal."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture import intercept
from attnviz_video.capture.eager import EagerRecorder, check_distribution
from attnviz_video.capture.intercept import NotRoutedError
from attnviz_video.core.step import PromptRows
from attnviz_video.errors import ModelError
from attnviz_video.models.decoder import attention_modules
from tests.capture import in_memory
from tests.capture.running import EVERYTHING, plain_ids, record
from tests.capture.test_exactness import (
    assert_all_rows,
    attentions,
    everything_hooked,
    hidden_from_the_table,
    without_attentions,
)

TABLE = intercept.transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS
MANY = replace(EVERYTHING, max_new_tokens=20)
WARNING = (
    "recorded with eager attention, since the attention of layer 1 did not go through transformers' attention "
    "interface and cannot be recorded: this is slower and takes more memory, and the text may differ from the one "
    "without recording"
)


def with_hidden_layer() -> Any:
    model = in_memory.model()
    hidden_from_the_table(attention_modules(model)[1])
    return model


def test_f16_attention_that_is_not_routed_is_taken_from_the_models_output_with_a_warning() -> None:
    model, prepared = with_hidden_layer(), in_memory.prepared(((2, 3), (4, 2)))
    model(**prepared.inputs, output_attentions=True)  # the library's own hooks stay from the first time on
    before = (model.config.to_dict(), everything_hooked(model), dict(TABLE._local_mapping))
    result, steps = record(model, prepared, MANY)
    assert result.notices == (WARNING,)
    assert result.settings["attention"] == "eager"
    assert (model.config.to_dict(), everything_hooked(model), dict(TABLE._local_mapping)) == before
    assert [part.config._attn_implementation for part in attention_modules(model).values()] == ["sdpa"] * 3
    model.set_attn_implementation({"text_config": "eager"})
    assert result.token_ids == plain_ids(model, prepared, 20)
    assert_all_rows(steps, attentions(model, prepared.inputs, 20), prepared.n_prompt)


def test_weights_that_do_not_give_the_models_output_are_replaced_by_its_own() -> None:
    model, prepared = in_memory.model(), in_memory.prepared(())
    own = TABLE["sdpa"]

    def sharper(module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **named: Any) -> Any:
        return own(module, 2 * query, key, value, attention_mask, **named)

    TABLE["sdpa"] = sharper
    try:
        result, steps = record(model, prepared, MANY)
        assert TABLE._local_mapping["sdpa"] is sharper
    finally:
        del TABLE["sdpa"]
    assert len(result.notices) == 1
    assert "since layer 0: the recorded weights do not give the model's own output" in result.notices[0]
    model.set_attn_implementation({"text_config": "eager"})
    assert_all_rows(steps, attentions(model, prepared.inputs, 20), prepared.n_prompt)


def test_windows_and_prompt_rows_of_the_fallback() -> None:
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model = in_memory.model(use_sliding_window=True, sliding_window=5, max_window_layers=0, layer_types=kinds)
    hidden_from_the_table(attention_modules(model)[1])
    prepared, got = in_memory.prepared(), list[PromptRows]()
    plan = replace(in_memory.EVERYTHING, head_layers=(0, 1), heads=(1, 3), query_rows="all")
    _, steps = record(model, prepared, MANY, plan=plan, on_prompt_rows=got.append)
    assert [rows.layer for rows in got] == [0, 1], "rows of layer 0 came before it was known that layer 1 is hidden"
    model.set_attn_implementation({"text_config": "eager"})
    want = model(**prepared.inputs, output_attentions=True).attentions
    for rows in got:
        np.testing.assert_allclose(rows.heads, want[rows.layer][0, [1, 3], :-1], rtol=2**-11, atol=1e-5)
    for step, layers in zip(steps, attentions(model, prepared.inputs, 20), strict=True):
        assert step.rows is not None
        n_keys = prepared.n_prompt + step.info.index
        for layer in (0, 1):
            placed = torch.nn.functional.pad(layers[layer], (n_keys - layers[layer].shape[-1], 0))
            np.testing.assert_allclose(step.rows.heads[layer], placed[[1, 3]], rtol=2**-11, atol=1e-5)


def test_f16_a_model_that_returns_no_weights_is_refused_for_the_first_reason() -> None:
    model, prepared = with_hidden_layer(), in_memory.prepared()
    model.forward = without_attentions(model.forward)
    with pytest.raises(ModelError, match="the attention of layer 1 did not go through .* choose other layers"):
        record(model, prepared)
    assert [part.config._attn_implementation for part in attention_modules(model).values()] == ["sdpa"] * 3


def test_a_model_that_does_not_know_the_option_is_refused() -> None:
    class Plain(torch.nn.Module):
        def forward(self, input_ids: Any) -> Any:
            return input_ids

    identity = in_memory.loaded(in_memory.model()).identity()
    recorder = EagerRecorder(Plain(), in_memory.EVERYTHING, identity, in_memory.prepared().layout)
    with pytest.raises(NotRoutedError, match="the model cannot return its attention weights; it cannot be recorded"):
        recorder.__enter__()


def recorder_of(kinds: tuple[str, ...] = ("full", "full", "full")) -> EagerRecorder:
    model, prepared = in_memory.model(), in_memory.prepared()
    identity = replace(in_memory.loaded(model).identity(), layer_kinds=kinds)
    wanted = tuple(layer for layer, kind in enumerate(kinds) if kind == "full")
    plan = replace(in_memory.EVERYTHING, head_layers=wanted, mean_layers=wanted, scalar_layers=wanted)
    return EagerRecorder(model, plan, identity, prepared.layout)


def weights(*shape: int) -> torch.Tensor:
    return torch.softmax(torch.randn(*shape), -1)


def test_hybrid_models_return_the_weights_of_their_attention_layers_only() -> None:
    n_prompt = in_memory.prepared().n_prompt
    second, third = (weights(1, 4, n_prompt, n_prompt) for _ in range(2))
    for attentions_given in ((second, third), (None, second, third)):
        recorder = recorder_of(("linear", "full", "full"))
        recorder.on_forward(None, None, SimpleNamespace(attentions=attentions_given))
        rows, _ = recorder.take(0)
        np.testing.assert_allclose(rows.heads[1], second[0, :, -1], rtol=2**-11)
        np.testing.assert_allclose(rows.heads[2], third[0, :, -1], rtol=2**-11)
    with pytest.raises(NotRoutedError, match="returned the attention weights of 1 layers where it has 2 with"):
        recorder_of(("linear", "full", "full")).on_forward(None, None, SimpleNamespace(attentions=(second,)))


def test_several_sequences_are_refused() -> None:
    with pytest.raises(ModelError, match="one sequence at a time, the model runs 2; for beams and batches, replay"):
        recorder_of().on_forward(None, None, SimpleNamespace(attentions=[weights(2, 4, 3, 3)] * 3))


def test_weights_that_are_no_distribution_are_refused() -> None:
    row = weights(4, 9)
    check_distribution(row, 2)
    check_distribution(row.bfloat16(), 2)
    check_distribution(row / 2, 2, with_sink=True)
    for wrong in (row / 2, row * 2, row * torch.nan):
        with pytest.raises(ModelError, match=r"layer 2: the attention weights that the model .* not to 1"):
            check_distribution(wrong, 2)
