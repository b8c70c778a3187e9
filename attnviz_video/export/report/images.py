"""The images of a report as data URLs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path

from attnviz_video.errors import TraceError

#: A larger file is written again, at most `LONGEST_SIDE` pixels wide and high; the grid is in shares of the image.
MOST_BYTES = 1_500_000
LONGEST_SIDE = 2048
_QUALITY = 90


def image_sources(paths: Sequence[Path]) -> list[str]:
    """A data URL for each image file.

    Raises:
        TraceError: a file cannot be read.
    """
    return [_source(path) for path in paths]


def _source(path: Path) -> str:
    try:
        data = path.read_bytes()
        kind = "png"
        if len(data) > MOST_BYTES:
            data, kind = _smaller(data), "jpeg"
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error.strerror or error}); copy the trace again") from error
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _smaller(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()
