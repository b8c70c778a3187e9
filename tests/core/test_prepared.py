"""`Prepared` counts its prompt by its layout."""

from __future__ import annotations

import dataclasses

import pytest

from attnviz_video.core.prepared import Prepared
from attnviz_video.testing.planted import planted_layout, planted_tokens


def test_prepared_is_frozen_and_counts_its_prompt() -> None:
    layout = planted_layout([(64, 48)], [(2, 3)])
    prepared = Prepared({"input_ids": [[1, 2]]}, layout, planted_tokens(layout, ())[: layout.n_prompt], "What?")
    assert prepared.n_prompt == len(prepared.tokens) == 2 + 8 + 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        prepared.rendered_prompt = "other"  # type: ignore[misc]
