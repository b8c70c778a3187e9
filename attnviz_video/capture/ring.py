"""The last steps of one layer, kept on its device until they are computed and moved to the host together.

While a layer sees the whole history, the query alone is kept of a step: the keys stay in the model's cache, so that
the rows of several steps are one product of matrices later, which reads the keys once and not once per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from attnviz_video.capture.columns import TraceColumns
from attnviz_video.capture.rows import AttentionOptions, attention_rows


@dataclass(frozen=True, eq=False)
class HeldQuery:
    """The query of one step, whose row is still to be computed; it sees all keys up to its own."""

    query: Float[Tensor, "1 heads 1 width"]
    options: AttentionOptions


class LayerRing:
    """Holds what is needed for the rows of consecutive steps of one layer."""

    def __init__(self, layer: int, columns: TraceColumns) -> None:
        self._layer = layer
        self._columns = columns
        self._held: list[HeldQuery | Tensor] = []
        self._first_step = 0

    def __len__(self) -> int:
        return len(self._held)

    @property
    def n_bytes(self) -> int:
        """Bytes of the rows that could not wait as queries."""
        rows = [held for held in self._held if isinstance(held, Tensor)]
        return sum(row.numel() * row.element_size() for row in rows)

    def hold_query(self, query: HeldQuery, step: int) -> None:
        """Keep the query that produced answer token `step`."""
        self._hold(query, step)

    def hold_row(self, row: Float[Tensor, "heads _"], step: int) -> None:
        """Keep the row that produced answer token `step`, given on the layer's own keys.

        Raises:
            ModelError: the row has not as many keys as the layer should have.
        """
        self._hold(self._columns.row(row, self._layer, step), step)

    def _hold(self, held: HeldQuery | Tensor, step: int) -> None:
        if not self._held:
            self._first_step = step
        self._held.append(held)

    def take(self, key: Float[Tensor, "1 kv_heads _ width"] | None) -> Float[Tensor, "heads steps keys"]:
        """Rows of all steps held, on the positions of the trace, as wide as the last one's; nothing is held after it.

        `key` holds at least the keys of the last step; it is needed where queries are held.

        Raises:
            ModelError: the rows have not as many keys as the layer should have.
        """
        held, self._held = self._held, []
        last = self._first_step + len(held) - 1
        if key is not None and all(isinstance(one, HeldQuery) for one in held):
            return self._rows([one for one in held if isinstance(one, HeldQuery)], key, last)
        width, rows = self._columns.n_prompt + last, []
        for step, one in enumerate(held, start=self._first_step):
            if isinstance(one, HeldQuery):
                assert key is not None
                one = self._rows([one], key, step)[:, 0]
            rows.append(pad(one, (0, width - one.shape[-1])))
        return torch.stack(rows, dim=1)

    def _rows(self, held: Sequence[HeldQuery], key: Tensor, last: int) -> Float[Tensor, "heads steps keys"]:
        """Rows of consecutive queries, the last of which produced answer token `last`."""
        own = held_rows(held, key[:, :, : self._columns.n_model_prompt + last])
        return self._columns.row(own.flatten(0, 1), self._layer, last).view(*own.shape[:2], -1)


def held_rows(
    held: Sequence[HeldQuery], key: Float[Tensor, "1 kv_heads keys width"]
) -> Float[Tensor, "heads steps keys"]:
    """Rows of consecutive queries, float32, 0 where a query does not see a key yet; `key` ends with the last one's."""
    n_keys, n_steps = key.shape[2], len(held)
    options = replace(
        held[-1].options,
        mask=_joined_mask([one.options.mask for one in held], n_keys),
        is_causal=True,
        first_query=n_keys - n_steps,
    )
    query = torch.cat([one.query for one in held], dim=2)
    return attention_rows(query, key, options, range(n_steps))[0]


def _joined_mask(masks: Sequence[Tensor | None], n_keys: int) -> Tensor | None:
    """The masks of consecutive queries as one; keys that a query does not see yet are hidden.

    A padding mask [batch, keys] is the last query's: those before it are its beginnings.
    """
    given = [mask for mask in masks if mask is not None]
    if not given or given[-1].ndim == 2:
        return masks[-1]
    adds = given[0].is_floating_point()
    hidden = torch.finfo(given[0].dtype).min if adds else False
    whole = []
    for number, mask in enumerate(masks, start=n_keys - len(masks) + 1):
        seen = (
            given[0].new_full((*given[0].shape[:2], 1, number), 0.0 if adds else True)
            if mask is None
            else mask[..., :number]
        )
        whole.append(pad(seen, (0, n_keys - number), value=hidden))
    return torch.cat(whole, dim=2)
