"""The mark in our own videos: how a file of an earlier run is told from a file of somebody else."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from attnviz_video.core.trace import TraceHeader

#: First word of the comment that ffmpeg writes into `moov/udta/meta/ilst/©cmt`; a JSON object follows.
MARK = b"attnviz_video {"
#: More than any comment of ours: a larger `moov` is searched all the same, but not read past this size.
MOOV_LIMIT = 64 * 1024 * 1024
#: The mark of a GIF, PNG or WebP stands within so many bytes of the start or the end.
EDGE = 64 * 1024
#: The file in a folder of frames that says what they are.
FRAME_INDEX = "frames.json"


@dataclass(frozen=True)
class VideoMark:
    """Which recording a video shows."""

    sample: str
    #: Last part of the model's path or hub id: videos are published, folders of the user's machine are not.
    model: str
    layer: int
    #: Tells recordings apart whose names agree.
    key: str

    def comment(self) -> str:
        """The text of the mark; ASCII, so that it stands in the file byte for byte."""
        fields = {"sample": self.sample, "model": self.model, "layer": self.layer, "key": self.key}
        return f"attnviz_video {json.dumps(fields)}"


def mark_of(header: TraceHeader, layer: int) -> VideoMark:
    """The mark of the video of one layer of a trace."""
    model, sample = header.model, header.sample
    identity = json.dumps([model.id, model.revision, model.config_hash, sample.source, sample.index, sample.id])
    return VideoMark(
        sample=sample.id,
        model=model.id.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or model.id,
        layer=layer,
        key=hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16],
    )


def read_mark(path: Path) -> VideoMark | None:
    """The mark of the output at `path` (a file, or a folder of frames); None where it is not one of ours."""
    if path.is_dir():
        return _mark_of_folder(path / FRAME_INDEX)
    with path.open("rb") as file:
        start = file.read(12)
        if start.startswith((b"GIF89a", b"\x89PNG\r\n", b"RIFF")):
            # There the mark stands near the start or, of a WebP, in the last chunk.
            file.seek(0)
            first = file.read(EDGE)
            file.seek(max(0, path.stat().st_size - EDGE))
            return parse_mark(file.read(EDGE) if start.startswith(b"RIFF") else first)
        return parse_mark(next((body for kind, body in boxes(file) if kind == b"moov"), b""))


def _mark_of_folder(index: Path) -> VideoMark | None:
    """The mark in the index of a folder of frames."""
    try:
        return parse_mark(str(json.loads(index.read_bytes())["comment"]).encode("utf-8", "replace"))
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None


def parse_mark(data: bytes) -> VideoMark | None:
    """The mark within some bytes."""
    start = data.find(MARK)
    if start < 0:
        return None
    text = data[start + len(MARK) - 1 :].decode("utf-8", "replace")
    try:
        fields, _ = json.JSONDecoder().raw_decode(text)
        return VideoMark(str(fields["sample"]), str(fields["model"]), int(fields["layer"]), str(fields["key"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def boxes(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the top-level boxes of an MP4 (ISO/IEC 14496-12, 4.2); content only of `moov`.

    Stops at the first thing that is not a box, so any file may be given.
    """
    end = file.seek(0, 2)
    position = 0
    while position + 8 <= end:
        file.seek(position)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1 and position + 16 <= end:  # a 64-bit size follows
            (size,) = struct.unpack(">Q", file.read(8))
            header = 16
        elif size == 0:  # up to the end of the file
            size = end - position
        if size < header or position + size > end:
            return
        yield kind, file.read(min(size - header, MOOV_LIMIT)) if kind == b"moov" else b""
        position += size
