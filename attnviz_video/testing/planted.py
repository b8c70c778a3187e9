"""Traces whose attention is planted: the truth is known, so a picture of it can be checked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import Candidate, StepInfo, StepScalars
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import ModelIdentity, StartPoint, TraceData, TraceHeader


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """A row store in memory: `rows[(step, layer)]` holds [heads, keys]."""

    rows: Mapping[tuple[int, int], Float[np.ndarray, "heads keys"]]

    def head_rows(self, step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        return self.rows[step, layer]

    def mean_row(self, step: int, layer: int) -> Float[np.ndarray, "keys"]:
        mean: Float[np.ndarray, "keys"] = self.rows[step, layer].mean(axis=0)
        return mean

    def prompt_rows(self, layer: int) -> Float[np.ndarray, "heads queries keys"]:
        raise KeyError(f"planted traces hold no prompt rows (layer {layer})")


def planted_layout(image_sizes: Sequence[tuple[int, int]], grids: Sequence[tuple[int, int]]) -> TokenLayout:
    """A Qwen-like layout: 2 text tokens, then per image `<start>`, its patches, `<end>`, then 4 text tokens.

    `image_sizes` are (width, height) in pixels, `grids` (rows, columns).
    """
    image_of: list[int] = [-1, -1]
    patch_of: list[int] = [-1, -1]
    for image, (rows, columns) in enumerate(grids):
        image_of += [-1, *[image] * (rows * columns), -1]
        patch_of += [-1, *range(rows * columns), -1]
    image_of += [-1] * 4
    patch_of += [-1] * 4
    return TokenLayout(
        images=tuple(
            ImageInfo(f"image{index}.png", width, height, hashlib.sha256(f"{index}".encode()).hexdigest())
            for index, (width, height) in enumerate(image_sizes)
        ),
        grids=tuple(
            PatchGrid(index, rows, columns, (0.0, 0.0, float(width), float(height)))
            for index, ((rows, columns), (width, height)) in enumerate(zip(grids, image_sizes, strict=True))
        ),
        image_of=np.array(image_of, dtype=np.int64),
        patch_of=np.array(patch_of, dtype=np.int64),
    )


def planted_tokens(layout: TokenLayout, answer: Sequence[str]) -> tuple[Token, ...]:
    """Tokens for a planted layout and an answer given as pieces (`\"\"` is a token that completes no character)."""
    tokens = []
    text_at_end = [" What", " is", " it", "?"]
    for position in range(layout.n_prompt):
        image, patch = int(layout.image_of[position]), int(layout.patch_of[position])
        piece = text_at_end[position - layout.n_prompt] if position >= layout.n_prompt - 4 else "<|mark|>"
        role = "image" if image >= 0 else "user" if position >= layout.n_prompt - 4 else "template"
        tokens.append(
            Token(position, position, piece.encode(), piece, role, "prompt", role != "user", image, patch)  # type: ignore[arg-type]
        )
    for number, piece in enumerate(answer):
        raw = piece.encode() or b"\xe7"
        tokens.append(Token(layout.n_prompt + number, 1000 + number, raw, piece, "answer", "other"))
    return tuple(tokens)


def planted_trace(
    folder: Path,
    row: Callable[[int, int], Float[np.ndarray, "heads keys"]],
    *,
    image_sizes: Sequence[tuple[int, int]] = ((320, 200),),
    grids: Sequence[tuple[int, int]] = ((4, 6),),
    answer: Sequence[str] = (" The", " red", " circle", " is", " here", "."),
    layers: Sequence[int] = (0, 1),
    n_heads: int = 2,
) -> TraceData:
    """A complete trace in memory whose rows are `row(step, layer)`; its images are written to `folder`."""
    layout = planted_layout(image_sizes, grids)
    files = []
    for index, (width, height) in enumerate(image_sizes):
        file = folder / f"image{index}.png"
        Image.new("RGB", (width, height), (200, 200, 210)).save(file)
        files.append(file)
    rows = {(step, layer): row(step, layer) for step in range(len(answer)) for layer in layers}
    for (step, layer), value in rows.items():
        if value.shape != (n_heads, layout.n_prompt + step):
            raise ValueError(
                f"row({step}, {layer}) has shape {value.shape}, expected {(n_heads, layout.n_prompt + step)}"
            )
    steps = tuple(planted_step(index, piece, rows, layers, layout) for index, piece in enumerate(answer))
    header = TraceHeader(
        model=ModelIdentity(
            id="planted",
            revision="",
            model_type="qwen2_vl",
            config_hash="0",
            processor_hash="0",
            template_hash="0",
            n_layers=len(layers),
            n_heads=n_heads,
            n_kv_heads=1,
            layer_kinds=("full",) * len(layers),
            dtype="float32",
            device="cpu",
            attention="sdpa",
        ),  # fmt: skip
        sample=Sample(0, "planted-0", "What is it?", tuple(files), answer="a red circle"),
        rendered_prompt="What is it?",
        start=StartPoint("", "none", layout.n_prompt, 0),
        head_layers=tuple(layers),
        heads=tuple(range(n_heads)),
        mean_layers=tuple(layers),
        scalar_layers=tuple(layers),
        created="2026-01-01T00:00:00Z",
    )
    return TraceData(header, layout, planted_tokens(layout, answer), steps, MemoryRows(rows), tuple(files))


def planted_step(
    index: int,
    piece: str,
    rows: Mapping[tuple[int, int], Float[np.ndarray, "heads keys"]],
    layers: Sequence[int],
    layout: TokenLayout,
) -> StepInfo:
    """The light part of a planted step, its scalars computed from its rows."""
    stack = np.stack([rows[index, layer] for layer in layers]).astype(np.float32)
    shares = [stack[..., layout.patch_positions(image)].sum(-1) for image in range(len(layout.images))]
    positive = np.where(stack > 0, stack, 1.0)
    return StepInfo(
        index=index,
        token_id=1000 + index,
        log_probability=-0.1,
        candidates=(Candidate(1000 + index, piece, 0.9), Candidate(5, " x", 0.05)),
        milliseconds=1.0,
        scalars=StepScalars(
            image_share=np.stack(shares, axis=-1) if shares else np.zeros((*stack.shape[:2], 0), np.float32),
            first_token=stack[..., 0],
            entropy=-(stack * np.log(positive)).sum(-1),
            maximum=stack.max(-1),
        ),
    )


def one_hot_row(layout: TokenLayout, n_heads: int = 2) -> Callable[[int, int], Float[np.ndarray, "heads keys"]]:
    """Rows whose query q looks at nothing but patch q of image 0 (q counted from step 0, modulo the patches)."""
    positions = layout.patch_positions(0)

    def row(step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        value = np.zeros((n_heads, layout.n_prompt + step), dtype=np.float32)
        value[:, positions[step % positions.size]] = 1.0
        return value

    return row
