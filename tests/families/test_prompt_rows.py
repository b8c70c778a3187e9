"""The prompt's own rows (`--record_rows all`) of every family: image blocks that see all of themselves, windows,
prefixes and cross-attention included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from attnviz_video.capture.generate import generate
from attnviz_video.capture.plan import is_attention, plan_recording
from attnviz_video.capture.settings import CaptureSettings
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.step import PromptRows
from attnviz_video.models.decoder import layer_kinds
from attnviz_video.testing.families.table import TinyFamily
from tests.families.asking import ask, pictures, sizes_of
from tests.families.test_every_family import EXACT, HALF_UNIT


def prompt_rows(loaded: Any, prepared: Prepared) -> dict[int, np.ndarray]:
    """Layer to the recorded rows [heads, queries, keys] of the prompt's queries, all but the last."""
    settings = CaptureSettings(start_phrase="", max_new_tokens=1, layers="all", record_rows="all")
    plan, _ = plan_recording(settings, loaded.identity())
    found: list[PromptRows] = []
    generate(loaded, prepared, plan, settings, on_step=lambda _: None, on_prompt_rows=found.append)
    return {rows.layer: rows.heads.astype(np.float64) for rows in found}


def eager_prompt_rows(model: Any, prepared: Prepared) -> dict[int, np.ndarray]:
    """The same from the library's own output, on the positions of the trace."""
    with torch.no_grad():
        attentions = model(**prepared.inputs, output_attentions=True).attentions
    kinds = layer_kinds(model)
    layers = [layer for layer, kind in enumerate(kinds) if is_attention(kind)]
    return {
        layer: on_trace(attention[0, :, :-1].double().numpy(), prepared, kinds[layer])
        for layer, attention in zip(layers, attentions, strict=True)
    }


def on_trace(rows: np.ndarray, prepared: Prepared, kind: str) -> np.ndarray:
    """Rows [heads, queries, keys] of the model's own prompt tokens among all positions of the trace."""
    columns = prepared.columns
    if columns is None:
        return rows
    keys = columns.cross if kind == "cross" else columns.text
    whole = np.zeros((rows.shape[0], prepared.n_prompt - 1, prepared.n_prompt))
    for query, position in enumerate(columns.text[:-1].tolist()):
        whole[:, position, keys[keys >= 0]] = rows[:, query, keys >= 0]
    return whole


@pytest.mark.claim("rows = eager")
def test_the_prompts_own_rows_equal_those_of_eager_attention(
    family: TinyFamily, family_model: Any, family_eager: Any
) -> None:
    prepared = ask(family_model, pictures(sizes_of(family)))
    got, want = prompt_rows(family_model, prepared), eager_prompt_rows(family_eager, prepared)
    assert list(got) == list(want)
    for layer, rows in want.items():
        assert got[layer].shape == rows.shape == (rows.shape[0], prepared.n_prompt - 1, prepared.n_prompt)
        assert (np.abs(got[layer] - rows) <= EXACT + HALF_UNIT * rows).all(), layer


#: Families whose image tokens (or whose whole prompt) see what comes after them.
FORWARD = ("Gemma 3", "Gemma 4", "PaliGemma")


def test_only_families_that_look_ahead_have_weights_above_the_diagonal(family: TinyFamily, family_model: Any) -> None:
    prepared = ask(family_model, pictures(sizes_of(family)[:1]))
    ahead = [
        float(np.triu(rows, 1).max()) for layer, rows in prompt_rows(family_model, prepared).items()
        if family_model.identity().layer_kinds[layer] != "cross"
    ]  # fmt: skip
    assert (max(ahead) > 0.01) == (family.name in FORWARD)
