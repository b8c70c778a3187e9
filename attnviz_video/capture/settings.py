"""Settings of generating an answer and recording its attention."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: Searched for when the user names no phrase.
DEFAULT_START_PHRASE = "Based on the following requirements"


@dataclass(frozen=True)
class CaptureSettings:
    """What is generated and what is kept of it."""

    layer_idx: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "layers to show, one video each: 20 or 10,20,30; negative counts from the end (default: 20)"},
    )
    layers: tuple[int, ...] | Literal["all"] = field(
        default=(), metadata={"help": "further layers to record head by head: a list, or all"}
    )
    heads: tuple[int, ...] | Literal["all"] = field(
        default="all", metadata={"help": "query heads to record: a list, or all"}
    )
    record_rows: Literal["answer", "all"] = field(
        default="answer", metadata={"help": "answer: rows of the generated tokens; all: the prompt's rows too"}
    )
    start_phrase: str | None = field(
        default=None,
        metadata={"help": f'show and record from this phrase on; "" is everything (default: "{DEFAULT_START_PHRASE}")'},
    )
    start_phrase_in: Literal["auto", "prompt", "answer"] = field(
        default="auto", metadata={"help": "where the phrase is searched; auto: in the prompt, then in the answer"}
    )
    answer: Literal["generate", "stored", "auto"] | None = field(
        default=None,
        metadata={
            "help": "generate: the model answers now; stored: replay the item's response; auto: stored where there is "
            "one (default: generate, or stored with a --response… flag)"
        },
    )
    response: str | None = field(default=None, metadata={"help": "replay this text instead of generating an answer"})
    response_ids: tuple[int, ...] | None = field(
        default=None, metadata={"help": "replay these token ids: exact, where the text would be tokenised again"}
    )
    replay_depth: Literal["full", "shown"] = field(
        default="full",
        metadata={
            "help": "full: all layers and the probabilities of the tokens; shown: stop after the last layer that is "
            "recorded head by head"
        },
    )
    max_new_tokens: int = field(default=512, metadata={"help": "longest answer, in tokens"})
    do_sample: bool = field(default=False, metadata={"help": "sample instead of taking the likeliest token"})
    temperature: float = field(default=1.0, metadata={"help": "sampling temperature"})
    top_p: float = field(default=1.0, metadata={"help": "nucleus of probability to sample from"})
    top_k: int = field(default=0, metadata={"help": "sample from this many likeliest tokens only; 0 is all"})
    seed: int = field(default=0, metadata={"help": "seed of sampling; kept in the trace"})
