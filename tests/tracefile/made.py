"""Recordings made by a seed, written to disk as the recorder would."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.sample import Sample, TruthBox
from attnviz_video.core.step import Candidate, PromptRows, Step, StepInfo, StepRows, StepScalars
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import ModelIdentity, StartPoint, TraceHeader
from attnviz_video.testing.planted import planted_layout, planted_tokens
from attnviz_video.tracefile.write import TraceWriter

PIECES = (" The", " red", "", "圆", " is\n", "<", " here", '"\\', "\u202e", ".")


@dataclass(frozen=True, eq=False)
class Made:
    """One recording, before it is written."""

    header: TraceHeader
    layout: TokenLayout
    tokens: tuple[Token, ...]
    images: tuple[bytes, ...]
    steps: tuple[Step, ...]
    prompt_rows: tuple[PromptRows, ...]

    @property
    def prompt(self) -> tuple[Token, ...]:
        return self.tokens[: self.layout.n_prompt]

    @property
    def answer(self) -> tuple[Token, ...]:
        return self.tokens[self.layout.n_prompt :]

    def writer(self, folder: Path, *, overwrite: bool = False) -> TraceWriter:
        return TraceWriter.create(folder, self.header, self.layout, self.prompt, self.images, overwrite=overwrite)

    def write(self, folder: Path, *, overwrite: bool = False) -> Path:
        with self.writer(folder, overwrite=overwrite) as writer:
            for rows in self.prompt_rows:
                writer.add_prompt_rows(rows)
            for step in self.steps:
                writer.add(step)
            return writer.complete(self.answer, self.header)


def made(
    n_steps: int = 6,
    *,
    grids: tuple[tuple[int, int], ...] = ((3, 4),),
    n_heads: int = 2,
    n_layers: int = 3,
    head_layers: tuple[int, ...] = (1,),
    heads: tuple[int, ...] | None = None,
    first_step: int = 0,
    query_rows: str = "answer",
    shown_layers: tuple[int, ...] = (),
    seed: int = 0,
) -> Made:
    """A recording of random rows that sum to 1; steps before `first_step` have none."""
    rng = np.random.default_rng(seed)
    kept = tuple(range(n_heads)) if heads is None else heads
    layers = tuple(range(n_layers))
    layout = planted_layout([(8 * columns, 8 * rows) for rows, columns in grids], grids)
    tokens = planted_tokens(layout, [PIECES[number % len(PIECES)] for number in range(n_steps)])
    header = TraceHeader(
        model=ModelIdentity(
            id="some/model", revision="abc", model_type="qwen2_vl", config_hash="1", processor_hash="2",
            template_hash="3", n_layers=n_layers, n_heads=n_heads, n_kv_heads=1, layer_kinds=("full",) * n_layers,
            dtype="bfloat16", device="cuda:0", attention="sdpa",
        ),
        sample=Sample(
            7, "item-7", "哪里? \ud83d", tuple(Path(f"images/{n}.png") for n in range(len(grids))), answer=None,
            response="here", boxes=(TruthBox("red circle", 0, (1.0, 2.0, 3.5, 4.0)),) if grids else (),
            extra={"solution": "<answer>", "list": [1, 2.5, None, True], "deep": {"a": "b"}}, source="test.json",
        ),
        rendered_prompt="<|im_start|>user\n哪里?",
        start=StartPoint("", "none", layout.n_prompt, first_step),
        head_layers=head_layers,
        heads=kept,
        mean_layers=layers,
        scalar_layers=layers,
        query_rows=query_rows,  # type: ignore[arg-type]
        generation={"do_sample": False, "temperature": 1.0, "eos_token_id": [1, 2]},
        versions={"torch": "2.13.0"},
        created="2026-01-01T00:00:00Z",
        shown_layers=shown_layers,
    )  # fmt: skip
    steps = tuple(_step(number, header, layout, rng, recorded=number >= first_step) for number in range(n_steps))
    prompt_rows = tuple(_prompt_rows(layer, header, layout, rng) for layer in head_layers if query_rows == "all")
    return Made(header, layout, tokens, tuple(_png(grid) for grid in grids), steps, prompt_rows)


def with_row(recording: Made, step: int, layer: int, rows: np.ndarray) -> Made:
    """The recording with other head rows at one step and layer."""
    steps = list(recording.steps)
    old = steps[step].rows
    if old is None:
        raise ValueError(f"step {step} has no rows")
    steps[step] = replace(steps[step], rows=replace(old, heads={**old.heads, layer: rows}))
    return replace(recording, steps=tuple(steps))


def _rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Peaky random rows: softmax over the last axis."""
    logits = np.exp(4 * rng.standard_normal(shape))
    return (logits / logits.sum(-1, keepdims=True)).astype(np.float32)


def _step(number: int, header: TraceHeader, layout: TokenLayout, rng: np.random.Generator, *, recorded: bool) -> Step:
    candidates = (Candidate(1000 + number, f"piece{number}", 0.75), Candidate(5, "\u2028x", 0.125))
    info = StepInfo(number, 1000 + number, -0.25 if number else float("-inf"), candidates, 1.5, recorded)
    if not recorded:
        return Step(info, None)
    keys, n_heads = layout.n_prompt + number, header.model.n_heads
    shape = (len(header.scalar_layers), n_heads)
    scalars = StepScalars(
        image_share=rng.random((*shape, len(layout.images))).astype(np.float32),
        first_token=rng.random(shape).astype(np.float32),
        entropy=rng.random(shape).astype(np.float32),
        maximum=rng.random(shape).astype(np.float32),
    )
    rows = StepRows(
        heads={layer: _rows(rng, (len(header.heads), keys)) for layer in header.head_layers},
        mean={layer: _rows(rng, (keys,)) for layer in header.mean_layers},
    )
    return Step(replace(info, scalars=scalars), rows)


def _prompt_rows(layer: int, header: TraceHeader, layout: TokenLayout, rng: np.random.Generator) -> PromptRows:
    n = layout.n_prompt
    rows = np.tril(rng.random((len(header.heads), n - 1, n)).astype(np.float32))
    return PromptRows(layer, rows / rows.sum(-1, keepdims=True))


def _png(grid: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8 * grid[1], 8 * grid[0]), (10, 200, 30)).save(buffer, "PNG")
    return buffer.getvalue()
