"""Rows of models that read their images through cross-attention: every layer on the axis of the trace."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.errors import ModelError, UsageError

CPU = torch.device("cpu")
#: Trace: text 0 1 2 ("<|image|>"), then features at 3 4 5, text 6. The second feature's key is padding.
COLUMNS = KeyColumns(np.array([0, 1, 2, 6]), np.array([3, -1, 4, 5]))
KINDS = ("full", "cross", "window 2")


def columns(keys: KeyColumns | None = COLUMNS) -> TraceColumns:
    return TraceColumns(7, KINDS, keys)


def plan(shown: int, recorded: tuple[int, ...] = (0, 1, 2)) -> RecordingPlan:
    return RecordingPlan((shown,), recorded, (0,), recorded, recorded)


def test_self_attention_is_zero_at_the_image_features() -> None:
    row = torch.tensor([[0.1, 0.2, 0.3, 0.15, 0.25]])
    assert columns().row(row, 0, 1).tolist() == [pytest.approx([0.1, 0.2, 0.3, 0, 0, 0, 0.15, 0.25])]


def test_cross_attention_is_zero_at_the_text_and_leaves_padding_out() -> None:
    row = torch.tensor([[0.5, 0.0, 0.2, 0.3], [0.1, 0.0, 0.1, 0.8]])
    placed = columns().row(row, 1, 2)
    assert placed.tolist() == [
        pytest.approx([0, 0, 0, 0.5, 0.2, 0.3, 0, 0, 0]),
        pytest.approx([0, 0, 0, 0.1, 0.1, 0.8, 0, 0, 0]),
    ]


def test_a_sliding_row_is_padded_before_it_is_placed() -> None:
    assert columns().row(torch.tensor([[0.25, 0.75]]), 2, 1).tolist() == [[0, 0, 0, 0, 0, 0, 0.25, 0.75]]


def test_prompt_rows_stand_at_the_queries_the_model_has() -> None:
    rows = torch.rand(2, 3, 4)
    text, cross = columns().prompt_rows(rows, 0), columns().prompt_rows(rows, 1)
    assert text.shape == cross.shape == (2, 3, 7)
    assert torch.equal(text[..., [0, 1, 2, 6]], rows)
    assert torch.equal(cross[..., [3, 4, 5]], rows[..., [0, 2, 3]])
    assert not text[..., [3, 4, 5]].any()
    assert not cross[..., [0, 1, 2, 6]].any()
    assert list(columns().query_positions(range(1, 4))) == [1, 2, 6]


def test_the_whole_prompt_is_the_text_for_one_kind_and_not_asked_of_the_other() -> None:
    assert columns().n_model_prompt == 4
    assert [columns().has_whole_prompt(4, 0), columns().has_whole_prompt(3, 0)] == [True, False]
    assert columns().has_whole_prompt(1, 1)


def test_other_models_are_left_alone() -> None:
    plain = columns(None)
    row = torch.rand(2, 9)
    assert plain.row(row, 0, 2) is row
    assert plain.n_model_prompt == 7
    assert list(plain.query_positions(range(2, 4))) == [2, 3]
    assert plain.idle_layers((0, 1), plan(1)) == ()
    rows = torch.rand(1, 2, 9)
    assert torch.equal(plain.prompt_rows(rows, 0), rows[..., :7])


def test_as_many_keys_as_the_images_have_features() -> None:
    with pytest.raises(
        ModelError, match=r"layer 1 \(cross\): its row has 5 keys where the images have 4 features; its"
    ):
        columns().row(torch.rand(1, 5), 1, 0)


def test_without_an_image_cross_attention_is_idle_and_cannot_be_shown() -> None:
    alone = columns(KeyColumns(np.arange(7), np.zeros(0, dtype=np.int64)))
    assert alone.idle_layers((0, 1, 2), plan(0)) == (1,)
    assert alone.idle_row(2, 3, CPU).shape == (2, 10)
    assert columns().idle_layers((0, 1, 2), plan(1)) == ()
    with pytest.raises(
        UsageError, match="--layer_idx 1: layer 1 attends to images only, and this prompt has none; choose a layer that"
    ):
        alone.idle_layers((0, 1, 2), plan(1))
