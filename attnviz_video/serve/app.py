"""Which address gives what. Handlers only look things up; generation, reports and videos run elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from attnviz_video.config import RunConfig
from attnviz_video.errors import AttnVizError, EnvironmentFault
from attnviz_video.serve.address import Address
from attnviz_video.serve.asked import SETTINGS, Desk, most_characters
from attnviz_video.serve.downloads import report_of, thumbnail_of, zipped
from attnviz_video.serve.events import KEEP_ALIVE, EventLog
from attnviz_video.serve.form import json_object, read_fields
from attnviz_video.serve.guard import Guard, sentence
from attnviz_video.serve.line import Line, LineFullError
from attnviz_video.serve.live_recording import Recorder
from attnviz_video.serve.runs import Run, RunStore
from attnviz_video.serve.settings import MOST_WAITING, ServeSettings
from attnviz_video.serve.videos import BusyError, Videos

#: Seconds between two looks at who still listens.
_WATCH_EVERY = 0.25
#: Seconds that the last step and a video's process are waited for at the end.
_PATIENCE = 10.0
_TAB = "x-attnviz-tab"
_NO_RUN = "this run is not here any more: it was deleted, or newer runs have taken its place"
_EVENT_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True, eq=False)
class Live:
    """Everything the addresses lead to."""

    page: str
    recorder: Recorder
    store: RunStore
    line: Line
    desk: Desk
    videos: Videos
    config: RunConfig
    settings: ServeSettings
    keep_alive: float = KEEP_ALIVE
    #: Questions are looked at one at a time; those that wait for that take no thread.
    looking: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(1))

    def close(self) -> None:
        """Ask everything that runs to end; streams end with their runs."""
        self.line.close()
        self.videos.close()


def make_live(
    page: str,
    recorder: Recorder,
    store: RunStore,
    config: RunConfig,
    settings: ServeSettings,
    *,
    line: Callable[[Callable[[Run], bool]], Line],
) -> Live:
    """The parts, put together; `line` makes the waiting line, given which runs must not be removed yet."""
    videos = Videos(config)
    waiting = line(videos.busy)
    return Live(page, recorder, store, waiting, Desk(recorder, store, waiting), videos, config, settings)


def application(live: Live, address: Address) -> ASGIApp:
    """The application behind its guard."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        live.line.start()
        live.videos.start()
        watching = asyncio.create_task(_watch(live))
        try:
            yield
        finally:
            watching.cancel()
            live.close()
            await run_in_threadpool(live.line.join, _PATIENCE)
            await run_in_threadpool(live.videos.join, _PATIENCE)
            live.store.close()

    pages = Pages(live)
    run = "/api/runs/{id}"
    routes = [
        Route("/", pages.page),
        Route("/favicon.ico", pages.nothing),
        Route("/api/state", pages.state),
        Route("/api/runs", pages.ask, methods=["POST"]),
        Route(run, pages.run),
        Route(run, pages.forget, methods=["DELETE"]),
        Route(f"{run}/events", pages.events),
        Route(f"{run}/stop", pages.stop, methods=["POST"]),
        Route(f"{run}/leave", pages.leave, methods=["POST"]),
        Route(f"{run}/report", pages.report),
        Route(f"{run}/trace.zip", pages.trace),
        Route(f"{run}/images/{{number:int}}", pages.image),
        Route(f"{run}/video", pages.order_video, methods=["POST"]),
        Route(f"{run}/video/events", pages.video_events),
        Route(f"{run}/video.mp4", pages.video),
    ]
    handlers: dict[Any, Any] = {
        HTTPException: _refused, AttnVizError: _fault, LineFullError: _full, BusyError: _busy, Exception: _bug,
    }  # fmt: skip
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers)
    return Guard(app, address, int(live.settings.max_upload_mb * 1e6))


async def _watch(live: Live) -> None:
    while True:
        await asyncio.sleep(_WATCH_EVERY)
        await run_in_threadpool(live.line.drop_unheard)


