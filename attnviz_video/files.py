"""Writing files so that nothing is ever found under its final name unless it is whole."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnviz_video.errors import DiskFullError, EnvironmentFault

#: errno values that mean "no room": a full disk, a quota, a file-size limit.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def crc32(data: bytes) -> int:
    """CRC-32 of `data`, as stored in trace manifests."""
    return zlib.crc32(data) & 0xFFFFFFFF


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` as a whole: a temporary file beside it, fsync, rename.

    Raises:
        DiskFullError: no room; nothing is left behind.
        EnvironmentFault: the folder cannot be written.
    """
    with temporary_beside(path, len(data)) as partial, partial.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def temporary_beside(path: Path, needed_bytes: int | None = None) -> Iterator[Path]:
    """A name beside `path` to write to; renamed to `path` when the block succeeds, removed when it fails.

    The name ends like `path` does (`x.ab12.partial.mp4`), since encoders choose the container by it.

    Raises:
        DiskFullError, EnvironmentFault: for an `OSError` inside the block.
    """
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        with os_errors(path, needed_bytes):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def os_errors(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an `OSError` raised while writing `path` into a sentence the user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_full(path, needed_bytes) from error
        raise EnvironmentFault(
            f"cannot write {path}: {error.strerror or error}; choose another place with --output_dir"
        ) from error


def disk_full(path: Path, needed_bytes: int | None = None) -> DiskFullError:
    """The error for a full disk at `path`: what is needed (when known), what is free, what to do."""
    needs = f"needs about {megabytes(needed_bytes)}, " if needed_bytes is not None else ""
    return DiskFullError(
        f"disk full while writing {path}: {needs}free {megabytes(free_bytes(path))}; "
        "free some space or choose another place with --output_dir"
    )


def free_bytes(path: Path) -> int:
    """Free bytes on the file system that holds `path`, which need not exist yet."""
    place = path.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def megabytes(n_bytes: int) -> str:
    """A byte count as people read it: `12.3 MB`, `1.4 GB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes} B"


def inside(folder: Path, candidate: Path) -> bool:
    """Whether `candidate`, with links and `..` resolved, lies inside `folder`."""
    return candidate.resolve().is_relative_to(folder.resolve())
