"""Where object words stand in generated text, which object they speak of, and whether attention points at it.

Only text the model wrote is used, and nothing is filtered by correctness. A line speaks of the object at the place it
names if colour and shape agree, else of the one object with that colour and shape. A line about an object that the
image does not show counts as a miss for all its words ("object" agrees with whatever stands there). The word of place
is the column ("left"), and after "then" row and column; the heading of a row ("At the top") stands there whatever the
picture shows and is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from demo_questions import (
    CHINESE_COLORS,
    CHINESE_COLS,
    CHINESE_PLACES,
    CHINESE_ROWS,
    CHINESE_SHAPES,
    COL_NAMES,
    ROW_NAMES,
)
from demo_scenes import CELL_SIZE, CELLS_PER_SIDE, COLOR_NAMES, SHAPES, Box, Scene, SceneObject
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

WORD_KINDS = ("color", "shape", "place")
_ROW, _COL = "|".join(ROW_NAMES), "|".join(COL_NAMES)
_COLOR, _SHAPE = "|".join(COLOR_NAMES), "|".join(SHAPES)
_ENGLISH = re.compile(
    rf"^ (?:At the (?P<heading>{_ROW}) )?(?:nothing$|(?P<col>{_COL})(?: an?)?(?: (?P<color>{_COLOR}))? "
    rf"(?:object|(?P<shape>{_SHAPE}))(?:, (?P<color_after>{_COLOR}))?)"
    rf"(?: then (?:at the (?P<row2>{_ROW}) (?P<col2>{_COL})|(?P<color2>{_COLOR})|same|nothing))?",
    re.MULTILINE,
)
_ZH_ROW, _ZH_COL = "|".join(CHINESE_ROWS), "|".join(CHINESE_COLS)
_ZH_PLACE = "|".join(sorted(CHINESE_PLACES, key=len, reverse=True))
_ZH_COLOR, _ZH_SHAPE = "|".join(CHINESE_COLORS.values()), "|".join(CHINESE_SHAPES.values())
_CHINESE = re.compile(
    rf"^(?P<heading>{_ZH_ROW})?(?:没有$|(?P<col>{_ZH_COL})是?(?:(?P<color>{_ZH_COLOR})的)?"
    rf"(?:物体|(?P<shape>{_ZH_SHAPE}))(?:，(?P<color_after>{_ZH_COLOR}))?)"
    rf"(?:，之后(?:在(?P<place2>{_ZH_PLACE})|(?P<color2>{_ZH_COLOR})|一样|没有))?",
    re.MULTILINE,
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
    for pattern, rows, cols in ((_ENGLISH, ROW_NAMES, COL_NAMES), (_CHINESE, CHINESE_ROWS, CHINESE_COLS)):
        row = None
        for match in pattern.finditer(thinking):
            parts = match.groupdict()
            row = rows.index(parts["heading"]) if parts["heading"] else row
            if parts["col"] is None or row is None:
                continue
            place = (row, cols.index(parts["col"]))
            first = _object_at(scenes[0], parts["color"] or parts["color_after"], parts["shape"], place)
            words += _words(match, "", 0, first, token_of)
            if len(scenes) > 1:
                words += _words(match, "2", 1, _second(parts, scenes[1], place), token_of)
    return words


def _words(match: re.Match[str], suffix: str, image: int, target: SceneObject | None, token_of: object) -> list[Word]:
    found = []
    kinds = {
        "row": "place",
        "col": "place",
        "place": "place",
        "color": "color",
        "color_after": "color",
        "shape": "shape",
    }
    for name, kind in kinds.items():
        group = name + suffix
        if match.groupdict().get(group) is not None:
            token = token_of(match.start(group))  # type: ignore[operator]
            found.append(Word(kind, token, image, target.box if target else None))
    return found


def _english(word: str, names: dict[str, str]) -> str:
    return next((key for key, value in names.items() if value == word), word)


def _second(parts: dict[str, str | None], scene: Scene, place: tuple[int, int]) -> SceneObject | None:
    """What the half sentence about the second image speaks of; what it does not say is as in the first half."""
    if parts["color2"] is not None:
        return _object_at(scene, parts["color2"], parts["shape"], place)
    row, col, named = parts.get("row2"), parts.get("col2"), parts.get("place2")
    if named is not None:
        place = divmod(CHINESE_PLACES.index(named), 3)
    elif row is not None and col is not None:
        place = (ROW_NAMES.index(row), COL_NAMES.index(col))
    else:
        return None
    return _object_at(scene, parts["color"], parts["shape"], place)


def _object_at(scene: Scene, color: str | None, shape: str | None, place: tuple[int, int]) -> SceneObject | None:
    """The object that agrees with what is said of it: at the place, or else the only one of this colour and shape."""
    same = [
        item
        for item in scene.objects
        if (color is None or item.color == _english(color, CHINESE_COLORS))
        and (shape is None or item.shape == _english(shape, CHINESE_SHAPES))
    ]
    exact = [item for item in same if item.place == place]
    if exact:
        return exact[0]
    return same[0] if len(same) == 1 and color and shape else None


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
