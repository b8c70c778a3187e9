"""The waiting line: runs are answered one at a time, in the order they were asked, in a thread of their own."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from attnviz_video.errors import AttnVizError
from attnviz_video.progress import Progress
from attnviz_video.serve.live_recording import Recorder
from attnviz_video.serve.runs import Run, RunStore
from attnviz_video.serve.settings import MOST_WAITING

#: Seconds that a run goes on after its last listener has left: a page that is loaded again is back by then.
UNHEARD = 3.0
#: Seconds that a run waits in line without being asked for: browsers wake a hidden tab once a minute only. A tab that
#: is closed says so, and its run then has as long as one that is answered.
UNWANTED = 75.0


class LineFullError(Exception):
    """As many runs wait as may."""


class Line:
    """Runs that wait, and the one that is answered."""

    def __init__(
        self,
        recorder: Recorder,
        store: RunStore,
        progress: Progress,
        *,
        release: Callable[[], None] = lambda: None,
        busy: Callable[[Run], bool] = lambda run: False,
    ) -> None:
        """`release` lets go of the device's memory after a failure; `busy` runs are not removed yet."""
        self._recorder = recorder
        self._store = store
        self._progress = progress
        self._release = release
        self._busy = busy
        self._waiting: list[Run] = []
        self._running: Run | None = None
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="generation", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Ask for the end: what waits is dropped, what runs stops after its step. Does not wait."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            running = self._running
        if running is not None:
            running.stop.set()
        for run in self.waiting:
            self.stop(run)

    def join(self, seconds: float) -> None:
        """Wait until nothing runs any more."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    @property
    def running(self) -> Run | None:
        """The run that is answered now."""
        return self._running

    @property
    def waiting(self) -> tuple[Run, ...]:
        """Those that wait, the next one first."""
        with self._changed:
            return tuple(self._waiting)

    @property
    def full(self) -> bool:
        """Whether no more may wait."""
        return len(self._waiting) >= MOST_WAITING

    def place_of(self, run: Run) -> int | None:
        """0 for the run that is answered, 1 for the next …; None for one that has ended."""
        if run is self._running:
            return 0
        waiting = self.waiting
        return waiting.index(run) + 1 if run in waiting else None

    def submit(self, run: Run) -> None:
        """Put a run at the end of the line.

        Raises:
            LineFullError: as many wait as may.
        """
        with self._changed:
            if self.full or self._closing:
                raise LineFullError
            self._waiting.append(run)
            run.told_place = len(self._waiting)
            run.log.tell("queue", {"place": run.told_place})
            self._changed.notify_all()

    def stop(self, run: Run) -> None:
        """End a run: one that waits at once, one that is answered after its step; one that has ended stays as it is."""
        with self._changed:
            waited = run in self._waiting
            if waited:
                self._waiting.remove(run)
        if waited:
            self._tell_places()
            run.end("stopped")
        elif not run.ended:
            run.stop.set()

    def remove(self, run: Run) -> bool:
        """Delete a run with its files: at once, or when it has ended its step; whether it is gone already."""
        run.deleted = True
        self.stop(run)
        # Whoever is later, this or the end of the run, removes it.
        if run.ended:
            self._store.forget(run)
        return run.ended

    def drop_unheard(self) -> None:
        """End what nobody listens to any more: pages that were closed, or whose connection is gone."""
        now, running = time.monotonic(), self._running
        if running is not None and not running.listeners and now - running.seen > UNHEARD:
            running.stop.set()
        for run in self.waiting:
            if not run.listeners and now - run.seen > (UNHEARD if run.left else UNWANTED):
                self.stop(run)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                if self._closing:
                    return
                run = self._waiting.pop(0)
                self._running = run
                run.update(status="running")
                # A page that came back a moment ago has as long as one that is just leaving.
                run.seen = time.monotonic()
            self._tell_places()
            self._answer(run)

    def _answer(self, run: Run) -> None:
        ending: dict[str, Any] = {}

        def tell(name: str, data: Mapping[str, Any]) -> None:
            if name == "ending":
                ending.update(data)
            else:
                run.log.tell(name, data)

        error: str | None = None
        stopped = False
        try:
            stopped = self._recorder.record(run, tell, run.stop.is_set)
        except AttnVizError as fault:
            error = one_line(str(fault))
        except Exception as fault:
            error = one_line(f"{type(fault).__name__}: {fault}")
            self._progress.notice(f"run {run.id} failed:\n{traceback.format_exc()}")
        if error is not None:
            self._release()
        with self._changed:
            self._running = None
        if error is not None:
            run.end("failed", error)
        else:
            run.end("stopped" if stopped else "done", **ending)
        if run.deleted:
            self._store.forget(run)
        self._store.tidy(self._busy)

    def _tell_places(self) -> None:
        """Tell every page whose run has moved where it stands now."""
        running = self._running
        for run in (*([] if running is None else [running]), *self.waiting):
            place = self.place_of(run)
            if place is not None and place != run.told_place:
                run.told_place = place
                run.log.tell("queue", {"place": place})


def one_line(text: str) -> str:
    """`text` without line breaks."""
    return " ".join(text.split())