async def _refused(request: Request, error: HTTPException) -> Response:
    where = f"{request.method} {request.url.path[:200]}"
    if error.detail == HTTPStatus.NOT_FOUND.phrase:
        return sentence(404, f"there is nothing at {where}")
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return sentence(405, f"{where} is not possible")
    return sentence(error.status_code, str(error.detail))


async def _fault(request: Request, error: AttnVizError) -> Response:
    del request
    status = 503 if isinstance(error, EnvironmentFault) else 422
    return sentence(status, " ".join(str(error).split()))


async def _full(request: Request, error: Exception) -> Response:
    del request, error
    return sentence(409, f"{MOST_WAITING} runs wait already; wait for one of them to end")


async def _busy(request: Request, error: Exception) -> Response:
    del request, error
    return sentence(409, "the video of this run is being made already")


async def _bug(request: Request, error: Exception) -> Response:
    del request
    return sentence(500, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}; this is a bug of ours")


class Pages:
    """The handlers."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def page(self, request: Request) -> Response:
        """The page itself."""
        del request
        return HTMLResponse(self._live.page, headers={"cache-control": "no-store"})

    async def nothing(self, request: Request) -> Response:
        """No icon."""
        del request
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        """The model, the defaults, who waits, and the recent runs."""
        live, tab = self._live, request.headers.get(_TAB, "")
        running, capture = live.line.running, live.config.capture
        model = live.recorder.describe()
        defaults = {name: getattr(capture, name) for name in SETTINGS if name != "layer_idx"}
        queued = [run for run in (running, *live.line.waiting) if run is not None]
        return answer(
            {
                "model": model,
                "settings": defaults | {"layer_idx": model["layer"], "system": live.config.model.system_prompt},
                "limits": {
                    "max_upload_mb": live.settings.max_upload_mb,
                    "queue": MOST_WAITING,
                    "keep": live.settings.keep,
                    "context": model.get("context"),
                    "characters": most_characters(model.get("context")),
                },
                "queue": [
                    {"id": run.id, "label": run.asked.label, "mine": bool(tab) and run.tab == tab}
                    for run in queued
                    if not run.deleted
                ],
                "running": None if running is None else running.id,
                "runs": [run.summary() for run in live.store.runs],
            }
        )

    async def ask(self, request: Request) -> Response:
        """Put a question in the line."""
        fields = await read_fields(request)
        tab = request.headers.get(_TAB, "")
        run = await run_sync(self._live.desk.accept, fields, tab, limiter=self._live.looking)
        if await request.is_disconnected():  # whoever asked has thought better of it and will never hear the id
            await run_in_threadpool(self._live.line.remove, run)
        return answer({"id": run.id}, 202)

    async def run(self, request: Request) -> Response:
        """Everything about one run, as far as it has come."""
        run = self._run(request)
        run.hear()
        asked, state = run.asked, run.state
        return answer(
            run.summary()
            | {
                "place": self._live.line.place_of(run),
                "prompt": asked.prompt,
                "system": asked.system,
                "settings": dict(asked.settings),
                "image_names": list(asked.names),
                "continue_from": asked.continue_from,
                "answer_prefix": asked.answer_prefix,
                "n_prefix": state.n_prefix,
                "answer": state.answer,
                "answer_ids": list(state.answer_ids),
                "has_report": run.has_trace,
                "has_trace": run.has_trace,
            }
        )

    async def forget(self, request: Request) -> Response:
        """Remove a run; the files of one that is being answered go after its step."""
        run, live = self._run(request), self._live
        live.videos.forget(run)
        gone = await run_in_threadpool(live.line.remove, run)
        return answer({"id": run.id}, 200 if gone else 202)

    async def stop(self, request: Request) -> Response:
        """End a run; its finished steps are kept."""
        run = self._run(request)
        await run_in_threadpool(self._live.line.stop, run)
        return answer({"id": run.id}, 202)

    async def leave(self, request: Request) -> Response:
        """A page is being closed: a run that only waits for it is soon dropped, unless somebody asks again."""
        run = self._run(request)
        run.hear(leaving=True)
        return answer({"id": run.id}, 202)

    async def events(self, request: Request) -> Response:
        """What is told of a run: all of it, or what came after the event that is named."""
        run = self._run(request)
        run.hear()
        log = await run_in_threadpool(lambda: run.log)
        return self._followed(request, log, run)

    async def video_events(self, request: Request) -> Response:
        """What is told of a run's video."""
        log = self._live.videos.log_of(self._run(request))
        if log is None:
            raise HTTPException(404, "no video of this run was asked for since the server started")
        return self._followed(request, log, None)

    def _followed(self, request: Request, log: EventLog, run: Run | None) -> Response:
        after = number_after(request)
        if log.closed and after >= len(log) - 1:
            return Response(status_code=204)  # tells an EventSource to come back no more
        stream = self._listened(log, after, run)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_EVENT_HEADERS)

    async def _listened(self, log: EventLog, after: int, run: Run | None) -> AsyncIterator[bytes]:
        """The messages; as long as somebody takes them, the run is listened to."""

        def hold() -> bool:
            # A browser opens six connections to one host: pages that only wait must not keep them.
            return run is None or run.state.status != "queued"

        if run is not None:
            run.listeners += 1
        try:
            async with aclosing(log.follow(after, keep_alive=self._live.keep_alive, hold=hold)) as messages:
                async for message in messages:
                    yield message
        finally:
            if run is not None:
                run.listeners -= 1
                run.hear()

    async def report(self, request: Request) -> Response:
        """The report of a run's trace."""
        run = self._with_trace(request)
        path = await run_in_threadpool(report_of, run, self._live.config)
        return FileResponse(path, media_type="text/html", headers={"cache-control": "no-cache"})

    async def trace(self, request: Request) -> Response:
        """The folder of a run's trace as a ZIP file."""
        run = self._with_trace(request)
        name = f"trace_{run.id}"
        headers = {"content-disposition": f'attachment; filename="{name}.zip"'}
        return StreamingResponse(zipped(run.trace_folder, name), media_type="application/zip", headers=headers)

    async def image(self, request: Request) -> Response:
        """One of a run's pictures."""
        run, number = self._run(request), int(request.path_params["number"])
        if number >= run.asked.n_images:
            raise HTTPException(404, f"this run has no picture {number}; they are counted from 0")
        headers = {"cache-control": "private, max-age=3600"}
        if "small" in request.query_params:
            path = await run_in_threadpool(thumbnail_of, run, number)
            return FileResponse(path, media_type="image/jpeg", headers=headers)
        return FileResponse(run.image(number), media_type="image/png", headers=headers)

    async def order_video(self, request: Request) -> Response:
        """Begin to make a run's video."""
        run = self._with_trace(request)
        choices = json_object(await request.body())
        await run_in_threadpool(self._live.videos.order, run, choices)
        return answer({"id": run.id}, 202)

    async def video(self, request: Request) -> Response:
        """A run's video, once it was made."""
        run = self._run(request)
        if not run.video.is_file():
            raise HTTPException(409, "the video of this run has not been made yet")
        return FileResponse(run.video, media_type="video/mp4", headers={"cache-control": "no-cache"})

    def _run(self, request: Request) -> Run:
        run = self._live.store.get(str(request.path_params["id"]))
        if run is None:
            raise HTTPException(404, _NO_RUN)
        return run

    def _with_trace(self, request: Request) -> Run:
        """A run of which there is something to show."""
        run = self._run(request)
        if not run.ended:
            raise HTTPException(409, "the run has not ended yet")
        if not run.has_trace:
            raise HTTPException(409, "the run ended before a token was written: there is nothing to show")
        return run


def answer(data: Any, status: int = 200) -> JSONResponse:
    """JSON that no cache keeps."""
    return JSONResponse(data, status, headers={"cache-control": "no-store"})


def number_after(request: Request) -> int:
    """The number of the last event that a page has; -1 for none."""
    given = request.headers.get("last-event-id") or request.query_params.get("after", "")
    with suppress(ValueError):
        return max(-1, int(given[:12]))
    return -1
