"""`Sample`: one item of a dataset, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class TruthBox:
    """A box that is known to hold what `phrase` names; (left, top, right, bottom) in pixels of image `image`."""

    phrase: str
    image: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Sample:
    """One question about some images."""

    index: int
    id: str
    problem: str
    image_paths: tuple[Path, ...]
    answer: str | None = None
    #: An existing response of a model (`pred`), for replay.
    response: str | None = None
    boxes: tuple[TruthBox, ...] = ()
    #: The fields of the item that this program does not interpret.
    extra: Mapping[str, object] = field(default_factory=dict)
    #: The file the item came from, for messages.
    source: str = ""
