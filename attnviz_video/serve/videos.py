"""Videos of runs, made one at a time by a process of their own, so that neither generation nor pages wait for them."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from attnviz_video.config import RenderConfig, RunConfig, replace_settings, to_mapping
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.settings import ExportSettings
from attnviz_video.serve.events import EventLog
from attnviz_video.serve.runs import Run

#: Settings that a page may choose for a video.
CHOICES = (
    "layer_idx", "head", "colormap", "theme", "scale", "gamma", "sinks", "convention", "show_prompt", "token_style",
    "heat_alpha", "size", "layout", "tokens_per_second", "pace", "title", "caption",
)  # fmt: skip
_PROGRAM = "import sys; from attnviz_video.serve.video_worker import main; sys.exit(main())"


class BusyError(Exception):
    """The run's video is being made already."""


class Videos:
    """The videos that are asked for, in order; what their pages are told of them."""

    def __init__(self, config: RunConfig) -> None:
        """`config` says how a video looks where its page does not."""
        self._config = RenderConfig(
            analysis=config.analysis, render=config.render, export=ExportSettings(render_workers=1, overwrite=True)
        )
        self._logs: dict[str, EventLog] = {}
        self._orders: queue.Queue[tuple[Run, Mapping[str, object]] | None] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None
        self._making: Run | None = None
        self._closing = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._work, name="videos", daemon=True)

    def start(self) -> None:
        """Begin to take orders."""
        self._thread.start()

    def close(self) -> None:
        """End the process at work; nothing more is made."""
        with self._lock:
            self._closing = True
            self._kill()
        self._orders.put(None)

    def join(self, seconds: float) -> None:
        """Wait until the process is gone."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def log_of(self, run: Run) -> EventLog | None:
        """What was told about the video of a run since this server runs."""
        return self._logs.get(run.id)

    def busy(self, run: Run) -> bool:
        """Whether its video is being made, or waits to be."""
        log = self._logs.get(run.id)
        return log is not None and not log.closed

    def order(self, run: Run, choices: Mapping[str, Any]) -> None:
        """Make the video of a run that has ended.

        Raises:
            BusyError: it is being made.
            UsageError: a setting that is not known, or out of range.
        """
        unknown = [name for name in choices if name not in CHOICES]
        if unknown:
            raise UsageError(f"unknown field {unknown[0][:60]!r}; a video takes {', '.join(CHOICES)}")
        settings = to_mapping(replace_settings(self._config, choices))
        with self._lock:
            if self.busy(run):
                raise BusyError
            self._logs[run.id] = EventLog()
        self._orders.put((run, settings))

    def forget(self, run: Run) -> None:
        """Make no video of a run that is removed."""
        log = self._logs.pop(run.id, None)
        with self._lock:
            if self._making is run:
                self._kill()
        if log is not None:
            log.tell("failed", {"error": "the run was removed"}, last=True)

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _work(self) -> None:
        while True:
            order = self._orders.get()
            if order is None:
                return
            run, settings = order
            log = self._logs.get(run.id)
            if log is None or log.closed:
                continue
            error = self._make(run, settings, lambda told, log=log: log.tell("progress", told))  # type: ignore[misc]
            if error is None:
                log.tell("done", {"src": f"/api/runs/{run.id}/video.mp4"}, last=True)
            else:
                log.tell("failed", {"error": error}, last=True)

    def _make(self, run: Run, settings: Mapping[str, object], told: Callable[[Mapping[str, Any]], None]) -> str | None:
        """Make one video; what went wrong, None where nothing did."""
        order = {"trace": str(run.trace_folder), "output": str(run.video), "settings": settings}
        try:
            with self._lock:
                if self._closing:
                    return "the server is ending"
                process = self._process = start_worker()
                self._making = run
        except EnvironmentFault as fault:
            return str(fault)
        error: str | None = None
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(BrokenPipeError):  # it died: its exit code says so
                process.stdin.write(json.dumps(order, ensure_ascii=True))
                process.stdin.close()
            for line in process.stdout:
                with suppress(ValueError):
                    said = json.loads(line)
                    error = said.get("error", error)
                    if "done" in said:
                        told({"done": said["done"], "total": said["total"]})
            code = process.wait()
        finally:
            with self._lock:
                self._process, self._making = None, None
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        if code == 0 and run.video.is_file():
            return None
        return error or f"the video's process ended with code {code} before it was made; try again"


def start_worker() -> subprocess.Popen[str]:
    """A fresh Python process that waits for its order.

    Raises:
        EnvironmentFault: it cannot be started.
    """
    paths = [path or os.getcwd() for path in sys.path]
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"},
            process_group=0,  # Ctrl-C reaches the server only, which then ends it
        )
    except OSError as error:
        raise EnvironmentFault(f"cannot start a process for the video: {error.strerror or error}") from error
