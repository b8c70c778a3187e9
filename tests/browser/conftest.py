"""Pages in a real Chromium; without one these tests say so and are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

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
    """Opens a file (and a fragment of its address) in a window of its own."""
    contexts = []

    def open_file(file: Path, fragment: str = "", **settings: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **settings})
        contexts.append(context)
        opened = Opened(context.new_page())
        opened.page.on("request", lambda request: opened.requests.append(request.url))
        opened.page.on("console", lambda said: _complaint(opened, said))
        opened.page.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.page.goto(file.resolve().as_uri() + fragment)
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
