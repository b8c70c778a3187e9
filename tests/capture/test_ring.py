"""Rows computed together from queries that waited, against the same rows computed one by one."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.ring import HeldQuery, LayerRing, held_rows
from attnviz_video.capture.rows import AttentionOptions, attention_rows
from attnviz_video.errors import ModelError

HEADS, KV_HEADS, WIDTH, N_PROMPT, N_STEPS = 4, 2, 8, 6, 5


def queries_and_keys(seed: int = 0) -> tuple[list[Tensor], Tensor]:
    """The queries of all steps, and all keys the last of them sees."""
    noise = torch.Generator().manual_seed(seed)
    queries = [torch.randn(1, HEADS, 1, WIDTH, generator=noise) * 2 for _ in range(N_STEPS)]
    return queries, torch.randn(1, KV_HEADS, N_PROMPT + N_STEPS - 1, WIDTH, generator=noise) * 2


def mask_of(kind: str, n_keys: int) -> Tensor | None:
    """A mask that hides the first two keys, as the library gives it for one query."""
    hidden = torch.arange(n_keys) < 2
    if kind == "flash":
        return (~hidden)[None]
    if kind == "bool":
        return (~hidden)[None, None, None]
    if kind == "added":
        return torch.zeros(n_keys).masked_fill(hidden, torch.finfo(torch.float32).min)[None, None, None]
    if kind == "longer":  # a static cache gives a mask for the keys to come as well
        return torch.cat([~hidden, torch.ones(4, dtype=torch.bool)])[None, None, None]
    return None


def options_of(kind: str, step: int) -> AttentionOptions:
    extra: dict[str, Any] = {"softcap": {"softcap": 3.0}, "sinks": {"sinks": torch.tensor([0.5, -1.0, 2.0, 0.0])}}
    n_keys = N_PROMPT + step
    return AttentionOptions(WIDTH**-0.5, mask=mask_of(kind, n_keys), first_query=n_keys - 1, **extra.get(kind, {}))


def one_by_one(queries: list[Tensor], keys: Tensor, kind: str) -> list[Tensor]:
    return [
        attention_rows(query, keys[:, :, : N_PROMPT + step], options_of(kind, step), range(1))[0, :, 0]
        for step, query in enumerate(queries)
    ]


@pytest.mark.parametrize("kind", ["none", "bool", "added", "longer", "flash", "softcap", "sinks"])
def test_rows_computed_together_are_those_of_each_step(kind: str) -> None:
    queries, keys = queries_and_keys()
    held = [HeldQuery(query, options_of(kind, step)) for step, query in enumerate(queries)]
    together = held_rows(held, keys)
    assert together.shape == (HEADS, N_STEPS, N_PROMPT + N_STEPS - 1)
    for step, want in enumerate(one_by_one(queries, keys, kind)):
        torch.testing.assert_close(together[:, step, : N_PROMPT + step], want, rtol=1e-5, atol=1e-6)
        assert not together[:, step, N_PROMPT + step :].any(), "keys that come later have no weight"


def test_some_steps_with_a_mask_and_some_without() -> None:
    queries, keys = queries_and_keys()
    kinds = ["none", "bool", "none", "bool", "bool"]
    held = [HeldQuery(query, options_of(kinds[step], step)) for step, query in enumerate(queries)]
    together = held_rows(held, keys)
    for step, kind in enumerate(kinds):
        want = one_by_one(queries, keys, kind)[step]
        torch.testing.assert_close(together[:, step, : N_PROMPT + step], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("waits", ["none", "all", "last three", "all but the third"])
def test_queries_and_rows_may_take_turns(waits: str) -> None:
    queries, keys = queries_and_keys()
    rows = one_by_one(queries, keys, "none")
    ring = LayerRing(0, TraceColumns(N_PROMPT, ("full",), None))
    chosen = {"none": (), "all": range(5), "last three": (2, 3, 4), "all but the third": (0, 1, 3, 4)}[waits]
    # A longer cache than the last step's: a forward pass that failed may have begun to write to it.
    longer = torch.cat([keys, torch.full((1, KV_HEADS, 3, WIDTH), 50.0)], dim=2)
    for step, (query, row) in enumerate(zip(queries, rows, strict=True)):
        if step in chosen:
            ring.hold_query(HeldQuery(query, options_of("none", step)), step)
        else:
            ring.hold_row(row, step)
    assert len(ring) == N_STEPS
    got = ring.take(longer if chosen else None)
    assert got.shape == (HEADS, N_STEPS, N_PROMPT + N_STEPS - 1)
    for step, want in enumerate(rows):
        torch.testing.assert_close(got[:, step, : N_PROMPT + step], want, rtol=1e-5, atol=1e-6)
        assert not got[:, step, N_PROMPT + step :].any()
    assert len(ring) == 0


def test_a_later_buffer_starts_at_its_own_first_step() -> None:
    queries, keys = queries_and_keys()
    want = one_by_one(queries, keys, "none")
    ring = LayerRing(0, TraceColumns(N_PROMPT, ("full",), None))
    for steps in ((0, 1), (2, 3, 4)):
        for step in steps:
            ring.hold_query(HeldQuery(queries[step], options_of("none", step)), step)
        got = ring.take(keys[:, :, : N_PROMPT + steps[-1]])
        for number, step in enumerate(steps):
            torch.testing.assert_close(got[:, number, : N_PROMPT + step], want[step], rtol=1e-5, atol=1e-6)


def test_a_row_with_a_wrong_number_of_keys_is_refused() -> None:
    ring = LayerRing(3, TraceColumns(N_PROMPT, ("full",) * 4, None))
    with pytest.raises(ModelError, match=r"layer 3 \(full\): its row has 4 keys where .* have 7 positions"):
        ring.hold_row(torch.rand(HEADS, 4), 1)
