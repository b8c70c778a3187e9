"""Reading videos back: their frames and what they say about themselves."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from attnviz_video.export.ffmpeg import count_frames, ffmpeg_exe
from attnviz_video.export.mark import boxes


@dataclass(frozen=True)
class VideoFacts:
    """What a player learns about a video before it shows it."""

    #: (width, height).
    size: tuple[int, int]
    fps: Fraction
    n_frames: int
    duration_s: float
    codec: str
    pixel_format: str
    #: The parenthesis after the pixel format, e.g. "tv, bt709, progressive".
    colour_tags: str
    #: Whether the index stands before the pictures, so that playing can start at once.
    faststart: bool
    metadata: dict[str, str]


def probe(path: Path) -> VideoFacts:
    """Facts about a video, as ffmpeg reads them.

    Raises:
        ValueError: there is no video in the file.
    """
    said = run_ffmpeg(
        "-hide_banner", "-i", str(path.absolute()), "-map", "0:v:0", "-c", "copy", "-f", "null", "-"
    ).stderr.decode()
    stream = re.search(r"Video: (\w+).*?, (yuv\w+|rgb\w+|gbrp)\((.*?)\), (\d+)x(\d+)[ ,\[].*? ([\d.]+) fps", said)
    duration = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    if stream is None or duration is None:
        raise ValueError(f"no video in {path}:\n{said}")
    hours, minutes, seconds = duration.groups()
    with path.open("rb") as file:
        kinds = [kind for kind, _ in boxes(file)]
    return VideoFacts(
        size=(int(stream[4]), int(stream[5])),
        fps=Fraction(stream[6]),
        n_frames=count_frames(path),
        duration_s=int(hours) * 3600 + int(minutes) * 60 + float(seconds),
        codec=stream[1],
        pixel_format=stream[2],
        colour_tags=stream[3],
        faststart=kinds.index(b"moov") < kinds.index(b"mdat"),
        metadata=dict(re.findall(r"^    (\w+) *: (.*)$", said.partition("Output #0")[0], re.MULTILINE)),
    )


def iter_frames(path: Path, size: tuple[int, int]) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """The frames of a video one by one, RGB; `size` is (width, height)."""
    command = [ffmpeg_exe(), "-nostdin", "-v", "error", "-i", str(path.absolute()), "-map", "0:v:0"]
    # The way back from YUV uses the matrix that the file's tags name.
    command += ["-vf", "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp", "-fps_mode", "passthrough"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]
    n_bytes = size[0] * size[1] * 3
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        while len(data := process.stdout.read(n_bytes)) == n_bytes:
            yield np.frombuffer(data, dtype=np.uint8).reshape(size[1], size[0], 3)


def decode_mp4(path: Path) -> tuple[list[UInt8[np.ndarray, "height width 3"]], VideoFacts]:
    """All frames of a short video, with its facts."""
    facts = probe(path)
    return list(iter_frames(path, facts.size)), facts


def run_ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """ffmpeg's own words about a file."""
    command = [ffmpeg_exe(), "-nostdin", *arguments]
    return subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
