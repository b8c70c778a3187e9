"""Where a row's weight lies as a whole: on the text that is shown, on text that is not, on each image."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float

from attnviz_video.analysis.regions import Regions


@dataclass(frozen=True, eq=False)
class RowShares:
    """Shares of one row, sinks included; text and images together are 1. All NaN where there is no row."""

    #: On the text of the panel, from the start phrase to the end.
    shown: float
    #: On text that the panel does not show, such as the prompt before the start phrase.
    hidden: float
    images: Float[np.ndarray, "images"]
    #: The part of each image's share that lies on patches which are not painted; empty where all are.
    unpainted: Float[np.ndarray, "_"] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    #: Share of every patch, one array per image; empty where there is no row.
    patches: tuple[Float[np.ndarray, "_"], ...] = ()


def row_shares(
    row: Float[np.ndarray, "keys"] | None, regions: Regions, is_shown: Bool[np.ndarray, "positions"]
) -> RowShares:
    """The shares of `row`; values that no weight can have count as 0. A row of zeros has shares of 0."""
    if row is None:
        return RowShares(float("nan"), float("nan"), np.full(len(regions.patches), np.nan, dtype=np.float32))
    weights = np.where(np.isfinite(row) & (row > 0), row, 0.0).astype(np.float64)
    weights /= weights.sum() or 1.0
    text, shown = regions.is_text[: row.shape[0]], is_shown[: row.shape[0]]
    patches = tuple(weights[positions] for positions in regions.patches)
    unpainted: list[float] = []
    if not all(painted.all() for painted in regions.painted):
        unpainted = [own[~painted].sum() for own, painted in zip(patches, regions.painted, strict=True)]
    return RowShares(
        float(weights[text & shown].sum()),
        float(weights[text & ~shown].sum()),
        np.array([own.sum() for own in patches], dtype=np.float32),
        np.array(unpainted, dtype=np.float32),
        patches,
    )
