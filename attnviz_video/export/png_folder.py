"""Coded frames → a folder of PNG files with an index, which takes its name when it is whole."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attnviz_video.errors import EncoderError
from attnviz_video.export.coders import Packet
from attnviz_video.export.mark import FRAME_INDEX
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.schedule import Schedule
from attnviz_video.files import ABANDONED, is_gone, machine, os_errors

#: Names sort as the frames follow each other, and are what `ffmpeg -i frame_%05d.png` asks for.
_NAME = re.compile(r"frame_\d{5,}\.png")


def frame_name(number: int) -> str:
    """File name of the frame shown as number `number`, counted from 1."""
    return f"frame_{number:05d}.png"


def is_own_name(name: str) -> bool:
    """Whether a folder of frames has files of that name."""
    return name == FRAME_INDEX or _NAME.fullmatch(name) is not None


def write_png_folder(
    packets: Iterable[Packet],
    path: Path,
    *,
    schedule: Schedule,
    steps: Sequence[int],
    metadata: VideoMetadata,
    on_frame: Callable[[int], None] | None = None,
) -> Path:
    """Write frames coded by `PngCoder` into the folder `path`, replacing an earlier one of ours.

    `frames.json` says for each file which answer token (`steps[frame]`, from 0) it shows and for how long, in seconds
    of whole container frames. Files of other names in an earlier folder are kept.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written; nothing is left behind.
        EncoderError: files are missing at the end.
    """
    starts = schedule.starts(schedule.fps)
    listed = []
    with _folder_beside(path) as partial:
        for number, packet in enumerate(packets, start=1):
            _write(partial / frame_name(number), packet)
            if on_frame is not None:
                on_frame(number)
        times = zip(schedule.frames, itertools.pairwise(starts), strict=True)
        for number, (frame, (begin, end)) in enumerate(times, start=1):
            seconds = round((end - begin) / schedule.fps, 6)
            listed.append({"file": frame_name(number), "step": steps[frame], "seconds": seconds})
        index = {"comment": metadata.comment, "title": metadata.title, "frames": listed}
        _write(partial / FRAME_INDEX, (json.dumps(index, indent=1) + "\n").encode("ascii"))
        found = sum(is_own_name(entry.name) and entry.stat().st_size > 0 for entry in os.scandir(partial)) - 1
        if found != len(schedule.frames):
            raise EncoderError(f"{path} holds {found} frames instead of {len(schedule.frames)}; nothing was kept")
    return path


def remove_left_folders(path: Path) -> None:
    """Remove the half folders of `path` that killed runs left."""
    name = rf"{re.escape(path.name)}\.([0-9a-f]{{8}})-([0-9a-f]{{8}})-[0-9a-f]{{4}}\.partial"
    with suppress(OSError):  # tidying up must not stop the work
        for entry in list(os.scandir(path.parent)):
            found = re.fullmatch(name, entry.name)
            if found is None:
                continue
            here = found[2] == machine()
            if (here and is_gone(int(found[1], 16))) or time.time() - entry.stat().st_mtime > ABANDONED:
                remove_own_files(Path(entry.path))


def remove_own_files(folder: Path) -> None:
    """Remove a folder of frames, but nothing in it that this program did not write."""
    for name in os.listdir(folder):
        if is_own_name(name):
            (folder / name).unlink()
    if not os.listdir(folder):
        folder.rmdir()


@contextmanager
def _folder_beside(path: Path) -> Iterator[Path]:
    """A folder beside `path` to write to; it takes that name when the block succeeds and is removed when it fails."""
    remove_left_folders(path)
    partial = path.with_name(f"{path.name}.{os.getpid():08x}-{machine()}-{uuid.uuid4().hex[:4]}.partial")
    former = partial.with_suffix(".being_replaced")
    try:
        with os_errors(path):
            partial.mkdir(parents=True)
            yield partial
            if path.is_file():
                path.unlink()
            if path.exists():
                os.rename(path, former)
            try:
                os.rename(partial, path)
            except BaseException:
                if former.exists():
                    os.rename(former, path)
                raise
            if former.exists():
                for name in os.listdir(former):
                    if not is_own_name(name):
                        shutil.move(former / name, path / name)
                remove_own_files(former)
    finally:
        if partial.exists():
            with suppress(OSError):
                remove_own_files(partial)


def _write(path: Path, data: Packet) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
