"""Planted runs for the live page: words of an answer, and rows whose weights are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.browser.fake_live_server import FakeRun, Script, half

WORDS = (" The", " red", " circle", " is", " left", " of", " the", " blue", " square", ",", " and", " a", " green",
         " star", " stands", " above", " both", ".")  # fmt: skip
GRID = (12, 16)
SIZE = (640, 480)


def told_prompt(
    words: Sequence[str], *, image: tuple[str, str] | None = None, images: Sequence[tuple[str, str]] = (),
    grid: tuple[int, int] = GRID, n_prefix: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The event of a prompt: a special token, the patches of `image` or `images` (name, address), `words`."""
    rows, columns = grid
    pictures = [image] if image is not None else list(images)
    size = rows * columns
    n_patches = size * len(pictures)
    n_prompt = 1 + n_patches + len(words)
    patch_of = [-1, *list(range(size)) * len(pictures), *[-1] * len(words)]
    image_of = [-1, *(number for number in range(len(pictures)) for _ in range(size)), *[-1] * len(words)]
    units: list[list[Any]] = [[0, 1, "‹im_start›", 1, -1]]
    told_images = []
    edges = [[round(i * side / n) for i in range(n + 1)] for side, n in zip(SIZE, (columns, rows), strict=True)]
    grids = [{"rows": rows, "columns": columns, "first": 0, "area": "", "x": edges[0], "y": edges[1]}]
    for number, (name, address) in enumerate(pictures):
        first = 1 + number * size
        told_images.append({"name": name, "width": SIZE[0], "height": SIZE[1], "src": address, "grids": grids,
                            "positions": list(range(first, first + size))})  # fmt: skip
        units.append([first, first + size, "", 0, number])
    units += [[1 + n_patches + number, 2 + n_patches + number, word, 0, -1] for number, word in enumerate(words)]
    return {
        "tokens": {
            "id": list(range(n_prompt)), "text": ["‹im_start›", *[""] * n_patches, *words],
            "kind": ["special", *["patch"] * n_patches, *["text"] * len(words)], "role": ["user"] * n_prompt,
            "image": image_of, "patch": patch_of,
        },
        "units": units, "n_prompt": n_prompt, "n_prefix": n_prefix, "images": told_images, "shown_from": 0, "layer": 20,
        "n_layers": 28, "heads": 16,
    }  # fmt: skip


def planted_row(told: dict[str, Any], step: int, seed: int = 0) -> np.ndarray:
    """A sink of 0.3 on the first position, a spot that wanders over the image, the rest spread over all positions."""
    n = told["n_prompt"] + step
    rng = np.random.default_rng([seed, step])
    row = rng.gamma(0.4, 1.0, n)
    row *= 0.25 / row.sum()
    row[0] += 0.3
    row[max(1, n - 4) :] += 0.02
    for image in told["images"]:
        rows, columns = image["grids"][0]["rows"], image["grids"][0]["columns"]
        y, x = np.mgrid[0:rows, 0:columns]
        far = (y - rows * (0.5 + 0.3 * np.sin(step / 4))) ** 2 + (x - columns * (0.5 + 0.3 * np.cos(step / 4))) ** 2
        spot = np.exp(-far / 2).ravel()
        row[image["positions"]] += (0.15 + 0.1 * np.sin(step / 3)) * spot / spot.sum()
    return (row / row.sum()).astype(np.float16).astype(np.float32)


def told_step(
    told: dict[str, Any], step: int, text: str, row: np.ndarray | None = None, **further: Any
) -> dict[str, Any]:
    """The event of one step; its first candidate is the token itself."""
    weights = planted_row(told, step) if row is None else row
    shares = [float(weights[image["positions"]].sum()) for image in told["images"]]
    probability = 0.55 + 0.4 * np.sin(step) ** 2
    token_id = further.pop("id", 100 + step)
    others = [[900 + k, f" other{k}", float((1 - probability) * 0.5 ** (k + 1))] for k in range(9)]
    return {
        "step": step, "id": token_id, "text": text, "special": False, "probability": float(probability),
        "logprob": float(np.log(probability)), "ms": 40.0, "top": [[token_id, text, float(probability)], *others],
        "weights": half(weights), "image_share": sum(shares), "image_shares": shares,
        "entropy": float(-(weights[weights > 0] * np.log(weights[weights > 0])).sum()), **further,
    }  # fmt: skip


def word_of(token_id: int) -> str:
    """The words of the planted vocabulary."""
    return f" other{token_id - 900}" if token_id >= 900 else WORDS[(token_id - 100) % len(WORDS)]


def answer(run: FakeRun, words: Sequence[str] = WORDS, pause: float = 0.0, prompt: Sequence[str] = ()) -> Script:
    """A run that writes `words`, with the images it was sent."""
    images = [(name, f"/api/runs/{run.id}/images/{number}") for number, (name, _) in enumerate(run.images)]
    first, *others = run.fields["prompt"].split(" ")
    own = list(prompt) or [first, *(f" {word}" for word in others)]
    ids = json.loads(run.fields.get("answer_ids", "[]"))
    given = [(number, word_of(number)) for number in ids]
    if run.fields.get("answer_prefix"):
        given = [(50, run.fields["answer_prefix"])]
    told = told_prompt(own, images=images, n_prefix=len(given))
    yield "prompt", told
    yield 0.05
    for step, (token_id, text) in enumerate(given):
        yield "step", told_step(told, step, text, id=token_id)
    if run.fields["mode"] == "next":
        words = WORDS[len(given) : len(given) + 1]
    for step, text in enumerate(words, len(given)):
        yield "step", told_step(told, step, text)
        if pause:
            yield pause
    yield "done", {"n_tokens": len(given) + len(words), "stopped_by": "end token"}
