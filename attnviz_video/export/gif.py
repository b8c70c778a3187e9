"""Coded frames → animated GIF, written as they come (GIF89a)."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from attnviz_video.errors import EncoderError, UsageError
from attnviz_video.export.coders import PART, Packet
from attnviz_video.export.gif_palette import GifPalette
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.schedule import Schedule
from attnviz_video.files import megabytes, remove_left_over, temporary_beside

#: Shortest time of a frame in 1/100 s: browsers show shorter ones for 1/10 s.
LEAST_TIME = 2
#: Longest time that fits into the 16 bits of a frame.
MOST_TIME = 65535
#: What many places refuse (chat programs, issue trackers).
LARGE = 10_000_000
_KEEP_AND_TRANSPARENT = 1 << 2 | 1


def check_gif_times(path: Path, schedule: Schedule) -> None:
    """Refuse times that a GIF cannot have; call it before long work.

    Raises:
        UsageError: a frame would be shorter than 1/50 s or longer than 655 s.
    """
    times = [end - begin for begin, end in itertools.pairwise(schedule.starts(100))]
    if min(times) < LEAST_TIME:
        raise UsageError(
            f"{path}: a GIF shows at most 50 frames per second; lower --tokens_per_second {float(schedule.rate):g}"
        )
    if max(times) > MOST_TIME:
        raise UsageError(
            f"{path}: a GIF shows a frame for at most {MOST_TIME // 100} s; raise --tokens_per_second or shorten the "
            "holds"
        )


def write_gif(
    packets: Iterable[Packet],
    path: Path,
    *,
    size: tuple[int, int],
    palette: GifPalette,
    schedule: Schedule,
    metadata: VideoMetadata,
    notice: Callable[[str], None],
    on_frame: Callable[[int], None] | None = None,
) -> Path:
    """Write frames of `size` (width, height), coded by `GifCoder` with `palette`, as an endless animation.

    `notice` hears of a file that many places will refuse.

    Raises:
        UsageError: see `check_gif_times`.
        DiskFullError, EnvironmentFault: it cannot be written.
        EncoderError: the file does not read back as it was written.
    """
    check_gif_times(path, schedule)
    starts = schedule.starts(100)
    remove_left_over(path)
    with temporary_beside(path) as partial:
        with partial.open("xb") as file:
            # 0xF7: a common table of 256 colours.
            file.write(b"GIF89a" + struct.pack("<2H3B", *size, 0xF7, 0, 0) + palette.colors)
            file.write(b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")  # without end
            file.write(b"!\xfe" + _blocks(metadata.comment.encode("ascii", "replace")))
            for written, (packet, (begin, end)) in enumerate(zip(packets, itertools.pairwise(starts), strict=True), 1):
                control = struct.pack("<BHB", _KEEP_AND_TRANSPARENT, end - begin, palette.transparent)
                file.write(b"!\xf9\x04" + control + b"\0" + packet[PART.size :])
                if on_frame is not None:
                    on_frame(written)
            file.write(b";")
            n_bytes = file.tell()
            file.flush()
            os.fsync(file.fileno())
        check_reads_back(partial, path, len(schedule.frames))
    if n_bytes > LARGE:
        notice(
            f"{path} takes {megabytes(n_bytes)}, more than many places accept; "
            "--size 720p, --pace word or --format mp4 make it smaller"
        )
    return path


def check_reads_back(partial: Path, path: Path, n_frames: int) -> None:
    """Count the frames of a finished GIF by its blocks.

    Raises:
        EncoderError: it is damaged, or has another number of frames.
    """
    found = count_gif_frames(partial)
    if found != n_frames:
        raise EncoderError(f"{path} has {found} frames instead of {n_frames}; nothing was kept")


def count_gif_frames(path: Path) -> int:
    """Number of frames of a GIF; -1 where it is damaged."""
    count = 0
    with path.open("rb") as file:
        file.seek(13 + 256 * 3)
        while True:
            kind = file.read(1)
            if kind == b";":
                return count if not file.read(1) else -1
            if kind == b"!":
                file.seek(1, os.SEEK_CUR)
            elif kind == b",":
                file.seek(9 + 1, os.SEEK_CUR)
                count += 1
            else:
                return -1
            while length := file.read(1):
                if length == b"\0":
                    break
                file.seek(length[0], os.SEEK_CUR)


def _blocks(data: bytes) -> bytes:
    """`data` in blocks of at most 255 bytes."""
    parts = [data[start : start + 255] for start in range(0, len(data), 255)]
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
