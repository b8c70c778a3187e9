"""Where object words stand in generated text, which object they speak of, and whether attention points at it.

Only text the model wrote is used, and nothing is filtered by correctness. A sentence speaks of the object at the place
it names if colour and shape agree, else of the one object with that colour and shape. A sentence about an object that
the image does not show counts as a miss for all its words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from demo_questions import CHINESE_COLORS, CHINESE_PLACES, CHINESE_SHAPES, COL_NAMES, ROW_NAMES
from demo_scenes import CELL_SIZE, CELLS_PER_SIDE, COLOR_NAMES, SHAPES, Box, Scene, SceneObject
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

WORD_KINDS = ("color", "shape", "place")
_ROW, _COL = "|".join(ROW_NAMES), "|".join(COL_NAMES)
_COLOR, _SHAPE = "|".join(COLOR_NAMES), "|".join(SHAPES)
_ENGLISH = re.compile(
    rf"(?:At the (?P<row>{_ROW}) (?P<col>{_COL}) is an? (?P<color>{_COLOR}) (?P<shape>{_SHAPE}))"
    rf"(?:, then (?:at the (?P<row2>{_ROW}) (?P<col2>{_COL})|an? (?P<color2>{_COLOR}) (?P<shape2>{_SHAPE})|nothing))?"
)
_ZH_PLACE = "|".join(sorted(CHINESE_PLACES, key=len, reverse=True))
_ZH_COLOR, _ZH_SHAPE = "|".join(CHINESE_COLORS.values()), "|".join(CHINESE_SHAPES.values())
_CHINESE = re.compile(
    rf"(?P<place>{_ZH_PLACE})是(?P<color>{_ZH_COLOR})的(?P<shape>{_ZH_SHAPE})"
    rf"(?:，之后(?:在(?P<place2>{_ZH_PLACE})|是(?P<color2>{_ZH_COLOR})的(?P<shape2>{_ZH_SHAPE})|没有))?"
)


@dataclass(frozen=True)
class Word:
    """A word that speaks of an object: its kind, its first generated token, and the truth (None: no such object)."""

    kind: str
    token: int
    image: int
    box: Box | None


def token_starts(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """The character at which each token starts; exact where tokens end at character boundaries."""
    lengths = [len(tokenizer.decode(list(ids[:end]))) for end in range(len(ids) + 1)]
    return lengths[:-1]


def find_words(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], scenes: Sequence[Scene]) -> list[Word]:
    """All object words in the thinking part of a generated text, with the box each should point at."""
    text = tokenizer.decode(list(ids))
    thinking = text.split("</think>")[0]
    starts = token_starts(tokenizer, ids)

    def token_of(character: int) -> int:
        return int(np.searchsorted(starts, character, side="right")) - 1

    words: list[Word] = []
    for match in [*_ENGLISH.finditer(thinking), *_CHINESE.finditer(thinking)]:
        parts = match.groupdict()
        first = _resolve(parts, "", scenes[0], None)
        words += _words(match, "", 0, first, token_of)
        if len(scenes) > 1:
            words += _words(match, "2", 1, _resolve(parts, "2", scenes[1], parts), token_of)
    return words


def _words(match: re.Match[str], suffix: str, image: int, target: SceneObject | None, token_of: object) -> list[Word]:
    found = []
    for name, kind in (("row", "place"), ("col", "place"), ("place", "place"), ("color", "color"), ("shape", "shape")):
        group = name + suffix
        if match.groupdict().get(group) is not None:
            token = token_of(match.start(group))  # type: ignore[operator]
            found.append(Word(kind, token, image, target.box if target else None))
    return found


def _english(word: str, names: dict[str, str]) -> str:
    return next((key for key, value in names.items() if value == word), word)


def _place(parts: dict[str, str | None], suffix: str) -> tuple[int, int] | None:
    row, col, place = parts.get("row" + suffix), parts.get("col" + suffix), parts.get("place" + suffix)
    if place is not None:
        return divmod(CHINESE_PLACES.index(place), 3)
    return (ROW_NAMES.index(row), COL_NAMES.index(col)) if row and col else None


def _resolve(
    parts: dict[str, str | None], suffix: str, scene: Scene, first: dict[str, str | None] | None
) -> SceneObject | None:
    """The object a (half) sentence speaks of. The second half takes what it does not say from the first."""
    color, shape = parts.get("color" + suffix), parts.get("shape" + suffix)
    place = _place(parts, suffix)
    if first is not None:
        if color is None and place is None:
            return None
        color, shape = color or first["color"], shape or first["shape"]
        place = place or _place(first, "")
    if color is None or shape is None:
        return None
    wanted = (_english(color, CHINESE_COLORS), _english(shape, CHINESE_SHAPES))
    same = [o for o in scene.objects if (o.color, o.shape) == wanted]
    exact = [o for o in same if o.place == place]
    return exact[0] if exact else same[0] if len(same) == 1 else None


def cell_in_box(cell: int, box: Box) -> bool:
    """Whether the cell's centre lies inside the box grown by half a cell."""
    row, col = divmod(cell, CELLS_PER_SIDE)
    x, y = (col + 0.5) * CELL_SIZE, (row + 0.5) * CELL_SIZE
    half = CELL_SIZE / 2
    return box[0] - half <= x <= box[2] + half and box[1] - half <= y <= box[3] + half


def chance(box: Box) -> float:
    """The share of cells that a random cell would hit."""
    return float(np.mean([cell_in_box(cell, box) for cell in range(CELLS_PER_SIDE**2)]))


def points(row: NDArray[np.float32], word: Word) -> bool:
    """Whether the strongest image cell of an attention row ``(images * 64,)`` lies on the word's object."""
    if word.box is None:
        return False
    image, cell = divmod(int(row.argmax()), CELLS_PER_SIDE**2)
    return image == word.image and cell_in_box(cell, word.box)
