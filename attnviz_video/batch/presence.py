"""Workers of a run that was killed are gone before another run works in its folder.

The lock of a run falls when its driver dies, and a worker may outlive it: an actor of a cluster by seconds. So every
worker holds a shared lock on a file beside that of the run as long as it lives, and who takes the run's lock waits
until nobody does. A worker that comes late, or lives where locks do not reach from machine to machine, is told by a
token: the lock file of the run holds that of the last run that took it, which a worker compares before each job and
each marker (the sequencers of Burrows, "The Chubby lock service for loosely-coupled distributed systems", OSDI 2006,
section 2.4).
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.batch.names import workers_file
from attnviz_video.errors import UsageError
from attnviz_video.files import is_gone, os_errors
from attnviz_video.tracefile.lock import same_file, token_in

try:
    import fcntl
except ImportError:  # Windows has no fcntl: only the token is compared there.
    fcntl = None  # type: ignore[assignment]

#: Seconds to wait for the workers of a killed run. A cluster ends actors within seconds; a machine that it lost, later.
PATIENCE = 60.0
#: Seconds between two looks.
LOOK_EVERY = 0.05
#: After so many seconds the user is told what is waited for.
TELL_AFTER = 1.0


@dataclass(frozen=True)
class Badge:
    """For which run a worker works; travels to the worker."""

    lock_file: Path
    #: What the lock file holds as long as that run may work (`FolderLock.token`).
    token: str

    def check(self) -> None:
        """Make sure that the run still has its folder for itself.

        Raises:
            UsageError: another run has taken it, or the lock was removed.
            EnvironmentFault: the lock cannot be read.
        """
        with os_errors(self.lock_file):
            if token_in(self.lock_file) == self.token:
                return
        raise UsageError(
            f"{self.lock_file} is not that of this run any more: it was deleted, or another run has taken the folder; "
            "see that one run works there, and run the same command again"
        )


class Presence:
    """A worker is there: held until the process ends, or `leave`."""

    def __init__(self, badge: Badge) -> None:
        """Announce a worker.

        Raises:
            UsageError: its run has the folder no more (see `Badge.check`).
            EnvironmentFault: the file cannot be written.
        """
        path = workers_file(badge.lock_file)
        with os_errors(path):
            handle = _open_shared(path)
        try:
            # Only now: a run that came between asking and announcing would not have waited for us.
            badge.check()
            with os_errors(path):
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        except BaseException:
            os.close(handle)
            raise
        self._handle: int | None = handle

    def leave(self) -> None:
        """The worker ends; more than once does no harm."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def wait_until_gone(
    path: Path, tell: Callable[[str], None] = lambda sentence: None, patience: float | None = None
) -> None:
    """Wait until no worker holds `path` (a `workers_file`), and remove it. Call it under the lock of the run.

    `tell` hears what is waited for where that takes longer.

    Raises:
        UsageError: after `patience` seconds (None: `PATIENCE`) there still are workers.
        EnvironmentFault: the file cannot be opened.
    """
    patience = PATIENCE if patience is None else patience
    with os_errors(path):
        try:
            handle = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            return
    try:
        begin, told = time.monotonic(), False
        while not _nobody_holds(handle):
            waited = time.monotonic() - begin
            if waited >= patience:
                raise UsageError(
                    f"workers of a run that was killed still work in {path.parent} after {patience:.0f} s: "
                    f"{_listed(path)}; end them, or wait, and run the same command again"
                )
            if waited >= TELL_AFTER and not told:
                tell(f"waiting for the workers of a run that was killed to end: {_listed(path)}")
                told = True
            time.sleep(LOOK_EVERY)
        path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _open_shared(path: Path) -> int:
    """A handle on `path` with a shared lock, opened again where the file was removed meanwhile."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644)
        try:
            if fcntl is not None:
                with suppress(OSError):  # a file system without flock: the token has to do
                    fcntl.flock(handle, fcntl.LOCK_SH)
            if same_file(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _nobody_holds(handle: int) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without flock: nobody can tell
        return True
    return True


def _listed(path: Path) -> str:
    """Who has announced itself and may still live, as far as it fits into a sentence."""
    found = []
    with suppress(OSError):
        for line in path.read_text("utf-8", errors="replace").splitlines():
            number, _, host = line.removeprefix("process ").partition(" on ")
            if not (host == socket.gethostname() and number.isdecimal() and is_gone(int(number))):
                found.append(line)
    return ", ".join(found[-4:]) or "they have not said which"
