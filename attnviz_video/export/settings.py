"""Settings of writing files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

#: Where `run` puts its results when nothing is said, from the working folder.
DEFAULT_FOLDER = Path("videos")


@dataclass(frozen=True)
class ExportSettings:
    """Where results go and how the video is encoded."""

    output_dir: Path | None = field(
        default=None,
        metadata={"help": f"folder for videos and traces (default: {DEFAULT_FOLDER}; of render: beside the trace)"},
    )
    output: Path | None = field(
        default=None, metadata={"help": "name of the video file (one layer only)", "short": "-o"}
    )
    overwrite: bool = field(
        default=False, metadata={"help": "replace a file of that name that this program did not write"}
    )
    pace: float = field(default=3.0, metadata={"help": "tokens per second"})
    fps: int = field(default=24, metadata={"help": "frames per second of the container"})
    crf: int = field(default=18, metadata={"help": "quality of the encoder, 0 (best) to 51"})

    @property
    def folder(self) -> Path:
        """Where a run puts its videos and traces."""
        return DEFAULT_FOLDER if self.output_dir is None else self.output_dir
