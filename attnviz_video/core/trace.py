"""`TraceData`: a recorded generation, or one pass over a text, wherever its rows are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.sample import Sample
from attnviz_video.core.step import MaskedToken, StepInfo
from attnviz_video.core.tokens import Token

TraceKind = Literal["generation", "replay", "encoding"]
TraceStatus = Literal["running", "complete", "failed"]


@dataclass(frozen=True)
class ModelIdentity:
    """Which model wrote the answer, and how it ran."""

    id: str
    revision: str
    model_type: str
    config_hash: str
    processor_hash: str
    template_hash: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    #: Kind of every decoder layer: "full", "window 4096", "linear" …
    layer_kinds: tuple[str, ...]
    dtype: str
    #: "cuda:0", or all of them where the model was spread: "cuda:0, cuda:1".
    device: str
    attention: str
    #: Number of tokens that the probabilities are spread over: the model's output size. 0 where unknown.
    vocab_size: int = field(default=0, metadata={"later": "manifests without it are read"})
    #: Class of the tokenizer, and how many tokens it knows; "" and 0 where unknown.
    tokenizer_class: str = field(default="", metadata={"later": "manifests without it are read"})
    tokenizer_size: int = field(default=0, metadata={"later": "manifests without it are read"})

    @property
    def short_name(self) -> str:
        """Owner and name of a hub id, or the last two folders of a path: what a published picture may say."""
        parts = [part for part in self.id.replace("\\", "/").split("/") if part not in ("", ".", "..")]
        return "/".join(parts[-2:]) or self.id


@dataclass(frozen=True)
class StartPoint:
    """Where showing and recording start."""

    phrase: str
    #: "prompt", "answer", or "none" when everything is recorded (`""`, or the built-in phrase found nowhere).
    found_in: Literal["prompt", "answer", "none"]
    #: First position (in prompt + answer) that the text panel shows.
    first_shown: int
    #: First answer token that has rows.
    first_step: int


@dataclass(frozen=True)
class TraceHeader:
    """What a trace says about itself; stored in its manifest."""

    model: ModelIdentity
    sample: Sample
    rendered_prompt: str
    start: StartPoint
    #: Layers whose stored heads (`heads`) are kept one by one.
    head_layers: tuple[int, ...]
    #: Numbers of the query heads kept in `head_layers`.
    heads: tuple[int, ...]
    #: Layers whose mean over all heads is kept.
    mean_layers: tuple[int, ...]
    #: Layers whose scalars are kept, in the order of the scalars' first axis.
    scalar_layers: tuple[int, ...]
    kind: TraceKind = "generation"
    query_rows: Literal["answer", "all"] = "answer"
    generation: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    #: Layers the recording was made for, in the order asked; () where unknown: then all of `head_layers`.
    shown_layers: tuple[int, ...] = field(default=(), metadata={"later": "manifests without it are read"})


@runtime_checkable
class RowStore(Protocol):
    """Where the rows of a trace are kept: on disk, or in memory in tests."""

    def head_rows(self, step: int, layer: int) -> Float[np.ndarray, "heads keys"]:
        """Rows of the stored heads of `layer` at `step`, float32; `layer` is one of the header's `head_layers`."""
        ...

    def mean_row(self, step: int, layer: int) -> Float[np.ndarray, "keys"]:
        """Mean over all heads of `layer` at `step`, float32; `layer` is one of the header's `mean_layers`."""
        ...

    def prompt_rows(self, layer: int) -> Float[np.ndarray, "heads queries keys"]:
        """Rows of the prompt's queries of `layer`, float32; only where `query_rows` is "all".

        All but its last query, which is step 0; in an encoding all of them, each over all keys.
        """
        ...


@dataclass(frozen=True, eq=False)
class TraceData:
    """One recorded generation: who, what was written, and where it looked.

    An encoding is one pass of an encoder over a text: the text is the prompt, there are no steps, and every query sees
    every key, those after it included.
    """

    header: TraceHeader
    layout: TokenLayout
    #: Every prompt and answer position, in order.
    tokens: tuple[Token, ...]
    #: Empty in an encoding.
    steps: tuple[StepInfo, ...]
    rows: RowStore
    #: The images as the model saw them before resizing (upright, RGB), one PNG per image.
    image_files: tuple[Path, ...]
    status: TraceStatus = "complete"
    #: What an encoder puts in place of the mask tokens of its text, by position; empty in a generation.
    masked: tuple[MaskedToken, ...] = ()

    @property
    def n_prompt(self) -> int:
        return self.layout.n_prompt

    @property
    def answer_text(self) -> str:
        """The generated text, special tokens included."""
        return "".join(token.piece for token in self.tokens[self.n_prompt :])

    @property
    def is_encoding(self) -> bool:
        """Whether this is one pass over a text, and no generation."""
        return self.header.kind == "encoding"

    @property
    def n_queries(self) -> int:
        """Number of queries of prompt and answer: each has a row where all rows were recorded.

        The last token of a generation has none, since nothing was written from it.
        """
        return len(self.tokens) if self.is_encoding else max(0, self.n_prompt - 1 + len(self.steps))

    def n_keys(self, step: int) -> int:
        """Number of keys of the row of `step`: those up to its query; all of them in an encoding."""
        return len(self.tokens) if self.is_encoding else self.n_prompt + step

    def query_of(self, step: int) -> int:
        """Position of the query whose row `step` has; in an encoding (`analysis.encoding`) the step's own token."""
        return step if self.is_encoding else self.n_prompt - 1 + step

    def seen_keys(self, query: int) -> int:
        """Number of keys that the query at position `query` sees: those up to it; all of them in an encoding."""
        return len(self.tokens) if self.is_encoding else query + 1
