"""A planted trace of any length for benchmarks: about 1500 prompt positions, one image of 900 patches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from attnviz_video.core.trace import TraceData
from attnviz_video.testing.planted import planted_layout, planted_tokens, planted_trace

#: Words of an answer, over and over; one in four in two pieces.
PIECES = (" The", " red", " cir", "cle", " is", " left", " of", " the", " blue", " squ", "are", ",", " which", " is",
          " near", "er", ".\n")  # fmt: skip
IMAGE = (900, 900)
GRID = (30, 30)
EXTRA_TEXT = 592
HEADS = 4


@dataclass(frozen=True)
class MadeRows:
    """Rows that are made when they are read: diffuse, with a peak that moves over text and image."""

    n_prompt: int
    first_patch: int

    def head_rows(self, step: int, layer: int) -> np.ndarray:
        """[heads, keys], each row a distribution."""
        keys = self.n_prompt + step
        weights = np.random.default_rng(step).random((HEADS, keys), dtype=np.float32)
        np.square(weights, out=weights)
        weights[:, self.first_patch + step * 7 % (GRID[0] * GRID[1])] += 60
        weights[:, 0] += 200
        weights[:, keys - 1 - step % 40] += 20
        rows: np.ndarray = weights / weights.sum(axis=1, keepdims=True)
        return rows

    def mean_row(self, step: int, layer: int) -> np.ndarray:
        """The mean over the heads."""
        mean: np.ndarray = self.head_rows(step, layer).mean(axis=0)
        return mean

    def prompt_rows(self, layer: int) -> np.ndarray:
        """There are none."""
        raise KeyError(layer)


def made_trace(folder: Path, n_tokens: int) -> TraceData:
    """A trace of `n_tokens` answer tokens, its image written to `folder`."""
    base = planted_layout([IMAGE], [GRID])
    text = np.full(EXTRA_TEXT, -1, dtype=np.int64)
    layout = replace(
        base, image_of=np.concatenate([text, base.image_of]), patch_of=np.concatenate([text, base.patch_of])
    )

    def row(step: int, layer: int) -> np.ndarray:
        return np.full((2, base.n_prompt + step), 1 / (base.n_prompt + step), dtype=np.float32)

    trace = planted_trace(folder, row, image_sizes=[IMAGE], grids=[GRID], answer=PIECES[:1], layers=(0,))
    photo_like().save(trace.image_files[0])
    answer = [PIECES[number % len(PIECES)] for number in range(n_tokens)]
    header = trace.header
    header = replace(
        header, heads=tuple(range(HEADS)), model=replace(header.model, n_heads=HEADS),
        start=replace(header.start, first_shown=layout.n_prompt),
    )  # fmt: skip
    return replace(
        trace, header=header, layout=layout, tokens=planted_tokens(layout, answer),
        steps=tuple(replace(trace.steps[0], index=index, scalars=None) for index in range(n_tokens)),
        rows=MadeRows(layout.n_prompt, int(layout.patch_positions(0)[0])),
    )  # fmt: skip


def photo_like() -> Image.Image:
    """Soft shapes with fine grain: compresses like a photograph, not like a drawing."""
    generator = np.random.default_rng(0)
    soft = Image.fromarray(generator.integers(0, 256, (24, 24, 3), dtype=np.uint8)).resize(
        IMAGE, Image.Resampling.BICUBIC
    )
    grain = np.asarray(soft).astype(np.float32) + generator.normal(0, 8, (*IMAGE[::-1], 3))
    return Image.fromarray(grain.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
