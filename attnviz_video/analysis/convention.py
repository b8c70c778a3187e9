"""Which recorded row a frame shows.

Causal decoding: the hidden state at position q predicts the token at q + 1. The row of step t is the
attention of the query that *produced* answer token t; the query *at* token t is that of step t + 1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Convention = Literal["predicting", "reading"]


def row_of_frame(step: int, recorded: Collection[int], convention: Convention) -> int | None:
    """The step whose row is shown while answer token `step` is the current one.

    `predicting`: the row that produced the token. `reading`: the row of the token itself, which is the
    next step's; the last token has none, since nothing was generated from it.
    """
    wanted = step if convention == "predicting" else step + 1
    return wanted if wanted in recorded else None
