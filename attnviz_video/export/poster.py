"""The poster: one frame of a video as a PNG beside it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from attnviz_video.analysis.scores import Scores
from attnviz_video.errors import UsageError
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.files import write_atomic


def poster_frame(scores: Scores, asked: Literal["auto"] | int) -> int:
    """The frame for the poster: step `asked` as the frames count them (from 1), or the one with most image attention.

    `auto` takes the earliest of equals; without images it is the last frame, on which the whole answer can be read.

    Raises:
        UsageError: there is no such step.
    """
    if asked == "auto":
        if not scores.trace.layout.images:
            return scores.n_frames - 1
        shares = [float(scores.image_share(number).sum()) for number in range(scores.n_frames)]
        return int(np.nan_to_num(np.array(shares), nan=-1.0).argmax())
    if not 1 <= asked <= scores.n_frames:
        raise UsageError(f"--poster {asked}: the video has steps 1 to {scores.n_frames}")
    return asked - 1


def write_poster(frame: UInt8[np.ndarray, "height width 3"], path: Path, metadata: VideoMetadata) -> Path:
    """Write one frame as PNG; the file carries the mark of its video.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    from PIL import Image, PngImagePlugin

    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", metadata.comment)
    words.add_itxt("Title", metadata.title.encode("utf-8", "replace").decode("utf-8"))
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, format="PNG", pnginfo=words)
    write_atomic(path, buffer.getvalue())
    return path
