"""A lock file, so that two runs never write the same trace, or work in the same folder."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

from attnviz_video.errors import UsageError
from attnviz_video.files import os_errors

try:
    import fcntl
except ImportError:  # Windows has no fcntl: runs there are not kept apart.
    fcntl = None  # type: ignore[assignment]


class FolderLock:
    """Held from creation to `release`; the system drops it when the process dies, so a stale file is taken over."""

    def __init__(self, path: Path) -> None:
        """Take the lock `path`.

        Raises:
            UsageError: another run holds it.
            EnvironmentFault: the file cannot be written.
        """
        self.path = path
        #: Stands in the file as long as this lock is held, and never again.
        self.token = uuid.uuid4().hex
        with os_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        with os_errors(path):
            handle = _open_locked(path)
            self._handle: int | None = handle
            try:
                os.ftruncate(handle, 0)
                os.write(handle, f"{os.getpid()} {socket.gethostname()} {self.token}\n".encode())
                os.fsync(handle)  # other machines read it too
            except BaseException:
                self.release()
                raise

    def moved_to(self, path: Path) -> None:
        """The folder of the lock has another name now; the lock is held all the same."""
        self.path = path

    def release(self) -> None:
        """Give the lock back; more than once does no harm."""
        if self._handle is None:
            return
        self.path.unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = None


def token_in(path: Path) -> str | None:
    """The token of whoever holds the lock `path`, or held it when it died; None where nobody does.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        words = path.read_text("utf-8", errors="replace").split()
    except FileNotFoundError:
        return None
    return words[2] if len(words) == 3 else None


def _open_locked(path: Path) -> int:
    """A handle on `path` that holds its lock, opened again where the former holder removed the file meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            _lock(handle, path)
            if same_file(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle: int, path: Path) -> None:
    holder = _read_holder(path)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise _held(path, holder) from error
    except OSError as error:  # A file system without flock: the process number decides.
        if _alive(holder):
            raise _held(path, holder) from error


def _read_holder(path: Path) -> tuple[int, str] | None:
    """Process number and host in the lock file."""
    pid, host, *_ = [*path.read_text("utf-8", errors="replace").split(), "", ""]
    return (int(pid), host) if pid.isdecimal() else None


def _alive(holder: tuple[int, str] | None) -> bool:
    """Whether the holder still runs; one on another machine counts as running."""
    if holder is None:
        return False
    pid, host = holder
    if host != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def same_file(handle: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _held(path: Path, holder: tuple[int, str] | None) -> UsageError:
    who = f"process {holder[0]} on {holder[1]}" if holder else "a process that is just starting"
    gone = f" (or delete {path.name} if that machine is gone)" if holder and holder[1] != socket.gethostname() else ""
    return UsageError(
        f"another run is writing {path.with_suffix('')}: {who} holds {path.name}; "
        f"wait for it{gone}, or choose another place with --output_dir"
    )
