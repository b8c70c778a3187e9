"""Settings of the interactive report."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True)
class ReportSettings:
    """What the report holds, and where it goes."""

    layer_idx: tuple[int, ...] | None = field(
        default=None,
        metadata={"help": "recorded layers to study; the page opens with the first (default: those of the trace)"},
    )
    report_layers: tuple[int, ...] | Literal["all"] | None = field(
        default=None,
        metadata={
            "help": "layers whose single heads the report holds: a list, or all (default: all recorded ones where they "
            "are small, else those of --layer_idx); the head mean of every recorded layer is always there"
        },
    )
    report_weights: Literal["auto", "exact", "short"] = field(
        default="auto",
        metadata={
            "help": "exact: weights as recorded (float16); short: 5 digits after the point, about half the size; "
            "auto: exact where the report stays small"
        },
    )
    output: Path | None = field(
        default=None,
        metadata={"help": "name of the report, ending in .html (default: beside the trace)", "short": "-o"},
    )
    overwrite: bool = field(
        default=False, metadata={"help": "replace a file of that name that this program did not write"}
    )
