"""Settings of writing a trace."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class TraceSettings:
    """How large a trace may become."""

    max_trace_gb: float = field(
        default=8.0, metadata={"help": "refuse a recording whose forecast exceeds this many GB"}
    )
