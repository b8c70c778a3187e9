"""Pieces to display units: what is shown as one box of text, and which tokens stand behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from attnviz_video.core.tokens import Token


@dataclass(frozen=True, slots=True)
class DisplayUnit:
    """Consecutive tokens shown as one: the tokens that together complete some characters.

    A character belongs to the token that completes it; tokens that complete nothing join the next
    one that does. The weight of a unit is the sum of its tokens' weights.
    """

    #: Positions [first, stop) in prompt + answer.
    first: int
    stop: int
    text: str
    special: bool = False
    #: The image whose patches the unit stands for, when a whole prompt is shown; such a unit has no weight of its own.
    image: int = -1


def display_units(tokens: Sequence[Token]) -> tuple[DisplayUnit, ...]:
    """Group `tokens` (consecutive text positions) into display units that cover all of them in order.

    Image patches are left out: they are shown on the image panel.
    """
    units: list[DisplayUnit] = []
    first: int | None = None
    pending = b""
    for number, token in enumerate(tokens):
        if token.role == "image" and token.image >= 0:
            continue
        if first is None:
            first, pending = token.position, b""
        pending += token.raw
        if token.piece or _nothing_follows(tokens, number):
            text = token.piece or "".join(f"<0x{byte:02X}>" for byte in pending)
            units.append(DisplayUnit(first, token.position + 1, text, token.special))
            first = None
    return tuple(units)


def unit_edges(units: Sequence[DisplayUnit]) -> Int[np.ndarray, "units 2"]:
    """First position and stop of every unit, for `unit_sums`."""
    return np.array([[unit.first, unit.stop] for unit in units], dtype=np.int64).reshape(-1, 2)


def unit_sums(weights: Float[np.ndarray, "positions"], edges: Int[np.ndarray, "units 2"]) -> Float[np.ndarray, "units"]:
    """Weight of each unit: the sum of its tokens' weights (a character's pieces are one thing to the reader).

    NaN where one of them is NaN: the sum is not known then.
    """
    if not edges.size:
        return np.zeros(0, dtype=np.float32)
    # One more entry, since a unit may stop where the weights do, and `reduceat` takes no index beyond the last.
    padded = np.append(weights, np.float32(0)).astype(np.float32)
    sums: Float[np.ndarray, "units"] = np.add.reduceat(padded, edges.ravel())[::2]
    return sums


def _nothing_follows(tokens: Sequence[Token], number: int) -> bool:
    """Whether the run of text ends here, so that a token without a piece has nothing to join."""
    following = tokens[number + 1] if number + 1 < len(tokens) else None
    return following is None or (following.role == "image" and following.image >= 0)
