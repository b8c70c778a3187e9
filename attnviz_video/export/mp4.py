"""Frames → MP4, one frame at a time, verified before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from attnviz_video.errors import AttnVizError, EncoderError
from attnviz_video.export.chapters import chapter_arguments
from attnviz_video.export.ffmpeg import FfmpegProcess, count_frames, other_ffmpeg_hint
from attnviz_video.export.schedule import Schedule, even_schedule
from attnviz_video.export.setpts import tick_expression
from attnviz_video.export.settings import ExportSettings
from attnviz_video.files import prove_writable, remove_left_over, temporary_beside

#: RGB → YUV by the matrix of HD video, and the tags that say so. Untagged or BT.601 video shows (0,200,0) as (0,168,0);
#: the colours are the data. `setparams` is needed since the encoder's own options leave two of the tags unknown.
COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv{chroma}p,"
    "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
)
#: About what a frame takes at most: 33 kB at 1280 x 720 and crf 18, measured on noisy maps.
BYTES_PER_PIXEL = 0.04


@dataclass(frozen=True)
class VideoMetadata:
    """What the file says about itself."""

    title: str
    comment: str


def write_mp4(
    frames: Iterable[UInt8[np.ndarray, "height width 3"]],
    path: Path,
    *,
    size: tuple[int, int],
    n_frames: int,
    settings: ExportSettings,
    metadata: VideoMetadata,
    on_frame: Callable[[int], None] | None = None,
    schedule: Schedule | None = None,
    on_size: Callable[[int, int], None] | None = None,
) -> Path:
    """Encode `n_frames` RGB frames of `size` (width, height) to `path`, each shown as long as `schedule` says.

    Without a schedule all frames have the same time, 1 / `tokens_per_second` seconds. A frame is handed over before the
    next one is asked for, so the producer may reuse its array and memory stays bounded. `on_frame` hears the number of
    frames written so far, `on_size` the size of the unfinished file in bytes with it; either may raise. Nothing is
    under `path` until the file is whole.

    Raises:
        EncoderError: ffmpeg is missing, failed, or wrote another number of frames.
        DiskFullError: no room.
        EnvironmentFault: the folder cannot be written.
        AttnVizError: the producer gave other frames than it promised.
    """
    if n_frames < 1:
        raise AttnVizError(f"no frames to write to {path}")
    width, height = size
    padded = PaddedFrame(width, height)
    timing = even_schedule(n_frames, settings) if schedule is None else schedule
    remove_left_over(path)
    with temporary_beside(path) as partial:
        prove_writable(partial, path)
        arguments = encoder_arguments(padded.size, partial, settings, metadata, timing)
        with FfmpegProcess(arguments, path, needed_bytes=int(n_frames * width * height * BYTES_PER_PIXEL)) as ffmpeg:
            written = 0
            for frame in frames:
                check_frame(frame, size, written, n_frames)
                ffmpeg.write(padded.bytes_of(frame))
                written += 1
                if written == n_frames:
                    # The last frame once more, at the end of the video: only then is its own time known to ffmpeg.
                    ffmpeg.write(padded.bytes_of(frame))
                if on_frame is not None:
                    on_frame(written)
                if on_size is not None:
                    on_size(written, size_of(partial))
            if written != n_frames:
                raise AttnVizError(f"expected {n_frames} frames for {path}, got {written}")
            ffmpeg.finish()
        if on_size is not None:
            on_size(written, size_of(partial))
        check_count(partial, path, timing)
        flush_to_disk(partial)
    return path


class PaddedFrame:
    """Frames at even width and height, which 4:2:0 needs: padded by repeating the last row and column, never scaled."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width + width % 2, height + height % 2)
        self._buffer = np.empty((self.size[1], self.size[0], 3), dtype=np.uint8)

    def bytes_of(self, frame: UInt8[np.ndarray, "height width 3"]) -> memoryview:
        """The bytes of `frame`, padded; valid until the next call."""
        height, width = frame.shape[:2]
        if (width, height) == self.size:
            return np.ascontiguousarray(frame).data.cast("B")
        self._buffer[:height, :width] = frame
        self._buffer[height:, :width] = frame[-1:]
        self._buffer[:, width:] = self._buffer[:, width - 1 : width]
        return self._buffer.data.cast("B")


def encoder_arguments(
    size: tuple[int, int], target: Path, settings: ExportSettings, metadata: VideoMetadata, schedule: Schedule
) -> list[str]:
    """ffmpeg's arguments: every painted frame once, as raw RGB, in; H.264 at constant `fps` out."""
    return [
        *("-y", "-nostdin", "-loglevel", "error"),
        # One frame per tick as far as the input knows; `setpts` then puts each frame where the schedule has it.
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-video_size", f"{size[0]}x{size[1]}"),
        *("-framerate", str(schedule.fps), "-i", "pipe:0"),
        *chapter_arguments(schedule),
        # Converted once per painted frame, then repeated by the last filter: players do not like 3 frames per second.
        *("-map", "0:v:0", "-an", "-filter:v"),
        f"{COLOURS.format(chroma=settings.chroma)},setpts='{tick_expression(schedule)}',fps={schedule.fps}",
        *("-frames:v", str(schedule.n_ticks)),
        # Without B-frames: a player seeks to any of them at once, and files of equal size take a fifth less time.
        *("-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-crf", str(settings.crf)),
        *("-pix_fmt", f"yuv{settings.chroma}p"),
        # A key frame every two seconds, so that scrubbing is quick.
        *("-g", str(2 * schedule.fps), "-movflags", "+faststart"),
        *("-metadata", f"title={argument_text(metadata.title)}"),
        *("-metadata", f"comment={argument_text(metadata.comment)}"),
        *("-f", "mp4", os.fspath(target.absolute())),
    ]


def argument_text(text: str) -> str:
    """`text` as a process argument can carry it: no NUL, no lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def check_frame(frame: np.ndarray, size: tuple[int, int], number: int, n_frames: int) -> None:
    """Refuse a frame that would shift every byte after it.

    Raises:
        AttnVizError: wrong shape, wrong type, or one frame too many.
    """
    wanted = (size[1], size[0], 3)
    if number >= n_frames:
        raise AttnVizError(f"expected {n_frames} frames, got more")
    if frame.shape != wanted or frame.dtype != np.uint8:
        raise AttnVizError(f"frame {number}: expected uint8 {wanted}, got {frame.dtype} {frame.shape}")


def check_count(partial: Path, path: Path, schedule: Schedule) -> None:
    """Compare the number of frames in the file with that of the schedule.

    Raises:
        EncoderError: the video is too short or too long.
    """
    found = count_frames(partial)
    if found != schedule.n_ticks:
        raise EncoderError(
            f"ffmpeg reported success but {path} has {found} video frames instead of {schedule.n_ticks}; nothing was "
            f"kept{other_ffmpeg_hint()}"
        )


def size_of(partial: Path) -> int:
    """Bytes in a file that may not be there yet."""
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return 0


def flush_to_disk(path: Path) -> None:
    """Wait until the bytes of `path` are on the disk, so that the rename cannot come before them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
