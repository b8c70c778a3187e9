"""A row cut into its two regions: text positions, and the patches of each image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from attnviz_video.core.layout import Areas, TokenLayout
from attnviz_video.core.scores import FrameWeights


@dataclass(frozen=True, eq=False)
class Regions:
    """Where text and patches lie among the positions of prompt + answer.

    Image tokens that stand for no rectangle (vision start and end tags, row separators) are text.
    """

    #: True for text, one entry per position of prompt + answer.
    is_text: Bool[np.ndarray, "positions"]
    #: Positions of the patches of each image, in patch order.
    patches: tuple[Int[np.ndarray, "_"], ...]
    #: Which of the patches of each image are painted; by default a thumbnail beside tiles of the same image is not.
    painted: tuple[Bool[np.ndarray, "_"], ...]

    @property
    def n_positions(self) -> int:
        return int(self.is_text.shape[0])


def regions_of(layout: TokenLayout, n_positions: int, areas: Areas = "combined") -> Regions:
    """The regions of a prompt with `layout`, followed by answer tokens up to `n_positions` in all.

    `areas` says which patches of an image that was cut up are painted (see `core.layout.grid_groups`).
    """
    is_text = np.ones(n_positions, dtype=bool)
    is_text[: layout.n_prompt] = layout.patch_of < 0
    images = range(len(layout.images))
    patches = tuple(layout.patch_positions(image) for image in images)
    return Regions(is_text, patches, tuple(layout.is_painted(image, areas) for image in images))


def split_row(row: Float[np.ndarray, "keys"] | None, regions: Regions, step: int) -> FrameWeights:
    """The weights that the frame of answer token `step` shows; no row gives a frame without weights.

    Positions are kept apart even where their words are equal. Every weight of the row is in exactly one
    region, so text and images add up to the row's sum.
    """
    text = np.full(regions.n_positions, np.nan, dtype=np.float32)
    if row is None:
        nothing = tuple(np.full(positions.shape, np.nan, dtype=np.float32) for positions in regions.patches)
        return FrameWeights(step, text, nothing, has_row=False)
    seen = regions.is_text[: row.shape[0]]
    text[: row.shape[0]][seen] = row[seen]
    return FrameWeights(step, text, tuple(row[positions].astype(np.float32) for positions in regions.patches))
