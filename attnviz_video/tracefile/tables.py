"""The small tables of a trace, one JSON object per line: tokens and steps; and the scalars as raw float32."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import cast

import numpy as np
from jaxtyping import Float32

from attnviz_video.core.layout import PixelBox, TokenLayout
from attnviz_video.core.step import Candidate, StepInfo, StepScalars
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import ModelError, TraceError
from attnviz_video.tracefile.coding import from_json, parse, to_json, to_line
from attnviz_video.tracefile.format import LayoutPart


@dataclass(frozen=True)
class StepLine:
    """A step without its arrays."""

    index: int
    token_id: int
    log_probability: float
    candidates: tuple[Candidate, ...]
    milliseconds: float
    recorded: bool


def encode_tokens(tokens: Sequence[Token], layout: TokenLayout) -> bytes:
    """Lines of `tokens.jsonl`; `box` repeats the patch's rectangle for readers that know no grids."""
    boxes = _patch_boxes(layout)
    lines = []
    for token in tokens:
        table = cast("dict[str, object]", to_json(token, f"token {token.position}"))
        lines.append(to_line({**table, "box": boxes.get((token.image, token.patch))}, f"token {token.position}"))
    return b"".join(lines)


def decode_tokens(data: bytes, where: str) -> tuple[Token, ...]:
    """The tokens of `tokens.jsonl`, positions checked.

    Raises:
        TraceError: a line is not a token, or stands at another position.
    """
    tokens = []
    for number, value in enumerate(_lines(data, where)):
        line = f"{where}, line {number + 1}"
        if not isinstance(value, dict) or "box" not in value:
            raise TraceError(f"{line}: expected a token with its box; the trace is damaged")
        token = from_json(Token, {key: item for key, item in value.items() if key != "box"}, line)
        if token.position != number:
            raise TraceError(f"{line}: position {token.position}, expected {number}; the trace is damaged")
        tokens.append(token)
    return tuple(tokens)


def _patch_boxes(layout: TokenLayout) -> dict[tuple[int, int], PixelBox]:
    """Rectangle of every (image, patch), padding cut off."""
    return {
        (image, patch): cast("PixelBox", tuple(box))
        for image in range(len(layout.images))
        for patch, box in enumerate(layout.patch_boxes(image).tolist())
    }


def rebuild_layout(part: LayoutPart, tokens: Sequence[Token], where: str) -> TokenLayout:
    """The token layout, from the manifest's part and the prompt's tokens.

    Raises:
        TraceError: they contradict each other.
    """
    prompt = tokens[: part.n_prompt]
    n_patches = sum(max(0, grid.rows) * max(0, grid.columns) for grid in part.grids)
    if len(prompt) != part.n_prompt or n_patches > part.n_prompt:
        raise TraceError(
            f"{where}: {len(prompt)} prompt tokens and {n_patches} patches for a prompt of {part.n_prompt}; "
            "the trace is damaged"
        )
    try:
        return TokenLayout(
            images=part.images,
            grids=part.grids,
            image_of=np.array([token.image for token in prompt], dtype=np.int64),
            patch_of=np.array([token.patch for token in prompt], dtype=np.int64),
            guessed=part.guessed,
        )
    except ModelError as error:
        raise TraceError(f"{where}: {error}; the trace is damaged") from error


def encode_steps(infos: Sequence[StepInfo]) -> bytes:
    """Lines of `steps.jsonl`."""
    names = [field.name for field in fields(StepLine)]
    return b"".join(to_line({name: getattr(info, name) for name in names}, f"step {info.index}") for info in infos)


def encode_scalars(infos: Sequence[StepInfo], header: TraceHeader) -> bytes:
    """`scalars.f32`: per recorded step little-endian float32 [layers, heads, images + 3].

    Last axis: share of each image, first token, entropy, maximum.
    """
    if not header.scalar_layers:
        return b""
    return b"".join(_packed(info.scalars).tobytes() for info in infos if info.scalars is not None)


def _packed(scalars: StepScalars) -> Float32[np.ndarray, "layers heads columns"]:
    rest = np.stack([scalars.first_token, scalars.entropy, scalars.maximum], axis=-1)
    return np.concatenate([scalars.image_share, rest], axis=-1).astype("<f4")


def scalars_shape(header: TraceHeader, n_images: int) -> tuple[int, int, int]:
    """Shape of the scalars of one step: layers, heads, columns."""
    return len(header.scalar_layers), header.model.n_heads, n_images + 3


def decode_steps(lines: bytes, scalars: bytes, header: TraceHeader, n_images: int, where: str) -> tuple[StepInfo, ...]:
    """The steps of `steps.jsonl` and `scalars.f32`.

    Raises:
        TraceError: a line is not a step, or steps or scalars are missing.
    """
    parts = [from_json(StepLine, value, f"{where}, line {n + 1}") for n, value in enumerate(_lines(lines, where))]
    if [part.index for part in parts] != list(range(len(parts))):
        raise TraceError(f"{where}: the steps do not follow each other; the trace is damaged")
    shape = scalars_shape(header, n_images)
    n_rows = sum(part.recorded for part in parts) if header.scalar_layers else 0
    if len(scalars) != n_rows * int(np.prod(shape)) * 4:
        raise TraceError(
            f"{where}: {len(scalars)} bytes of scalars for {n_rows} recorded steps of shape {shape}; "
            "the trace is damaged"
        )
    table = np.frombuffer(scalars, dtype="<f4").reshape(n_rows, *shape)
    rows = iter(table)
    return tuple(_step_info(part, next(rows) if part.recorded and n_rows else None) for part in parts)


def _step_info(part: StepLine, row: Float32[np.ndarray, "layers heads columns"] | None) -> StepInfo:
    scalars = None if row is None else StepScalars(row[..., :-3], row[..., -3], row[..., -2], row[..., -1])
    return StepInfo(
        part.index, part.token_id, part.log_probability, part.candidates, part.milliseconds, part.recorded, scalars
    )


def _lines(data: bytes, where: str) -> Iterator[object]:
    """The JSON values of the lines of `data`."""
    for number, line in enumerate(data.splitlines()):
        yield parse(line, f"{where}, line {number + 1}")
