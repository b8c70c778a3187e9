"""The program around the application: it listens until the first Ctrl-C, and then lets the running step finish."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from attnviz_video.capture.device_memory import release_memory
from attnviz_video.config import RunConfig
from attnviz_video.export.live_page import live_page
from attnviz_video.progress import Progress
from attnviz_video.serve.address import Address
from attnviz_video.serve.app import Live, application, make_live
from attnviz_video.serve.line import Line
from attnviz_video.serve.live_recording import Recorder
from attnviz_video.serve.runs import RunStore
from attnviz_video.serve.settings import ServeSettings
from attnviz_video.stopping import StopRequest

#: Seconds that open connections have to end once the server was asked to.
_GRACE = 5


class LiveServer(uvicorn.Server):
    """uvicorn, ended by this program's own signal handlers, which know a first request from a second."""

    def __init__(self, live: Live, address: Address, stop: StopRequest, on_ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            application(live, address),
            log_level="error",
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._live = live
        self._stop = stop
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are caught by whoever started us."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to end."""
        if self._stop.requested:
            self._live.close()
            return True
        return await super().on_tick(counter)


def serve(
    recorder: Recorder,
    config: RunConfig,
    settings: ServeSettings,
    bound: socket.socket,
    address: Address,
    progress: Progress,
    stop: StopRequest,
    on_ready: Callable[[], None],
) -> None:
    """Serve the live page until `stop` is requested; `on_ready` is called once it can be opened.

    Raises:
        UsageError, EnvironmentFault: see `RunStore`.
        Interrupted: a second signal came before everything had ended.
    """
    store = RunStore(settings.runs_dir, settings.keep)
    live = make_live(
        live_page(config.render), recorder, store, config, settings,
        line=lambda busy: Line(recorder, store, progress, release=release_memory, busy=busy),
    )  # fmt: skip
    with stop.finish_step():
        LiveServer(live, address, stop, on_ready).run(sockets=[bound])
