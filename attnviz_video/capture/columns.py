"""From the keys of a layer to the positions of the trace, for models whose image features are not in the prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from attnviz_video.capture.plan import CROSS, RecordingPlan, refuse_idle_layers
from attnviz_video.capture.reduce import absolute_columns
from attnviz_video.core.prepared import KeyColumns
from attnviz_video.errors import ModelError


class TraceColumns:
    """Puts the rows of every layer on one axis, that of the trace; see `core.prepared.KeyColumns`."""

    def __init__(self, n_prompt: int, kinds: Sequence[str], columns: KeyColumns | None) -> None:
        self.n_prompt = n_prompt
        self._kinds = kinds
        self._columns = columns
        self._indices: dict[torch.device, tuple[Tensor, Tensor, Tensor]] = {}

    @property
    def n_model_prompt(self) -> int:
        """Number of prompt tokens that the model reads."""
        return self.n_prompt if self._columns is None else int(self._columns.text.size)

    def idle_layers(self, layers: Iterable[int], plan: RecordingPlan) -> tuple[int, ...]:
        """Those of `layers` that do not run: cross-attention layers, where the prompt has no image. Their rows are 0.

        Raises:
            UsageError: one of them was to be shown.
        """
        if self._columns is None or self._columns.cross.size:
            return ()
        refuse_idle_layers(plan, self._kinds, n_images=0)
        return tuple(layer for layer in layers if self._kinds[layer] == CROSS)

    def idle_row(self, n_heads: int, step: int, device: torch.device) -> Tensor:
        """The row of a layer that does not run: [heads, n_prompt + step], all 0."""
        return torch.zeros(n_heads, self.n_prompt + step, device=device)

    def row(self, row: Tensor, layer: int, step: int) -> Tensor:
        """`row` [heads, the layer's own keys] of answer token `step` as [heads, n_prompt + step].

        Raises:
            ModelError: the row has not as many keys as the layer should have.
        """
        kind = self._kinds[layer]
        if self._columns is None:
            return absolute_columns(row, self.n_prompt + step, layer, kind)
        text, kept, cross = self._on(row.device)
        placed = row.new_zeros(row.shape[0], self.n_prompt + step)
        if kind == CROSS:
            _check_keys(row, self._columns, layer)
            placed[:, cross] = row[:, kept]
            return placed
        own = absolute_columns(row, text.numel() + step, layer, kind)
        placed[:, text] = own[:, : text.numel()]
        placed[:, self.n_prompt :] = own[:, text.numel() :]
        return placed

    def prompt_rows(self, rows: Tensor, layer: int) -> Tensor:
        """`rows` [heads, queries, the layer's own keys] of the prompt's own queries from the first on, on its keys.

        Returns [heads, queries, n_prompt]; the queries stay the model's own, see `query_positions`.

        Raises:
            ModelError: the rows have not as many keys as the layer should have.
        """
        if self._columns is None:
            return rows[..., : self.n_prompt]
        text, kept, cross = self._on(rows.device)
        placed = rows.new_zeros(*rows.shape[:-1], self.n_prompt)
        if self._kinds[layer] == CROSS:
            _check_keys(rows, self._columns, layer)
            placed[..., cross] = rows[..., kept]
        else:
            placed[..., text] = rows[..., : text.numel()]
        return placed

    def has_whole_prompt(self, n_keys: int, layer: int) -> bool:
        """Whether `n_keys` keys of `layer` are at least those of the whole prompt."""
        return self._kinds[layer] == CROSS or n_keys >= self.n_model_prompt

    def query_positions(self, queries: range) -> Sequence[int]:
        """Trace positions of the model's own prompt queries."""
        return queries if self._columns is None else self._columns.text[queries.start : queries.stop].tolist()

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """On `device`: trace positions of the text, keys of cross-attention that are kept, and their positions."""
        if device not in self._indices:
            assert self._columns is not None
            text, cross = torch.from_numpy(self._columns.text), torch.from_numpy(self._columns.cross)
            kept = torch.nonzero(cross >= 0).squeeze(-1)
            self._indices[device] = (text.to(device), kept.to(device), cross[kept].to(device))
        return self._indices[device]


def _check_keys(rows: Tensor, columns: KeyColumns, layer: int) -> None:
    if rows.shape[-1] != columns.cross.size:
        raise ModelError(
            f"layer {layer} (cross): its row has {rows.shape[-1]} keys where the images have {columns.cross.size} "
            "features; its keys are not the image features, so it cannot be shown; choose other layers with --layer_idx"
        )
