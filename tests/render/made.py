"""Scores made for pictures: planted weights, drawn images, any text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from attnviz_video.analysis.scores import Scores, score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.trace import TraceData
from attnviz_video.testing.planted import planted_layout, planted_tokens, planted_trace

ANSWER = (" The", " red", " circle", " is", " here", ".")


@dataclass(frozen=True)
class Made:
    """What a test wants to see painted."""

    answer: Sequence[str] = ANSWER
    image_sizes: Sequence[tuple[int, int]] = ((320, 200),)
    grids: Sequence[tuple[int, int]] = ((4, 6),)
    #: Row of a step, summing to anything; None: weights that differ everywhere.
    row: Callable[[int, TokenLayout], np.ndarray] | None = None
    #: First position of the text panel; None: the answer only.
    first_shown: int | None = None
    analysis: AnalysisSettings = field(default_factory=AnalysisSettings)
    problem: str = "What is it?"


def uneven_row(step: int, layout: TokenLayout) -> np.ndarray:
    """Weights that differ for every key, with one patch ahead that moves from step to step."""
    keys = layout.n_prompt + step
    row = 1.0 + (np.arange(keys) * 7919 % 101) / 25.0
    for image in range(len(layout.images)):
        patches = layout.patch_positions(image)
        row[patches] /= 4
        row[patches[(5 * step + 3 * image) % patches.size]] = 12.0
    return (row / row.sum()).astype(np.float32)


def one_hot_patch(step: int, layout: TokenLayout) -> np.ndarray:
    """The row of step q looks at nothing but patch q of image 0."""
    row = np.zeros(layout.n_prompt + step, dtype=np.float32)
    patches = layout.patch_positions(0)
    row[patches[step % patches.size]] = 1.0
    return row


def make_trace(folder: Path, made: Made) -> TraceData:
    """The trace of `made`, with pictures that have something on them."""
    layout = planted_layout(made.image_sizes, made.grids)
    row_of = made.row or uneven_row

    def row(step: int, layer: int) -> np.ndarray:
        return np.tile(row_of(step, layout), (2, 1))

    trace = planted_trace(folder, row, image_sizes=made.image_sizes, grids=made.grids, answer=made.answer, layers=(0,))
    for number, (file, size) in enumerate(zip(trace.image_files, made.image_sizes, strict=True)):
        draw_scene(size, number).save(file)
    start = replace(trace.header.start, first_shown=trace.n_prompt if made.first_shown is None else made.first_shown)
    sample = replace(trace.header.sample, problem=made.problem)
    return replace(trace, header=replace(trace.header, start=start, sample=sample))


@dataclass(frozen=True)
class _EvenRows:
    """Rows that are made when they are read, for answers too long to plant."""

    n_prompt: int

    def head_rows(self, step: int, layer: int) -> np.ndarray:
        keys = self.n_prompt + step
        return np.full((2, keys), 1.0 / keys, dtype=np.float32)

    def mean_row(self, step: int, layer: int) -> np.ndarray:
        return self.head_rows(step, layer)[0]

    def prompt_rows(self, layer: int) -> np.ndarray:
        raise KeyError(layer)


def long_scores(folder: Path, pieces: Sequence[str], every: int = 1) -> Scores:
    """Scores of an answer of thousands of tokens with even weights; one token in `every`, and the last, has a frame."""
    trace = make_trace(folder, Made(answer=(" x",)))
    steps = tuple(
        replace(trace.steps[0], index=index, scalars=None, recorded=index % every == 0 or index == len(pieces) - 1)
        for index in range(len(pieces))
    )
    tokens = planted_tokens(trace.layout, pieces)
    trace = replace(trace, tokens=tokens, steps=steps, rows=_EvenRows(trace.n_prompt))
    return score(trace, 0, AnalysisSettings(scale="per_frame"))


def make_scores(folder: Path, made: Made) -> Scores:
    """The scores of `made`."""
    return score(make_trace(folder, made), 0, made.analysis)


def draw_scene(size: tuple[int, int], number: int) -> Image.Image:
    """A picture of a disc and a square, different in every corner."""
    width, height = size
    picture = Image.new("RGB", size, (196 - 40 * (number % 3), 204, 214))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((width * 0.1, height * 0.1, width * 0.4, height * 0.45), fill=(200, 40, 40))
    draw.rectangle((width * 0.6, height * 0.5, width * 0.9, height * 0.9), fill=(40, 80, 190))
    return picture
