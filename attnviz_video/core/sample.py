"""`Sample`: one item of a dataset, as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Fields of a dataset item where an existing response is looked for when none is named, in this order.
RESPONSE_FIELDS = ("pred", "prediction", "response", "output")


@dataclass(frozen=True)
class TruthBox:
    """A box that is known to hold what `phrase` names; (left, top, right, bottom) in pixels of image `image`."""

    phrase: str
    image: int
    box: tuple[float, float, float, float]


#: Field of a dataset item with the second sentence of a pair, for encoders.
PAIR_FIELD = "question_pair"


def is_token_ids(value: object) -> bool:
    """Whether a field of a dataset item holds a list of token ids, as an engine reports a response."""
    return isinstance(value, list) and all(type(token) is int for token in value)


@dataclass(frozen=True)
class Sample:
    """One question about some images."""

    index: int
    id: str
    problem: str
    image_paths: tuple[Path, ...]
    answer: str | None = None
    #: The text of an existing response of a model (`pred`), for replay; token ids stand in `extra`.
    response: str | None = None
    boxes: tuple[TruthBox, ...] = ()
    #: The fields of the item that this program does not interpret.
    extra: Mapping[str, object] = field(default_factory=dict)
    #: The file the item came from, for messages.
    source: str = ""


def second_text(sample: Sample) -> str | None:
    """The second sentence of a pair, for encoders: what the item has under `PAIR_FIELD`; None where it has none."""
    found = sample.extra.get(PAIR_FIELD)
    return found if isinstance(found, str) else None
