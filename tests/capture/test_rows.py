"""The row formula against one written out with loops and repeated heads."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from attnviz_video.capture.rows import AttentionOptions, attention_row_chunks, attention_rows

WIDTH = 8


def query_and_key(queries: int, keys: int, heads: int = 4, kv_heads: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(seed)
    return (
        torch.randn(1, heads, queries, WIDTH, generator=noise) * 2,
        torch.randn(1, kv_heads, keys, WIDTH, generator=noise) * 2,
    )


def reference_row(query: Tensor, key: Tensor, head: int, row: int, allowed: list[bool], softcap: float | None = None,
                  sink: float | None = None) -> list[float]:  # fmt: skip
    """One row by the book: key by key, with kv head = head // (heads / kv heads)."""
    kv_head = head // (query.shape[1] // key.shape[1])
    scores = []
    for position in range(key.shape[2]):
        score = sum(float(a) * float(b) for a, b in zip(query[0, head, row], key[0, kv_head, position], strict=True))
        score *= WIDTH**-0.5
        scores.append(score if softcap is None else math.tanh(score / softcap) * softcap)
    weights = [math.exp(score) if yes else 0.0 for score, yes in zip(scores, allowed, strict=True)]
    total = sum(weights) + (0.0 if sink is None else math.exp(sink))
    return [weight / total for weight in weights]


def assert_rows(got: Tensor, query: Tensor, key: Tensor, rows: range, allowed, **options) -> None:
    assert got.dtype == torch.float32
    assert got.shape == (1, query.shape[1], len(rows), key.shape[2])
    for head in range(query.shape[1]):
        for number, row in enumerate(rows):
            seen = [allowed(row, position) for position in range(key.shape[2])]
            sink = options["sinks"][head] if "sinks" in options else None
            want = reference_row(query, key, head, row, seen, options.get("softcap"), sink)
            torch.testing.assert_close(got[0, head, number], torch.tensor(want), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_t15_grouped_heads_repeat_each_kv_head(kv_heads: int) -> None:
    query, key = query_and_key(5, 5, heads=4, kv_heads=kv_heads)
    got = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, is_causal=True), range(5))
    assert_rows(got, query, key, range(5), lambda row, position: position <= row)


def test_decode_sees_the_whole_history() -> None:
    query, key = query_and_key(1, 9)
    got = attention_rows(query, key, AttentionOptions(WIDTH**-0.5), range(1))
    assert_rows(got, query, key, range(1), lambda row, position: True)


def test_softcap() -> None:
    query, key = query_and_key(3, 3)
    got = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, is_causal=True, softcap=1.5), range(3))
    assert_rows(got, query, key, range(3), lambda row, position: position <= row, softcap=1.5)


def test_sinks_take_weight_and_are_no_column() -> None:
    query, key = query_and_key(3, 3)
    sinks = torch.tensor([0.5, -1.0, 2.0, 0.0])
    got = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, is_causal=True, sinks=sinks), range(3))
    assert_rows(got, query, key, range(3), lambda row, position: position <= row, sinks=sinks.tolist())
    assert (got.sum(-1) < 1).all()


def test_boolean_and_additive_masks_agree() -> None:
    query, key = query_and_key(4, 6)
    mask = torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    mask[..., 0] = True
    added = torch.zeros(mask.shape).masked_fill(~mask, torch.finfo(torch.float32).min)
    rows = range(1, 4)
    by_bool = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, mask=mask), rows)
    by_float = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, mask=added), rows)
    assert_rows(by_bool, query, key, rows, lambda row, position: bool(mask[0, 0, row, position]))
    torch.testing.assert_close(by_bool, by_float)


def test_mask_longer_than_the_keys_is_cut() -> None:
    query, key = query_and_key(1, 4)
    mask = torch.ones(1, 1, 1, 7, dtype=torch.bool)
    mask[..., 1] = False
    got = attention_rows(query, key, AttentionOptions(WIDTH**-0.5, mask=mask), range(1))
    assert_rows(got, query, key, range(1), lambda row, position: position != 1)


def test_flash_padding_mask_with_causal_rule_and_window() -> None:
    query, key = query_and_key(3, 6)
    padding = torch.tensor([[0, 0, 1, 1, 1, 1, 1, 1]])  # two positions more than the trimmed cache has keys
    options = AttentionOptions(WIDTH**-0.5, mask=padding, is_causal=True, sliding_window=2, first_query=3)
    got = attention_rows(query, key, options, range(3))
    assert_rows(got, query, key, range(3), lambda row, position: row + 3 - 2 < position <= row + 3)


def test_flash_padding_mask_hides_its_columns() -> None:
    query, key = query_and_key(1, 4)
    options = AttentionOptions(WIDTH**-0.5, mask=torch.tensor([[0, 1, 1, 1]]), first_query=3)
    got = attention_rows(query, key, options, range(1))
    assert_rows(got, query, key, range(1), lambda row, position: position > 0)


def test_chunks_are_the_same_rows() -> None:
    query, key = query_and_key(7, 7)
    options = AttentionOptions(WIDTH**-0.5, is_causal=True)
    chunks = list(attention_row_chunks(query, key, options, range(1, 7), chunk_elements=2 * 4 * 7))
    assert [part for part, _ in chunks] == [range(1, 3), range(3, 5), range(5, 7)]
    torch.testing.assert_close(
        torch.cat([rows for _, rows in chunks], dim=2), attention_rows(query, key, options, range(1, 7))
    )


def test_scores_of_half_precision_are_not_rounded() -> None:
    query, key = (part.bfloat16() for part in query_and_key(1, 64))
    options = AttentionOptions(1.0)
    exact = attention_rows(query.float(), key.float(), options, range(1))
    torch.testing.assert_close(attention_rows(query, key, options, range(1)), exact, rtol=1e-5, atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(
    queries=st.integers(1, 6),
    history=st.integers(0, 6),
    groups=st.integers(1, 3),
    kv_heads=st.integers(1, 3),
    window=st.one_of(st.none(), st.integers(1, 8)),
    seed=st.integers(0, 1000),
)
def test_rows_sum_to_one_and_never_see_the_future(
    queries: int, history: int, groups: int, kv_heads: int, window: int | None, seed: int
) -> None:
    query, key = query_and_key(queries, queries + history, groups * kv_heads, kv_heads, seed)
    options = AttentionOptions(WIDTH**-0.5, is_causal=True, sliding_window=window, first_query=history)
    rows = attention_rows(query, key, options, range(queries))
    torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]), rtol=1e-5, atol=1e-5)
    assert (rows >= 0).all()
    for row in range(queries):
        assert not rows[:, :, row, row + history + 1 :].any()
        if window is not None:
            assert not rows[:, :, row, : max(0, row + history + 1 - window)].any()
