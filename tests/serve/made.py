"""A recorder without a model, a live page around it, and a page's side of the conversation."""

from __future__ import annotations

import http.client
import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from attnviz_video.config import RunConfig
from attnviz_video.progress import Silent
from attnviz_video.serve.address import Address, bind
from attnviz_video.serve.app import Live, make_live
from attnviz_video.serve.line import Line
from attnviz_video.serve.live_recording import Checked
from attnviz_video.serve.runs import Asked, Run, RunStore
from attnviz_video.serve.server import LiveServer
from attnviz_video.serve.settings import ServeSettings
from attnviz_video.stopping import StopRequest

#: Every request that changes something carries it.
OWN = {"X-Attnviz": "1"}
HOST = "http://127.0.0.1:8765"
ADDRESS = Address("127.0.0.1", 8765, None)


class FakeRecorder:
    """Says `max_new_tokens` words (5), each when `gate` lets it; `gate` is open unless a test closes it."""

    def __init__(self) -> None:
        self.gate = threading.Semaphore(10_000)
        self.refuse: Exception | None = None
        self.fail: BaseException | None = None
        self.began: list[str] = []
        self.n_released = 0
        self.max_images = 2
        #: Questions wait for it before they are looked at, and count in `looking`.
        self.may_look, self.looking = threading.Event(), 0
        self.may_look.set()

    def close_gate(self) -> None:
        """From now on a word needs a `gate.release()`."""
        self.gate = threading.Semaphore(0)

    def release(self) -> None:
        """Called after a failure, to give the device's memory back."""
        self.n_released += 1

    def describe(self) -> dict[str, Any]:
        return {"name": "fake", "layer": 3, "max_images": self.max_images}

    def check(self, asked: Asked, folder: Path, images: Sequence[Any], png_files: Sequence[bytes]) -> Checked:
        assert folder.is_dir()
        self.looking += 1
        assert self.may_look.wait(20)
        assert len(images) == len(png_files) == asked.n_images
        if self.refuse is not None:
            raise self.refuse
        return Checked(7, len(asked.answer_ids or ()), int(asked.settings.get("max_new_tokens", 5)))

    def record(self, run: Run, tell: Callable[[str, Mapping[str, Any]], None], should_stop: Callable[[], bool]) -> bool:
        self.began.append(run.asked.prompt)
        tell("prompt", {"n_prompt": 7})
        for number in range(run.max_new_tokens):
            while not self.gate.acquire(timeout=0.01):
                if should_stop():
                    return True
            if self.fail is not None:
                raise self.fail
            tell("step", {"step": number, "text": f" word{number}"})
            run.update(n_tokens=number + 1)
            if should_stop():
                tell("ending", {"stopped_by": "interrupted"})
                return True
        tell("ending", {"stopped_by": "length"})
        return False


def live_page(
    folder: Path, recorder: Any, keep_alive: float = 10.0, config: RunConfig | None = None, **more: Any
) -> Live:
    """A live page whose runs lie in `folder`; `more` are its settings."""
    settings = ServeSettings(runs_dir=folder, **more)
    store = RunStore(folder, settings.keep)
    progress, release = Silent(), getattr(recorder, "release", lambda: None)
    live = make_live(
        "<!doctype html><title>page</title>", recorder, store, config or RunConfig(), settings,
        line=lambda busy: Line(recorder, store, progress, release=release, busy=busy),
    )  # fmt: skip
    return replace(live, keep_alive=keep_alive)


class Served:
    """A live page on a real port, in a thread, and what a browser does with it."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self._followed: list[Followed] = []
        self._socket = bind(ServeSettings(port=0))
        self.port = int(self._socket.getsockname()[1])
        self._stop, ready = StopRequest(), threading.Event()
        server = LiveServer(live, Address("127.0.0.1", self.port, None), self._stop, ready.set)
        self._thread = threading.Thread(target=lambda: server.run(sockets=[self._socket]))
        self._thread.start()
        assert ready.wait(20)

    def close(self) -> None:
        """Close all tabs and end the server, as the first Ctrl-C does."""
        for followed in self._followed:
            followed.leave()
        self.end()

    def end(self) -> None:
        """End the server alone."""
        self._stop.requested = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def call(self, method: str, path: str, data: object = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of one request."""
        connection = self.connect()
        body = None if data is None else json.dumps(data)
        connection.request(method, path, body, {**OWN, "Content-Type": "application/json", **headers})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response.status, json.loads(text) if text else None

    def ask(self, prompt: str = "Why?", **fields: Any) -> str:
        """The id of a new run."""
        status, told = self.call("POST", "/api/runs", {"prompt": prompt, **fields})
        assert status == 202, told
        return str(told["id"])

    def follow(self, name: str, after: int | None = None, what: str = "events") -> Followed:
        self._followed.append(Followed(self, f"/api/runs/{name}/{what}", after))
        return self._followed[-1]


class Followed:
    """One connection to the events of a run; iterating gives (number, name, data) until the stream ends."""

    def __init__(self, served: Served, path: str, after: int | None = None) -> None:
        self._served, self._path, self._last = served, path, after
        self._open()

    def _open(self) -> None:
        self._connection = self._served.connect()
        headers = {} if self._last is None else {"Last-Event-ID": str(self._last)}
        self._connection.request("GET", self._path, headers=headers)
        self.response = self._connection.getresponse()

    def __iter__(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        fields: dict[str, str] = {}
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if line == "\n" and "data" in fields:
                self._last = int(fields["id"])
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}
            elif name in ("id", "event", "data"):
                fields[name] = value

    def until(self, wanted: str) -> dict[str, Any]:
        """The data of the next event of that name; as a browser does, it comes back while a run waits in the line."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            for _, name, data in self:
                if name == wanted:
                    return data
            self.leave()
            time.sleep(0.05)
            self._open()
        raise AssertionError(f"no event {wanted!r} came")

    def leave(self) -> None:
        """Close the connection in the middle, as a tab that is closed."""
        self.response.close()
        self._connection.close()


def names_of(followed: Followed) -> list[str]:
    """The names of all events to the end."""
    return [name for _, name, _ in followed]


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def png(size: tuple[int, int] = (60, 40), color: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    Image.new("RGB", size, color).save(file, "PNG")
    return file.getvalue()
