"""FAULTS row 30: who may ask at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from attnviz_video.serve.address import Address
from tests.serve.made import OWN

TOKEN = "s3cret-token"
OUTSIDE = Address("192.168.1.5", 8765, TOKEN)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8765", "127.0.0.1", "localhost:8765", "LOCALHOST", "[::1]:8765", "localhost:9000"]
)
def test_own_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/state", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1.evil.example", "", "[::2]", "localhost@evil.example"])
def test_fault30_a_foreign_host_is_refused(client: TestClient, host: str) -> None:
    response = client.get("/api/state", headers={"host": host})
    assert response.status_code == 400
    assert response.json() == {"error": f"this server is not called {host!r}; open http://127.0.0.1:8765/"}


def test_the_host_that_was_given_is_answered(client_of: Callable[..., TestClient]) -> None:
    client = client_of(Address("gpu-server", 8765, None))
    assert client.get("/", headers={"host": "GPU-server:8765"}).status_code == 200
    assert client.get("/", headers={"host": "other-server:8765"}).status_code == 400


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {"origin": "http://evil.example"},
            "requests of 'http://evil.example' are not taken: this is another site's page",
        ),
        ({"origin": "http://127.0.0.1:9999"}, "requests of 'http://127.0.0.1:9999' are not taken"),
        ({"origin": "null"}, "requests of 'null' are not taken"),
        ({"x-attnviz": ""}, "the request lacks the header X-Attnviz: 1, which the live page sends"),
    ],
)
def test_other_sites_cannot_change_anything(client: TestClient, headers: dict[str, str], message: str) -> None:
    response = client.post("/api/runs", json={"prompt": "x"}, headers=headers)
    assert response.status_code == 403
    assert response.json()["error"].startswith(message)
    assert client.get("/api/state").json()["runs"] == []


def test_the_own_origin_is_taken(client: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1:8765"}
    assert client.post("/api/runs", json={"prompt": "x"}, headers=headers).status_code == 202


def test_every_answer_says_what_a_browser_must_not_do(client: TestClient) -> None:
    for response in (client.get("/"), client.get("/nowhere"), client.get("/", headers={"host": "evil.example"})):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["content-security-policy"] == "frame-ancestors 'self'"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


@pytest.fixture
def outside(client_of: Callable[..., TestClient]) -> TestClient:
    client = client_of(OUTSIDE)
    client.base_url = "http://192.168.1.5:8765"
    return client


@pytest.mark.parametrize("path", ["/", "/?token=wrong", "/api/state", "/api/state?token=s3cret-token", "/favicon.ico"])
def test_without_the_token_nothing_is_shown(outside: TestClient, path: str) -> None:
    response = outside.get(path)
    assert response.status_code == 401
    assert response.json() == {
        "error": "this page needs the token: open the address that `serve` printed when it started"
    }


def test_the_token_is_shown_once_and_kept_in_a_cookie(outside: TestClient) -> None:
    first = outside.get(f"/?token={TOKEN}&x=1")
    assert (first.status_code, first.headers["location"]) == (303, "/?x=1")
    cookie = first.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("attnviz_token_8765=", "httponly", "samesite=strict", "path=/"))
    assert outside.get("/").status_code == 200
    assert outside.post("/api/runs", json={"prompt": "x"}).status_code == 202
    outside.cookies.clear()
    assert outside.get("/", headers={"cookie": f"attnviz_token_8765={TOKEN}x"}).status_code == 401
    assert outside.get("/", headers={"cookie": "attnviz_token_8765=é; ;;=,".encode("latin-1")}).status_code == 401


def test_on_every_address_any_name_is_answered_with_the_token_only(client_of: Callable[..., TestClient]) -> None:
    client = client_of(Address("0.0.0.0", 8765, TOKEN))
    headers = {"host": "gpu-server:8765"}
    assert client.get("/api/state", headers=headers).status_code == 401
    cookie = {"cookie": f"attnviz_token_8765={TOKEN}"}
    assert client.get("/api/state", headers=headers | cookie).status_code == 200


def too_large(response: Any) -> bool:
    told = "this is larger than 0.1 MB; take smaller pictures, or raise --max_upload_mb"
    return response.status_code == 413 and response.json() == {"error": told}


def test_fault30_a_body_that_says_it_is_too_large(client_of: Callable[..., TestClient], tmp_path: Path) -> None:
    client = client_of(max_upload_mb=0.1)
    assert too_large(client.post("/api/runs", files={"image": ("a.png", b"0" * 200_000)}, data={"prompt": "x"}))
    assert too_large(
        client.post("/api/runs", content=b"{" + b" " * 200_000, headers={"content-type": "application/json"})
    )
    assert [place.name for place in (tmp_path / "runs").iterdir()] == ["serve.lock"]


def test_fault30_a_body_that_does_not_say_how_large_it_is(client_of: Callable[..., TestClient]) -> None:
    client, taken = client_of(max_upload_mb=0.1), 0

    def parts() -> Any:
        nonlocal taken
        for _ in range(100):
            taken += 1
            yield b" " * 10_000

    assert too_large(client.post("/api/runs", content=parts(), headers={**OWN, "content-type": "application/json"}))


def test_websockets_are_closed(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/api/state"):
        pass
    assert caught.value.code == 1008
