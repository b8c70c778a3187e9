"""Encodings whose attention is planted: one pass over a text, or over two sentences, in memory or on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.sample import PAIR_FIELD, Sample
from attnviz_video.core.step import Candidate, MaskedToken, PromptRows
from attnviz_video.core.tokens import Segment, Token
from attnviz_video.core.trace import ModelIdentity, StartPoint, TraceData, TraceHeader
from attnviz_video.tracefile.write import TraceWriter

FIRST = ("[CLS]", "the", " cat", " [MASK]", " on", " the", " mat", "[SEP]")
SECOND = ("dogs", " chase", " it", "[SEP]")


@dataclass(frozen=True, eq=False)
class TextRows:
    """A row store in memory: `matrices[layer]` holds [heads, queries, keys]; there are no steps."""

    matrices: tuple[Float[np.ndarray, "heads queries keys"], ...]

    def head_rows(self, step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        raise KeyError(f"an encoding holds no steps (step {step}, layer {layer})")

    def mean_row(self, step: int, layer: int) -> Float[np.ndarray, "keys"]:
        raise KeyError(f"an encoding holds no steps (step {step}, layer {layer})")

    def prompt_rows(self, layer: int) -> Float[np.ndarray, "heads queries keys"]:
        return self.matrices[layer]


def planted_encoding(
    first: Sequence[str] = FIRST,
    second: Sequence[str] = SECOND,
    *,
    n_layers: int = 2,
    n_heads: int = 2,
    heads: tuple[int, ...] | None = None,
    seed: int = 0,
) -> TraceData:
    """A complete encoding whose rows are random, peaked, different everywhere, and sum to 1 as float16.

    `[MASK]` among the pieces has ten candidates. Without `second` it is one text.
    """
    rng = np.random.default_rng(seed)
    pieces = (*first, *second)
    tokens = tuple(
        Token(
            number, 100 + number, piece.strip().encode(), piece, "user", _segment(number, first, second), "[" in piece
        )
        for number, piece in enumerate(pieces)
    )
    kept = tuple(range(n_heads)) if heads is None else heads
    logits = np.exp(3 * rng.standard_normal((n_layers, len(kept), len(pieces), len(pieces))))
    matrices = (logits / logits.sum(-1, keepdims=True)).astype(np.float16).astype(np.float32)
    masks = tuple(
        MaskedToken(token.position, tuple(Candidate(200 + rank, f"word{rank}", 0.5 / 2**rank) for rank in range(10)))
        for token in tokens
        if "[MASK]" in token.piece
    )
    layers = tuple(range(n_layers))
    extra = {PAIR_FIELD: "".join(second).removesuffix("[SEP]")} if second else {}
    header = TraceHeader(
        model=ModelIdentity(
            id="planted/bert", revision="", model_type="bert", config_hash="0", processor_hash="0", template_hash="0",
            n_layers=n_layers, n_heads=n_heads, n_kv_heads=n_heads, layer_kinds=("full",) * n_layers, dtype="float32",
            device="cpu", attention="sdpa",
        ),
        sample=Sample(0, "question", "The cat [MASK] on the mat", (), extra=extra),
        rendered_prompt="".join(pieces),
        start=StartPoint("", "none", 0, 0),
        head_layers=layers,
        heads=kept,
        mean_layers=layers if len(kept) == n_heads else (),
        scalar_layers=(),
        kind="encoding",
        query_rows="all",
        generation=dict(extra),
        created="2026-01-01T00:00:00Z",
    )  # fmt: skip
    nothing = np.full(len(pieces), -1, dtype=np.int64)
    layout = TokenLayout((), (), nothing, nothing.copy())
    return TraceData(header, layout, tokens, (), TextRows(tuple(matrices)), (), masked=masks)


def _segment(number: int, first: Sequence[str], second: Sequence[str]) -> Segment:
    if not second:
        return "text"
    return "first" if number < len(first) else "second"


def write_encoding(trace: TraceData, folder: Path) -> Path:
    """Write an encoding to disk as the recorder does, and return its folder."""
    with TraceWriter.create(folder, trace.header, trace.layout, trace.tokens, ()) as writer:
        for layer in trace.header.head_layers:
            writer.add_prompt_rows(PromptRows(layer, trace.rows.prompt_rows(layer)))
        writer.keep_masked(trace.masked)
        return writer.complete((), trace.header)
