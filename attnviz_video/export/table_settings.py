"""Settings of tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class TableSettings:
    """Which numbers are listed, and where they go."""

    layer_idx: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "recorded layers, one table each (default: those that the trace was made for)"},
    )
    head: str = field(default="mean", metadata={"help": "mean, max, or the number of a query head"})
    what: Literal["given", "weights", "received", "shares", "masked"] = field(
        default="given",
        metadata={
            "help": "given: the heaviest keys of every generated token; weights: the matrix, query by key; received: "
            "what every position got from the queries that see it (column sums); shares: where each row lies as a "
            "whole; masked: what an encoder would put in place of its mask tokens"
        },
    )
    queries: Literal["answer", "all"] = field(
        default="answer",
        metadata={"help": "rows of the answer's queries, or of the prompt's as well (--record_rows all records them)"},
    )
    steps: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "rows of these steps only, numbered as in the video's footer: 17 or 3,17; -1 is the last"},
    )
    words: bool = field(
        default=False,
        metadata={"help": "merge word pieces: their weights summed as keys, averaged as queries; a line per word"},
    )
    top_keys: int = field(default=5, metadata={"help": "keys per token of the table given"})
    format: Literal["text", "csv", "parquet", "json"] | None = field(
        default=None, metadata={"help": "how it is written (default: the ending of -o, else text on the terminal)"}
    )
    output: Path | None = field(
        default=None, metadata={"help": "file to write, ending in .csv, .parquet, .json or .txt", "short": "-o"}
    )
    overwrite: bool = field(default=False, metadata={"help": "replace the file of that name"})
