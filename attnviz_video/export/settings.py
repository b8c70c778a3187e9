"""Settings of writing files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class ExportSettings:
    """Where results go and how the video is encoded."""

    output_dir: Path = field(default=Path("videos"), metadata={"help": "folder for videos and traces"})
    output: Path | None = field(
        default=None, metadata={"help": "name of the video file (one layer only)", "short": "-o"}
    )
    overwrite: bool = field(
        default=False, metadata={"help": "replace a file of that name that this program did not write"}
    )
    pace: float = field(default=3.0, metadata={"help": "tokens per second"})
    fps: int = field(default=24, metadata={"help": "frames per second of the container"})
    crf: int = field(default=18, metadata={"help": "quality of the encoder, 0 (best) to 51"})
