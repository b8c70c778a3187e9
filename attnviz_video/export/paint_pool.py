"""Painting in several processes: the frames come in order, a few at a time, and no process outlives the block.

Each worker is a fresh Python process with a pipe, like multiprocessing's "spawn", but it never runs the user's own
script again, so that a script without `if __name__ == "__main__"` and a notebook work as well. A worker whose parent is
gone ends at its next frame, since nobody reads its pipe.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from attnviz_video.errors import AttnVizError, EnvironmentFault
from attnviz_video.export.ffmpeg import QUOTED_LINES, ending, last_words
from attnviz_video.export.paint_worker import FAILURE, HEADER, Run, Work

if TYPE_CHECKING:
    from attnviz_video.analysis.scores import Scores
    from attnviz_video.export.coders import Coder
    from attnviz_video.render.settings import RenderSettings

#: Frames in a row that one worker codes where each needs the one before: the first of them is painted for that alone.
RUN_LENGTH = 8
#: Runs that wait to be written, per worker.
WAITING_RUNS = 2
_PROGRAM = "from attnviz_video.export.paint_worker import main; main()"


def worker_count(asked: int | None, n_frames: int) -> int:
    """How many processes `--render_workers` means: None is one, 0 one per core it may use, at most `n_frames`."""
    if asked is None:
        return 1
    if asked == 0:
        asked = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(asked, n_frames))


def runs_of(frames: Sequence[int], length: int) -> list[Run]:
    """`frames` in pieces of `length`, each with the frame before it."""
    return [
        Run(tuple(frames[start : start + length]), frames[start - 1] if start else -1)
        for start in range(0, len(frames), length)
    ]


class PaintPool:
    """Worker processes that paint and code `frames`; iterate over the pool within a `with` block, once."""

    def __init__(
        self, scores: Scores, settings: RenderSettings, coder: Coder, frames: Sequence[int], n_workers: int
    ) -> None:
        length = RUN_LENGTH if coder.needs_previous else 1
        self._runs = runs_of(frames, length)
        shares = [tuple(self._runs[number::n_workers]) for number in range(n_workers)]
        self._work = [Work(scores, settings, coder, share) for share in shares if share]
        self._waiting = WAITING_RUNS * length
        self._workers: list[_Worker] = []

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.pid for worker in self._workers]

    def __enter__(self) -> PaintPool:
        try:
            for work in self._work:
                self._workers.append(_Worker(work, self._waiting))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def __iter__(self) -> Iterator[bytearray]:
        """The coded frames in order.

        Raises:
            EnvironmentFault: a worker died.
            AttnVizError: what a worker raised.
        """
        for number, run in enumerate(self._runs):
            worker = self._workers[number % len(self._workers)]
            for frame in run.frames:
                yield worker.next_packet(frame)

    def _close(self) -> None:
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.close()


class _Worker:
    """One process with threads that hand it its work, empty its pipes and keep a few packets ready."""

    def __init__(self, work: Work, waiting: int) -> None:
        self._work = pickle.dumps(work, protocol=pickle.HIGHEST_PROTOCOL)
        paths = [path or os.getcwd() for path in sys.path]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                process_group=0,  # Ctrl-C reaches this program only, which then ends its workers
            )
        except OSError as error:
            raise EnvironmentFault(
                f"cannot start a render worker ({sys.executable}): {error.strerror or error}; use --render_workers 1"
            ) from error
        self._packets: queue.Queue[tuple[int, bytearray] | None] = queue.Queue(waiting)
        self._closing = threading.Event()
        self._last_lines: deque[bytes] = deque(maxlen=QUOTED_LINES)
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._feed, self._read, self._drain)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def next_packet(self, frame: int) -> bytearray:
        """The next coded frame, which is that of `frame`.

        Raises:
            EnvironmentFault: the process has ended before it came.
            AttnVizError: what the process raised instead.
        """
        item = self._packets.get()
        if item is None:
            code = self._process.wait()
            self._threads[-1].join()
            raise EnvironmentFault(
                f"a render worker {ending(code)} before frame {frame} was painted, nothing was kept; "
                f"its last words: {last_words(self._last_lines) or '(none)'}; "
                "where memory is short, use fewer --render_workers"
            )
        kind, data = item
        if kind == FAILURE:
            error = pickle.loads(data)
            raise error if isinstance(error, AttnVizError) else AttnVizError(f"a render worker failed: {error}")
        return data

    def kill(self) -> None:
        """End the process."""
        self._closing.set()
        if self._process.poll() is None:
            self._process.kill()

    def close(self) -> None:
        """Wait for what `kill` ended, and let go of its pipes."""
        self._process.wait()
        for thread in self._threads:
            while thread.is_alive():
                with contextlib.suppress(queue.Empty):
                    self._packets.get_nowait()  # a reader that waits for room
                thread.join(0.01)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(BrokenPipeError):
                if pipe is not None:
                    pipe.close()

    def _feed(self) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died: `next_packet` says so
            stdin.write(self._work)
            stdin.close()

    def _read(self) -> None:
        stdout = self._process.stdout
        assert isinstance(stdout, io.BufferedReader)
        while not self._closing.is_set():
            header = stdout.read(HEADER.size)
            if len(header) < HEADER.size:
                break
            kind, n_bytes = HEADER.unpack(header)
            data = bytearray(n_bytes)
            if stdout.readinto(data) < n_bytes:
                break
            self._packets.put((kind, data))
        self._packets.put(None)

    def _drain(self) -> None:
        assert self._process.stderr is not None
        self._last_lines.extend(self._process.stderr)
