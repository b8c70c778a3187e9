"""An MP4 that must not become larger than asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from attnviz_video.errors import UsageError
from attnviz_video.export.mp4 import VideoMetadata, write_mp4
from attnviz_video.export.schedule import Schedule
from attnviz_video.export.settings import ExportSettings
from attnviz_video.files import megabytes
from attnviz_video.render.settings import SIZES

#: The size of H.264 halves about every so many steps of crf (x264's own rule of thumb).
CRF_PER_HALVING = 6
#: Levels of small patches read back from a 720p video are off by 0.013 at crf 18, 0.028 at 24, 0.055 at 30 and 0.088 at
#: 36 (measured on a 30 x 30 grid over a grainy picture): above this they are no numbers any more.
WORST_CRF = 32
BYTES_PER_MB = 1_000_000
#: Frames up to this many pixels are not advised to be smaller: their small print would be lost.
_SMALL = SIZES["720p"][0] * SIZES["720p"][1]


class _TooLargeError(Exception):
    """The file has outgrown its limit; `expected` bytes is what all frames would take."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self.expected = expected


def write_limited_mp4(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    path: Path,
    *,
    size: tuple[int, int],
    settings: ExportSettings,
    metadata: VideoMetadata,
    schedule: Schedule,
    notice: Callable[[str], None],
    on_frame: Callable[[int], None] | None = None,
) -> Path:
    """As `write_mp4`, at the lowest crf from `crf` on with which the file takes at most `max_mb`.

    `frames` is iterated once for every attempt; an attempt ends as soon as the file is too large. `notice` hears of a
    crf other than the one asked for.

    Raises:
        UsageError: it does not fit at any crf that leaves the colours right.
        AttnVizError: as `write_mp4`.
    """
    n_frames = len(schedule.frames)

    def attempt(crf: int) -> Path:
        limit = None if settings.max_mb is None else int(settings.max_mb * BYTES_PER_MB)

        def check(written: int, n_bytes: int) -> None:
            if limit is not None and n_bytes > limit:
                raise _TooLargeError(n_bytes * n_frames // written)

        return write_mp4(
            frames, path, size=size, n_frames=n_frames, settings=replace(settings, crf=crf), metadata=metadata,
            on_frame=on_frame, schedule=schedule, on_size=check,
        )  # fmt: skip

    crf, worst = settings.crf, max(settings.crf, WORST_CRF)
    while True:
        try:
            attempt(crf)
        except _TooLargeError as error:
            assert settings.max_mb is not None
            if crf >= worst:
                raise UsageError(
                    f"{path} does not fit into --max_mb {settings.max_mb:g}: even at crf {crf}, beyond which "
                    f"weights cannot be read from its colours, it takes about {megabytes(error.expected)}; "
                    f"{advice(size, settings)}"
                ) from None
            excess = error.expected / (settings.max_mb * BYTES_PER_MB)
            crf = min(worst, crf + max(1, math.ceil(CRF_PER_HALVING * math.log2(max(excess, 1.0)))))
        else:
            if crf != settings.crf:
                notice(
                    f"--max_mb {settings.max_mb:g}: encoded at crf {crf} instead of {settings.crf}, "
                    "which makes its colours less exact"
                )
            return path


def advice(size: tuple[int, int], settings: ExportSettings) -> str:
    """What would make a video of `size` (width, height) fit, as far as it has not been done yet."""
    ways = ["raise --max_mb"]
    if size[0] * size[1] > _SMALL:
        named = "--size 720p" if size in (SIZES["1080p"], SIZES["4k"]) else "--width and --height"
        ways.append(f"make it smaller with {named}")
    if settings.pace == "token":
        ways.append("make it shorter with --pace word")
    if len(ways) == 1:
        ways.append("choose another --format, which has no such limit")
    return ", or ".join(ways)
