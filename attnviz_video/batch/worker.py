"""What runs in a process of the local pool: jobs come through a pipe, and what became of them goes back."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from types import FrameType

from attnviz_video.batch.carry_out import Worker
from attnviz_video.batch.jobs import Advanced, Job, WorkPlan
from attnviz_video.errors import Interrupted
from attnviz_video.stopping import StopRequest

#: Seconds between two messages about how far a job is.
TELL_EVERY = 0.25
_PR_SET_PDEATHSIG = 1


def serve(connection: Connection, plan: WorkPlan, number: int) -> None:
    """Carry out jobs until the other end closes.

    Ctrl-C reaches every process of a terminal, so SIGINT is left to the parent, which asks us to stop with SIGTERM.
    """
    stop = WorkerStop()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, stop.handle)
    try:
        # The parent had them blocked; one that has come since then ends us here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        die_with_parent()
        worker = Worker(plan, number)
        while not stop.requested:  # a request holds for this process: the next job gets another one
            job: Job = connection.recv()
            finished = worker.carry_out(job, Teller(connection, job), stop, stop.finish_step, stop.break_into)
            with stop.finish_step():
                connection.send(finished)
    except (EOFError, BrokenPipeError, ConnectionResetError, KeyboardInterrupt):
        pass  # the parent is gone, or wants us to go


class WorkerStop(StopRequest):
    """The request of the parent to end; a worker that waits or loads its model has nothing to finish or to tidy up."""

    def __init__(self) -> None:
        super().__init__()
        self._breakable = False

    @contextmanager
    def break_into(self) -> Iterator[None]:
        """Work inside the block is broken into by an `Interrupted`, and removes what it has half made."""
        self._breakable = True
        try:
            yield
        finally:
            self._breakable = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler.

        Raises:
            Interrupted: inside `break_into`, and at the second signal inside `finish_step`.
        """
        if not (self._breakable or self._finishing_step):
            # No exception: the import of a large library that is broken into tells of it on standard error.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        try:
            super().handle(number, frame)
        except Interrupted:
            self.requested = True
            raise


class Teller:
    """Tells the parent how far a job is, not too often."""

    def __init__(self, connection: Connection, job: Job) -> None:
        self._connection = connection
        self._job = job
        self._last = 0.0

    def __call__(self, description: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        if done and done != total and now - self._last < TELL_EVERY:
            return
        self._last = now
        self._connection.send(Advanced(self._job.number, description, done, total))


def die_with_parent() -> None:
    """End this process when its parent ends in whatever way; two runs must never work in one folder.

    Linux kills us itself. Elsewhere, and where a parent was gone before we asked, a thread waits for it. An ffmpeg that
    we feed ends when we do: its input is closed then.
    """
    parent = parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
