"""A server that speaks as the live server does, with planted runs: what the page gets is known to the digit."""

from __future__ import annotations

import base64
import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from attnviz_video.export.live_page import live_page

#: (name of the event, what it tells); a float is a pause in seconds; a callable waits for something.
Script = Iterator[tuple[str, dict[str, Any]] | float]
REPORT = (200, "text/html; charset=utf-8", "<!doctype html><title>report</title><h1>The report</h1>")


def half(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f2").tobytes()).decode()


@dataclass
class FakeRun:
    id: str
    fields: dict[str, str]
    images: list[tuple[str, bytes]]
    status: str = "queued"
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    n_tokens: int = 0
    answer: str = ""
    answer_ids: list[int] = field(default_factory=list)
    n_prefix: int = 0
    has_video: bool = False
    error: str = ""
    created: str = field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat())

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id, "label": self.fields["prompt"][:60], "status": self.status, "mode": self.fields["mode"],
            "created": self.created, "n_tokens": self.n_tokens, "has_video": self.has_video, "error": self.error,
            "images": len(self.images),
        }  # fmt: skip

    def all(self) -> dict[str, Any]:
        numbers = ("layer_idx", "max_new_tokens", "temperature", "seed")
        settings: dict[str, Any] = {name: self.fields[name] for name in numbers if name in self.fields}
        settings["do_sample"] = self.fields.get("do_sample") == "true"
        return {
            **self.told(), "prompt": self.fields["prompt"], "system": self.fields.get("system", ""),
            "answer": self.answer, "answer_ids": self.answer_ids, "n_prefix": self.n_prefix, "settings": settings,
            "image_names": [name for name, _ in self.images],
            "has_report": self.status in ("done", "stopped") and self.n_tokens > 0,
        }  # fmt: skip


