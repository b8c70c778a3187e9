"""Coded frames → animated WebP, written as they come (RIFF container: https://developers.google.com/speed/webp/docs)."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

from attnviz_video.errors import AttnVizError, EncoderError, UsageError
from attnviz_video.export.coders import PART, Packet
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.schedule import Schedule
from attnviz_video.files import remove_left_over, temporary_beside

#: Longest side of a WebP picture.
MOST_PIXELS = 16384
#: A RIFF file tells its size in 32 bits.
MOST_BYTES = 2**32 - 2
_ANIMATED, _EXIF, _ALPHA = 0x02, 0x08, 0x10
#: A frame is laid over what is there, where it is not transparent, and stays.
_BLEND = 0x00


def write_webp(
    packets: Iterable[Packet],
    path: Path,
    *,
    size: tuple[int, int],
    schedule: Schedule,
    metadata: VideoMetadata,
    on_frame: Callable[[int], None] | None = None,
) -> Path:
    """Write frames of `size` (width, height), coded by `WebpCoder`, as an endless animation.

    Raises:
        UsageError: too large for WebP.
        DiskFullError, EnvironmentFault: it cannot be written.
        EncoderError: the file does not read back as it was written.
    """
    if max(size) > MOST_PIXELS:
        raise UsageError(f"{path}: WebP pictures have at most {MOST_PIXELS} pixels a side; lower --width and --height")
    starts = schedule.starts(1000)
    remove_left_over(path)
    with temporary_beside(path) as partial:
        with partial.open("xb") as file:
            file.write(b"RIFF\0\0\0\0WEBP")
            flags = _ANIMATED | _EXIF | _ALPHA
            _chunk(file, b"VP8X", struct.pack("<I", flags) + _three(size[0] - 1) + _three(size[1] - 1))
            _chunk(file, b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0))  # white, without end
            for written, (packet, (begin, end)) in enumerate(zip(packets, itertools.pairwise(starts), strict=True), 1):
                left, top, width, height = PART.unpack_from(packet)
                place = _three(left // 2) + _three(top // 2) + _three(width - 1) + _three(height - 1)
                _chunk(file, b"ANMF", place + _three(end - begin) + bytes([_BLEND]) + bytes(packet[PART.size :]))
                if file.tell() > MOST_BYTES:
                    raise UsageError(f"{path} would be larger than the 4 GB a WebP can have; write an MP4")
                if on_frame is not None:
                    on_frame(written)
            _chunk(file, b"EXIF", _exif(metadata))
            n_bytes = file.tell()
            file.seek(4)
            file.write(struct.pack("<I", n_bytes - 8))
            file.flush()
            os.fsync(file.fileno())
        found = count_animation_frames(partial)
        if found != len(schedule.frames):
            raise EncoderError(f"{path} has {found} frames instead of {len(schedule.frames)}; nothing was kept")
    return path


def count_animation_frames(path: Path) -> int:
    """Number of frames of an animated WebP, by its chunks.

    Raises:
        EncoderError: it is cut, or no WebP.
    """
    with path.open("rb") as file:
        kind, size, form = struct.unpack("<4sI4s", file.read(12))
        n_bytes = path.stat().st_size
        if (kind, form, size + 8) != (b"RIFF", b"WEBP", n_bytes):
            raise EncoderError(f"{path} is damaged: it does not read back as a WebP of {n_bytes} bytes")
        count = 0
        while file.tell() < n_bytes:
            chunk, length = struct.unpack("<4sI", file.read(8))
            count += chunk == b"ANMF"
            file.seek(length + length % 2, os.SEEK_CUR)
        if file.tell() != n_bytes:
            raise EncoderError(f"{path} is damaged: its last chunk is cut")
    return count


def _chunk(file: BinaryIO, kind: bytes, data: bytes) -> None:
    file.write(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))


def _three(number: int) -> bytes:
    if not 0 <= number < 1 << 24:
        raise AttnVizError(f"{number} does not fit into the 24 bits of a WebP field")
    return number.to_bytes(3, "little")


def _exif(metadata: VideoMetadata) -> bytes:
    from PIL import ExifTags, Image

    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = metadata.comment
    return exif.tobytes().removeprefix(b"Exif\0\0")
