"""`Step`: one generated token and the attention rows of the query that produced it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token the model could have written, with its raw probability (before temperature and top-p)."""

    id: int
    piece: str
    probability: float


@dataclass(frozen=True, slots=True)
class MaskedToken:
    """What an encoder would put in place of one mask token of its text."""

    position: int
    #: Likeliest first, with raw probabilities: a softmax over the whole vocabulary.
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, eq=False)
class StepScalars:
    """What is kept of every layer and head even where the row itself is not."""

    #: Share of the row that falls on the patches of each image.
    image_share: Float[np.ndarray, "layers heads images"]
    #: Weight of the very first position, the usual attention sink.
    first_token: Float[np.ndarray, "layers heads"]
    #: Shannon entropy of the row in nats.
    entropy: Float[np.ndarray, "layers heads"]
    maximum: Float[np.ndarray, "layers heads"]


@dataclass(frozen=True, eq=False)
class StepInfo:
    """The light part of a step: everything but the rows."""

    #: Number of the answer token, from 0. Its row belongs to the query at position n_prompt - 1 + index.
    index: int
    token_id: int
    #: Natural logarithm of the raw probability of the token that was produced.
    log_probability: float
    candidates: tuple[Candidate, ...]
    milliseconds: float
    #: False for steps before the start phrase, which have no rows and no scalars.
    recorded: bool = True
    #: First axis: all decoder layers of the trace header's `scalar_layers`.
    scalars: StepScalars | None = None


@dataclass(frozen=True, eq=False)
class StepRows:
    """The heavy part of a step; every row has n_prompt + index keys (see `StepInfo.index`)."""

    #: Decoder layer to the rows of its stored heads.
    heads: Mapping[int, Float[np.ndarray, "heads keys"]]
    #: Decoder layer to the mean over all its query heads.
    mean: Mapping[int, Float[np.ndarray, "keys"]]


@dataclass(frozen=True, eq=False)
class Step:
    """What the recorder yields for one generated token."""

    info: StepInfo
    #: None for steps before the start phrase.
    rows: StepRows | None


@dataclass(frozen=True, eq=False)
class PromptRows:
    """The rows of the prompt's own queries (all but its last, which is step 0; all in an encoding), of one layer."""

    layer: int
    #: float16 or float32; keys = n_prompt; entries above the diagonal are 0 in a causal model.
    heads: Float[np.ndarray, "heads queries keys"]
