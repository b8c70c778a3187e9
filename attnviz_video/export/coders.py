"""What is done to a painted frame before it is written: nothing, or compressed as PNG, WebP or GIF.

A coder is a small value that can be sent to another process, and its result depends on the frame, and on the one shown
before, alone: so the bytes are the same whichever process makes them.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from attnviz_video.export.gif_palette import GifPalette, index_table

Packet = bytes | bytearray | memoryview
Frame = UInt8[np.ndarray, "height width 3"]
#: Left, top, width and height of the part of a frame that a packet holds; the compressed part follows.
PART = struct.Struct("<4I")
#: PNG's own compression (zlib): 4 is a quarter faster than 6 and 5 % larger.
PNG_LEVEL = 4
#: Quality that means lossless WebP.
LOSSLESS = 100
#: Effort of lossy WebP: more takes twice the time for 4 % less.
WEBP_EFFORT = 2
#: Effort of lossless WebP: less takes a fifth of the time for twice the bytes.
LOSSLESS_EFFORT = {"quality": 20, "method": 1}


@runtime_checkable
class Coder(Protocol):
    """Turns frames into bytes."""

    #: Whether a result holds only what differs from the frame shown before.
    needs_previous: ClassVar[bool]

    def code(self, frame: Frame, previous: Frame | None) -> bytes | memoryview:
        """The bytes of `frame`; `previous` is None for the first one."""
        ...


@dataclass(frozen=True)
class RawCoder:
    """The pixels as they are."""

    needs_previous: ClassVar[bool] = False

    def code(self, frame: Frame, previous: Frame | None) -> memoryview:
        """RGB, row by row."""
        return np.ascontiguousarray(frame).data.cast("B")


@dataclass(frozen=True)
class PngCoder:
    """A PNG file per frame."""

    needs_previous: ClassVar[bool] = False

    def code(self, frame: Frame, previous: Frame | None) -> bytes:
        """The whole file."""
        return _saved(frame, format="PNG", compress_level=PNG_LEVEL)


@dataclass(frozen=True)
class WebpCoder:
    """The changed part of a frame, after its place, as the chunk of a WebP image without its file header.

    Lossless, pixels within that part that have not changed are transparent, which compresses well.
    """

    #: 0 to 100; `LOSSLESS` keeps every pixel.
    quality: int
    needs_previous: ClassVar[bool] = True

    def code(self, frame: Frame, previous: Frame | None) -> bytes:
        """`PART` and the chunk of image data."""
        # Places in an animation are stored in steps of two pixels.
        left, top, width, height = changed_part(frame, previous, align=2)
        part = frame[top : top + height, left : left + width]
        if self.quality != LOSSLESS:
            file = _saved(part, format="WEBP", quality=self.quality, method=WEBP_EFFORT)
        elif previous is None:
            file = _saved(part, format="WEBP", lossless=True, **LOSSLESS_EFFORT)
        else:
            changed = (part != previous[top : top + height, left : left + width]).any(axis=2, keepdims=True)
            seen = np.concatenate([part * changed, changed * np.uint8(255)], axis=2)
            file = _saved(seen, format="WEBP", lossless=True, **LOSSLESS_EFFORT)
        return PART.pack(left, top, width, height) + webp_image_data(file)


@dataclass(frozen=True)
class GifCoder:
    """The changed part of a frame, after its place, as a GIF image descriptor and its data.

    Pixels within that part that have not changed are transparent, which compresses well.
    """

    palette: GifPalette
    needs_previous: ClassVar[bool] = True

    def code(self, frame: Frame, previous: Frame | None) -> bytes:
        """`PART` and the image descriptor with its data."""
        from PIL import Image

        left, top, width, height = changed_part(frame, previous, align=1)
        place = (slice(top, top + height), slice(left, left + width))
        table = index_table(self.palette)
        indexed = table.indices(frame[place])
        if previous is not None:
            indexed[indexed == table.indices(previous[place])] = self.palette.transparent
        picture = Image.frombytes("P", (width, height), indexed.tobytes())
        picture.putpalette(self.palette.colors)
        buffer = io.BytesIO()
        picture.save(buffer, format="GIF", optimize=False, interlace=0)
        data = gif_image_data(buffer.getvalue())
        # The descriptor's own place is that of a picture by itself.
        return PART.pack(left, top, width, height) + b"," + struct.pack("<2H", left, top) + data[5:]


def changed_part(frame: Frame, previous: Frame | None, *, align: int) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest part that holds all changed pixels; left and top in steps of `align`.

    At least one pixel, since an animation has a picture for every moment.
    """
    height, width = frame.shape[:2]
    if previous is None:
        return 0, 0, width, height
    differs = (frame != previous).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    if not rows.size:
        return 0, 0, 1, 1
    left, top = int(columns[0]) // align * align, int(rows[0]) // align * align
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def webp_image_data(file: bytes) -> bytes:
    """The chunk of a still WebP that holds its pixels, padded to an even length."""
    position = 12
    while file[position : position + 4] not in (b"VP8 ", b"VP8L"):
        position += 8 + int.from_bytes(file[position + 4 : position + 8], "little") + 1 & ~1
    length = int.from_bytes(file[position + 4 : position + 8], "little")
    return file[position : position + 8 + length] + b"\0" * (length % 2)


def gif_image_data(file: bytes) -> bytes:
    """The one image of a GIF file, from its descriptor to the end of its data (GIF89a, 20 to 22)."""
    position = 13 + (3 << (file[10] & 7) + 1 if file[10] & 0x80 else 0)
    while file[position : position + 1] == b"!":  # extensions
        position = _after_blocks(file, position + 2)
    flags = file[position + 9]
    # A table of its own would repeat the common one.
    start, table = position, 3 << (flags & 7) + 1 if flags & 0x80 else 0
    end = _after_blocks(file, position + 11 + table)
    descriptor = file[start : start + 9] + bytes([flags & ~0x87])
    return descriptor + file[start + 10 + table : end]


def _after_blocks(file: bytes, position: int) -> int:
    while file[position]:
        position += file[position] + 1
    return position + 1


def _saved(frame: UInt8[np.ndarray, "height width channels"], **settings: Any) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(buffer, **settings)
    return buffer.getvalue()
