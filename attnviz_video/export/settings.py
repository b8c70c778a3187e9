"""Settings of writing files."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

#: What a video can be written as; the order is that of the help.
Format = Literal["mp4", "webp", "gif", "png"]

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
    format: tuple[Format, ...] | None = field(
        default=None,
        metadata={
            "help": "one or more of mp4, webp, gif and png (a folder of frames), separated by commas "
            "(default: what the name given with -o ends in, else mp4)"
        },
    )
    pace: Literal["token", "word"] = field(
        default="token",
        metadata={
            "help": "token: every token has its frame; word: the pieces of a word advance together, and the frame is "
            "that of its last piece, with the row of that piece alone: the rows of the others are not shown"
        },
    )
    tokens_per_second: float = field(default=3.0, metadata={"help": "words (with --pace word) or tokens per second"})
    hold_start: float = field(default=0.0, metadata={"help": "seconds that the first frame is held"})
    hold_end: float = field(default=1.0, metadata={"help": "seconds that the last frame is held"})
    hold_keywords: str = field(
        default="",
        metadata={
            "help": "words or phrases of the answer, separated by commas, at which the video is held for --hold_seconds"
        },
    )
    hold_segments: bool = field(
        default=True, metadata={"help": "hold for --hold_seconds where thinking ends and the final answer begins"}
    )
    hold_seconds: float = field(default=1.0, metadata={"help": "length of a hold at a keyword or a new segment"})
    fps: int = field(default=24, metadata={"help": "frames per second of the container"})
    crf: int = field(default=18, metadata={"help": "quality of the encoder, 0 (best) to 51"})
    chroma: Literal["420", "444"] = field(
        default="420",
        metadata={
            "help": "colour resolution of the MP4; 444 keeps small coloured letters exact, but browsers, QuickTime and "
            "PowerPoint do not play it"
        },
    )
    max_mb: float | None = field(
        default=None,
        metadata={"help": "largest size of the MP4 in megabytes; --crf is raised until it fits (default: no limit)"},
    )
    webp_quality: int = field(
        default=90,
        metadata={
            "help": "quality of WebP, 0 to 100; 100 is lossless: a quarter of the size for drawings, four times the "
            "size for photographs"
        },
    )
    poster: Literal["none", "auto"] | int = field(
        default="none",
        metadata={
            "help": "one frame as PNG beside the video: a step, counted from 1 as on the frames, or auto: the step "
            "with most image attention"
        },
    )
    render_workers: int | None = field(
        default=None,
        metadata={
            "help": "processes that paint and compress frames; 0: one per core (default: 1; of a batch, the cores that "
            "recording leaves)"
        },
    )

    @property
    def folder(self) -> Path:
        """Where a run puts its videos and traces."""
        return DEFAULT_FOLDER if self.output_dir is None else self.output_dir

    @property
    def rate(self) -> Fraction:
        """Frames per second that are painted, as an exact number."""
        return Fraction(self.tokens_per_second).limit_denominator(1000)
