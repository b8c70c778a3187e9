"""`DiskRows`: the row store of a trace on disk; nothing is loaded before it is asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from attnviz_video.errors import TraceError
from attnviz_video.tracefile.checked import Shards
from attnviz_video.tracefile.format import FileEntry, Manifest
from attnviz_video.tracefile.shards import (
    FULL,
    LOWER,
    check_keys,
    head_rows_name,
    mean_rows_name,
    prompt_queries,
    unpack_lower,
)


class DiskRows:
    """Rows of a trace in `folder`, float32; a `RowStore`."""

    def __init__(self, folder: Path, manifest: Manifest, recorded: Sequence[bool], *, verify: bool = True) -> None:
        """`recorded` says for each finished step whether it has rows; `verify` compares checksums at first use."""
        self._folder = folder
        self._header = manifest.header
        self._n_prompt = manifest.layout.n_prompt
        self._recorded = tuple(recorded)
        self._starts = [shard.first_step for shard in manifest.shards]
        self._files = [shard.file for shard in manifest.shards]
        self._prompt_files = {part.layer: part.file for part in manifest.prompt_rows}
        self._status = manifest.status
        self._is_encoding = manifest.is_encoding
        self._shards = Shards(folder, verify=verify)

    def head_rows(self, step: int, layer: int) -> Float32[np.ndarray, "heads keys"]:
        """Rows of the stored heads of `layer` at `step`.

        Raises:
            TraceError: not recorded, or damaged.
        """
        position = self._position(layer, self._header.head_layers, "head by head", "--layers")
        return self._step_rows(step, layer, head_rows_name(step), self._head_shape(step), (position,))

    def head_row(self, step: int, layer: int, head: int) -> Float32[np.ndarray, "keys"]:
        """The row of one query head of `layer` at `step`.

        Raises:
            TraceError: not recorded, or damaged.
        """
        position = self._position(layer, self._header.head_layers, "head by head", "--layers")
        index = (position, self._head_position(head))
        return self._step_rows(step, layer, head_rows_name(step), self._head_shape(step), index)

    def mean_row(self, step: int, layer: int) -> Float32[np.ndarray, "keys"]:
        """Mean over all heads of `layer` at `step`.

        Raises:
            TraceError: not recorded, or damaged.
        """
        position = self._position(layer, self._header.mean_layers, "as head mean", "--layers")
        shape = (len(self._header.mean_layers), self._n_prompt + step)
        return self._step_rows(step, layer, mean_rows_name(step), shape, (position,))

    def prompt_rows(self, layer: int) -> Float32[np.ndarray, "heads queries keys"]:
        """Rows of the prompt's own queries of `layer`; entries above the diagonal are 0 in a causal model.

        All queries but the last, which is step 0; in an encoding all of them.

        Raises:
            TraceError: not recorded, or damaged.
        """
        if layer not in self._prompt_files:
            held = ", ".join(map(str, sorted(self._prompt_files))) or "none"
            what, flag = ("prompt rows", "--record_rows all")
            if self._is_encoding:
                what, flag = ("rows", f"--layers {layer}, or --layers all")
            raise TraceError(
                f"{self._folder}: no {what} of layer {layer} ({what} of layers: {held}); record them with {flag}"
            )
        entry, n = self._prompt_files[layer], self._n_prompt
        n_heads = len(self._header.heads)
        if not self._is_encoding and LOWER in self._shards.names(entry):
            return unpack_lower(self._shards.read(entry, LOWER, (n_heads, n * (n - 1) // 2)), n)
        n_queries = prompt_queries(n, encoding=self._is_encoding)
        return self._shards.read(entry, FULL, (n_heads, n_queries, n)).astype(np.float32)

    def shard_of(self, step: int) -> FileEntry:
        """The file that holds the rows of `step`.

        Raises:
            TraceError: the step is not in the trace, or has no rows.
        """
        if not 0 <= step < len(self._recorded):
            unfinished = "" if self._status == "complete" else f" (the recording is incomplete: {self._status})"
            raise TraceError(
                f"{self._folder}: no step {step}: the trace holds {len(self._recorded)} steps{unfinished}, "
                "counted from 0 (the numbers in a video's footer are one more)"
            )
        if not self._recorded[step]:
            raise TraceError(
                f"{self._folder}: step {step} has no rows: it comes before the start phrase "
                f'(rows from step {self._header.start.first_step} on); record everything with --start_phrase ""'
            )
        return self._files[bisect_right(self._starts, step) - 1]

    def _head_shape(self, step: int) -> tuple[int, int, int]:
        return len(self._header.head_layers), len(self._header.heads), self._n_prompt + step

    def _step_rows(
        self, step: int, layer: int, tensor: str, shape: tuple[int, ...], index: tuple[int, ...]
    ) -> Float32[np.ndarray, "*rest"]:
        """Part of the tensor of a step, its number of keys checked first."""
        entry = self.shard_of(step)
        check_keys(step, layer, self._shards.shape(entry, tensor)[-1], self._n_prompt)
        return self._shards.read(entry, tensor, shape, index).astype(np.float32)

    def _position(self, layer: int, layers: Sequence[int], how: str, flag: str) -> int:
        if layer not in layers:
            held = ", ".join(map(str, layers)) or "none"
            raise TraceError(
                f"{self._folder}: layer {layer} was not recorded {how} (recorded: {held}); "
                f"record it with {flag} {layer}, or {flag} all"
            )
        return layers.index(layer)

    def _head_position(self, head: int) -> int:
        heads = self._header.heads
        if head not in heads:
            raise TraceError(
                f"{self._folder}: head {head} was not recorded (recorded: {', '.join(map(str, heads)) or 'none'}); "
                f"record it with --heads {head}, or --heads all"
            )
        return heads.index(head)
