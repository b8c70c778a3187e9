"""Writing files so that nothing is ever found under its final name unless it is whole."""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attnviz_video.errors import DiskFullError, EnvironmentFault

#: errno values that mean "no room": a full disk, a quota.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
#: A partial file that nobody wrote to for so long (seconds) is left over, whoever wrote it.
ABANDONED = 24 * 3600.0


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

    The name ends like `path` does (`x.….partial.mp4`), since encoders choose the container by it, and tells whose it is
    (`remove_left_over`).

    Raises:
        DiskFullError, EnvironmentFault: for an `OSError` inside the block.
    """
    with os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.{os.getpid():08x}-{machine()}-{uuid.uuid4().hex[:4]}.partial{path.suffix}")
    try:
        with os_errors(path, needed_bytes):
            yield partial
            os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def prove_writable(partial: Path, path: Path) -> None:
    """Make an empty file `partial` and remove it, before a program is started that would name `partial`, not `path`.

    Raises:
        EnvironmentFault: the folder of `path` is there but holds no files, as /proc.
        OSError: it cannot be made for another reason.
    """
    try:
        partial.touch(exist_ok=False)
    except FileNotFoundError as error:
        raise EnvironmentFault(
            f"cannot write {path}: no file can be made in {path.parent}; choose another place with --output_dir or -o"
        ) from error
    partial.unlink()


def remove_left_over(path: Path) -> None:
    """Remove the partial files of `path` that killed runs left: their process is gone, or long silent."""
    name = rf"{re.escape(path.stem)}\.([0-9a-f]{{8}})-([0-9a-f]{{8}})-[0-9a-f]{{4}}\.partial{re.escape(path.suffix)}"
    with suppress(OSError):  # tidying up must not stop the work
        for entry in list(os.scandir(path.parent)):
            found = re.fullmatch(name, entry.name)
            if found is None:
                continue
            here = found[2] == machine()
            if (here and is_gone(int(found[1], 16))) or time.time() - entry.stat().st_mtime > ABANDONED:
                os.unlink(entry.path)


def machine() -> str:
    """This machine or container in 8 hex digits: process numbers mean something on their own machine only."""
    return f"{crc32(socket.gethostname().encode('utf-8', 'surrogateescape')):08x}"


def is_gone(process: int) -> bool:
    """Whether no process of this machine has that number."""
    if os.name != "posix":  # there, the question would end the process
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


@contextmanager
def os_errors(path: Path, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an `OSError` raised while writing `path` into a sentence the user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_full(path, needed_bytes) from error
        if error.errno == errno.EFBIG:
            raise file_too_large(path, needed_bytes) from error
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


def file_too_large(path: Path, needed_bytes: int | None = None) -> DiskFullError:
    """The error where `path` may not become so large: what is needed (when known), the limit, what to do."""
    needs = f"needs about {megabytes(needed_bytes)}, " if needed_bytes is not None else ""
    limit = file_size_limit()
    what = (
        "the file system takes no larger file; choose another place with --output_dir"
        if limit is None
        else f"a file may have {megabytes(limit)} (ulimit -f); raise the limit"
    )
    return DiskFullError(f"file size limit while writing {path}: {needs}{what}")


def file_size_limit() -> int | None:
    """The bytes that the system lets this process write into one file; None where it sets no limit."""
    try:
        import resource
    except ImportError:  # Windows sets none
        return None
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return None if limit == resource.RLIM_INFINITY else limit


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
