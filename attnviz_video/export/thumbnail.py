"""The poster in small, for pages that show many."""

from __future__ import annotations

import io
from pathlib import Path

from attnviz_video.errors import EnvironmentFault
from attnviz_video.files import write_atomic

#: Pixels of the longer side.
SIZE = 560
_QUALITY = 80


def write_thumbnail(poster: Path, path: Path) -> Path:
    """Write the picture in `poster` to `path` as a WebP of at most `SIZE` pixels either way.

    Raises:
        DiskFullError: no room.
        EnvironmentFault: the poster cannot be read, or the thumbnail cannot be written.
    """
    from PIL import Image

    try:
        with Image.open(poster) as picture:
            picture.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, format="WEBP", quality=_QUALITY)
    except OSError as error:
        raise EnvironmentFault(f"cannot read the poster {poster}: {error.strerror or error}") from error
    write_atomic(path, buffer.getvalue())
    return path
