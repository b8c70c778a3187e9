"""Pages in a real Chromium; without one these tests say so and are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser.fake_live_server import FakeLiveServer, FakeRun, Script
from tests.browser.live_opened import NETWORK, OpenedLive
from tests.browser.opened import OpenedReport

#: Names of the program; CHROMIUM names another.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass
class Opened:
    """A page, everything it asked for and everything it complained of."""

    page: Any
    requests: list[str] = field(default_factory=list)
    #: Errors and warnings of the console, and exceptions.
    problems: list[str] = field(default_factory=list)


def chromium_path() -> str | None:
    """The browser's program on this machine."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A running Chromium without a window."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    program = chromium_path()
    if program is None:
        pytest.skip(f"no Chromium: none of {', '.join(PROGRAMS)} is on the PATH; name one in CHROMIUM")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Opens a file or an address (and a fragment of it) in a window of its own."""
    contexts = []

    def open_file(place: Path | str, fragment: str = "", **settings: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda said: _complaint(opened, said))
        opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
        address = place if isinstance(place, str) else place.resolve().as_uri()
        opened.page.goto(address + fragment)
        return opened

    yield open_file
    for context in contexts:
        context.close()


def _complaint(opened: Opened, said: Any) -> None:
    if said.type in ("error", "warning"):
        opened.problems.append(said.text)


@pytest.fixture
def open_report(open_page: Callable[..., Opened]) -> Iterator[Callable[..., OpenedReport]]:
    """Opens a report; at the end none may have complained, or asked for anything but itself."""
    reports: list[OpenedReport] = []

    def open_file(file: Path, **settings: Any) -> OpenedReport:
        reports.append(OpenedReport(open_page(file, **settings)))
        return reports[-1]

    yield open_file
    for report in reports:
        assert report.problems == []
        assert [url for url in report.requests if not url.startswith("data:")] == [report.url]


@pytest.fixture
def open_live(open_page: Callable[..., Opened]) -> Iterator[Callable[..., OpenedLive]]:
    """Opens a live page; at the end none may have complained, or asked for anything but its own server.

    With `refused=True` the console may say that the server did not answer with success.
    """
    pages: list[tuple[OpenedLive, bool]] = []

    def open_url(url: str, fragment: str = "", *, refused: bool = False, **settings: Any) -> OpenedLive:
        pages.append((OpenedLive(open_page(url, fragment, **settings), url), refused))
        return pages[-1][0]

    yield open_url
    for page, refused in pages:
        assert [said for said in page.problems if not (refused and said.startswith(NETWORK))] == []
        assert [url for url in page.requests if not url.startswith((page.url, "data:", f"blob:{page.url}"))] == []


@pytest.fixture
def serve_planted() -> Iterator[Callable[..., FakeLiveServer]]:
    """Starts a server of planted runs."""
    servers: list[FakeLiveServer] = []

    def start(script: Callable[[FakeRun], Script], **model: Any) -> FakeLiveServer:
        servers.append(FakeLiveServer(script, **model))
        return servers[-1]

    yield start
    for server in servers:
        server.close()
