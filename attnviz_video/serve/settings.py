"""Settings of the live page."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: Runs that may wait at once; one more is refused.
MOST_WAITING = 16


@dataclass(frozen=True)
class ServeSettings:
    """Where the live page is served, and what it keeps."""

    host: str = field(
        default="127.0.0.1",
        metadata={
            "help": "address to listen on; any but this machine's own (127.0.0.1, localhost) can be reached from "
            "outside and needs a token, which is made up where --token gives none"
        },
    )
    port: int = field(default=8765, metadata={"help": "port to listen on; 0 is any free one"})
    token: str | None = field(
        default=None,
        metadata={"help": "secret that a browser must show once, in the address that is printed (default: none here)"},
    )
    max_upload_mb: float = field(default=25.0, metadata={"help": "largest request, images included, in megabytes"})
    runs_dir: Path = field(
        default=Path("runs/live"), metadata={"help": "folder of the recent runs; they survive a restart"}
    )
    keep: int = field(
        default=20,
        metadata={"help": "recent answers to keep, and as many next-token runs; older ones are removed from the disk"},
    )
