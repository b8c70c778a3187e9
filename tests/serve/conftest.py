"""A live page without a model: in this process, or on a real port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from attnviz_video.serve.address import Address
from attnviz_video.serve.app import application
from tests.serve.made import ADDRESS, HOST, OWN, FakeRecorder, Served, live_page


@pytest.fixture
def recorder() -> FakeRecorder:
    return FakeRecorder()


@pytest.fixture
def client_of(tmp_path: Path, recorder: FakeRecorder) -> Iterator[Callable[..., TestClient]]:
    """Opens a live page in this process: `client_of(address, **settings)`."""
    open_clients: list[TestClient] = []

    def open_client(address: Address = ADDRESS, **settings: Any) -> TestClient:
        live = live_page(tmp_path / "runs", recorder, **settings)
        client = TestClient(
            application(live, address),
            base_url=HOST,
            headers=OWN,
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        client.live = live
        open_clients.append(client.__enter__())
        return client

    yield open_client
    for client in open_clients:
        client.__exit__()


@pytest.fixture
def client(client_of: Callable[..., TestClient]) -> TestClient:
    return client_of()


@pytest.fixture
def serve(tmp_path: Path, recorder: FakeRecorder) -> Iterator[Callable[..., Served]]:
    """Opens a live page on a real port: `serve(**settings)`."""
    running: list[Served] = []

    def start(with_recorder: Any = None, **settings: Any) -> Served:
        running.append(Served(live_page(tmp_path / f"runs{len(running)}", with_recorder or recorder, **settings)))
        return running[-1]

    yield start
    for served in running:
        served.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()