class FakeLiveServer:
    """Runs of one `script` after the other, each in its turn; `requests` is everything that was asked for."""

    def __init__(self, script: Callable[[FakeRun], Script], *, port: int = 0, **model: Any) -> None:
        self.script = script
        self.model = {
            "name": "fake-vl", "type": "qwen2_vl", "layers": 28, "heads": 16, "device": "cpu", "dtype": "float32",
            "vision": True, "max_images": 4, **model,
        }  # fmt: skip
        self.runs: dict[str, FakeRun] = {}
        self.queue: list[FakeRun] = []
        self.running: FakeRun | None = None
        self.requests: list[tuple[str, str]] = []
        self.left: list[str] = []
        self.refuse: tuple[int, str] | None = None
        #: Seconds before a question is answered, and what is given as a report.
        self.thinks, self.report = 0.0, REPORT
        #: While true no request is answered, and streams end.
        self.gone = False
        #: Whether a stream goes on after the event that the page heard last.
        self.resumes = True
        self.lock = threading.Condition()
        self._open = True
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        for work in (self._http.serve_forever, self._work):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        with self.lock:
            self._open = False
            self.lock.notify_all()
        self._http.shutdown()
        self._http.server_close()

    def add(self, fields: dict[str, str], images: Sequence[tuple[str, bytes]] = ()) -> FakeRun:
        with self.lock:
            run = FakeRun(f"r{len(self.runs) + 1}", fields, list(images))
            self.runs[run.id] = run
            self.queue.append(run)
            self.lock.notify_all()
        return run

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "settings": {"layer_idx": 20, "max_new_tokens": 512, "do_sample": False, "temperature": None, "seed": None},
            "queue": [{"id": run.id, "label": run.fields["prompt"], "mine": True} for run in self.queue],
            "running": self.running and self.running.id,
            "runs": [run.told() for run in self.runs.values()],
            "limits": {"max_upload_mb": 25, "characters": 20_000, "context": 1250},
        }

    def _work(self) -> None:
        while self._open:
            with self.lock:
                self.lock.wait_for(lambda: self.queue or not self._open)
                if not self._open:
                    return
                run = self.running = self.queue.pop(0)
                run.status = "running"
            self._say(run, "queue", {"place": 0})
            for told in self.script(run):
                if run.stop.is_set():
                    self._end(run, "stopped", {})
                    break
                if isinstance(told, float):
                    run.stop.wait(told)
                elif told[0] in ("done", "failed"):
                    self._end(run, *told)
                else:
                    if told[0] == "step":
                        run.n_tokens = told[1]["step"] + 1
                        run.answer += told[1]["text"]
                        run.answer_ids.append(told[1]["id"])
                    if told[0] == "prompt":
                        run.n_prefix = told[1]["n_prefix"]
                    self._say(run, *told)
            with self.lock:
                self.running = None

    def _end(self, run: FakeRun, name: str, told: dict[str, Any]) -> None:
        run.status, run.error = name, told.get("error", "")
        self._say(run, name, {"report": f"/api/runs/{run.id}/report" if run.n_tokens else None, **told})

    def _say(self, run: FakeRun, name: str, told: dict[str, Any]) -> None:
        with self.lock:
            run.events.append((name, told))
            self.lock.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                if server.gone:
                    return self.hang_up()
                path = urlsplit(self.path).path
                server.requests.append(("GET", path))
                parts = path.strip("/").split("/")
                if path == "/":
                    return self.send(200, live_page().encode(), "text/html; charset=utf-8")
                if path == "/api/state":
                    with server.lock:
                        return self.json(200, server.state())
                run = server.runs.get(parts[2]) if len(parts) > 2 else None
                if run is None:
                    return self.json(404, {"error": f"there is no run {parts[-1]}"})
                rest = parts[3:]
                if not rest:
                    with server.lock:
                        place = server.queue.index(run) + 1 if run in server.queue else 0
                    return self.json(200, {**run.all(), "place": place})
                if rest == ["events"]:
                    return self.events(run)
                if rest[0] == "images":
                    return self.send(200, run.images[int(rest[1])][1], "image/png")
                if rest == ["report"]:
                    status, kind, text = server.report
                    return self.send(status, text.encode(), kind)
                if rest == ["video", "events"]:
                    return self.video_events(run)
                return self.send(200, b"PK", "application/zip")

            def do_POST(self) -> None:
                if server.gone:
                    return self.hang_up()
                server.requests.append(("POST", self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("X-Attnviz") != "1":
                    return self.json(400, {"error": "no header"})
                if self.path == "/api/runs":
                    time.sleep(server.thinks)
                    if server.refuse:
                        return self.json(server.refuse[0], {"error": server.refuse[1]})
                    return self.json(202, {"id": server.add(*self.form(body)).id})
                _, _, _, name, act = self.path.split("/")
                if act == "stop":
                    server.runs[name].stop.set()
                    with server.lock:
                        if server.runs[name] in server.queue:
                            server.queue.remove(server.runs[name])
                            server.runs[name].status = "stopped"
                if act == "leave":
                    server.left.append(name)
                return self.json(202, {})

            def do_DELETE(self) -> None:
                if server.gone:
                    return self.hang_up()
                server.requests.append(("DELETE", self.path))
                server.runs.pop(self.path.rsplit("/", 1)[-1]).stop.set()
                return self.json(200, {})

            def hang_up(self) -> None:
                self.close_connection = True

            def form(self, body: bytes) -> tuple[dict[str, str], list[tuple[str, bytes]]]:
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                fields, images = {}, []
                for part in message_from_bytes(head + body).get_payload():
                    name = part.get_param("name", header="content-disposition")
                    if name == "images":
                        run, number = part.get_payload(decode=True).decode().split("/")
                        images.append(server.runs[run].images[int(number)])
                    elif part.get_filename() is not None:
                        images.append((part.get_filename(), part.get_payload(decode=True)))
                    else:
                        fields[name] = part.get_payload(decode=True).decode().replace("\r\n", "\n")
                if not images and "continue_from" in fields:
                    images = server.runs[fields["continue_from"]].images
                return fields, images

            def events(self, run: FakeRun) -> None:
                self.start_events()
                number = int(self.headers.get("Last-Event-ID") or 0) if server.resumes else 0
                while server._open and not server.gone:
                    with server.lock:
                        server.lock.wait_for(lambda seen=number: len(run.events) > seen or run in server.queue, 0.2)
                        place = server.queue.index(run) + 1 if run in server.queue else 0
                        waiting = run.events[number:]
                    if place:
                        self.event("queue", {"place": place})
                        return
                    for name, told in waiting:
                        number += 1
                        if not self.event(name, told, number) or name in ("done", "stopped", "failed"):
                            return

            def video_events(self, run: FakeRun) -> None:
                self.start_events()
                for done in range(1, 5):
                    time.sleep(0.15)
                    self.event("progress", {"done": done, "total": 4})
                run.has_video = True
                self.event("done", {"src": ""})

            def start_events(self) -> None:
                self.close_connection = True
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()

            def event(self, name: str, told: dict[str, Any], number: int | None = None) -> bool:
                line = "" if number is None else f"id: {number}\n"
                try:
                    self.wfile.write(f"{line}event: {name}\ndata: {json.dumps(told)}\n\n".encode())
                    self.wfile.flush()
                except OSError:
                    return False
                return True

            def json(self, status: int, told: Any) -> None:
                self.send(status, json.dumps(told).encode(), "application/json")

            def send(self, status: int, body: bytes, kind: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True

        return Handler
