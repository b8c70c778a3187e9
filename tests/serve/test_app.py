"""Which address gives what, with which status: a live page in this process, its recorder without a model."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from starlette.testclient import TestClient

from attnviz_video.errors import DiskFullError, ModelError
from attnviz_video.serve.settings import MOST_WAITING
from tests.serve.made import FakeRecorder, png, wait_until


def ask(client: TestClient, **fields: Any) -> str:
    """The id of a new run."""
    response = client.post("/api/runs", json={"prompt": "Why?", **fields})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def finish(client: TestClient, name: str) -> dict[str, Any]:
    """What is known of a run once it has ended."""
    wait_until(lambda: client.get(f"/api/runs/{name}").json()["place"] is None)
    wait_until(lambda: client.live.store.get(name).log.closed)
    return dict(client.get(f"/api/runs/{name}").json())


def error(response: Any, status: int) -> str:
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    return str(response.json()["error"])


def events(client: TestClient, name: str, **headers: str) -> list[str]:
    response = client.get(f"/api/runs/{name}/events", headers={key.replace("_", "-"): v for key, v in headers.items()})
    assert response.headers["content-type"].startswith("text/event-stream")
    return [line.removeprefix("event: ") for line in response.text.splitlines() if line.startswith("event: ")]


def test_the_page_and_nothing_else(client: TestClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>page</title>" in response.text
    assert client.get("/favicon.ico").status_code == 204
    assert error(client.get("/etc/passwd"), 404) == "there is nothing at GET /etc/passwd"
    assert error(client.get("/api/runs"), 405) == "GET /api/runs is not possible"


def test_the_state(client: TestClient) -> None:
    told = client.get("/api/state", headers={"x-attnviz-tab": "t"}).json()
    assert told["model"]["name"] == "fake"
    assert told["settings"] == {
        "layer_idx": 3, "max_new_tokens": 512, "do_sample": False, "temperature": 1.0, "top_p": 1.0, "top_k": 0,
        "seed": 0, "system": None,
    }  # fmt: skip
    assert told["limits"] == {"max_upload_mb": 25.0, "queue": 16, "keep": 20, "context": None, "characters": 2_000_000}
    assert (told["queue"], told["running"], told["runs"]) == ([], None, [])


def test_a_run_from_question_to_answer(client: TestClient, recorder: FakeRecorder) -> None:
    name = ask(client, prompt="红色的圆在哪里？ 龘🎉", system="Be brief.", max_new_tokens=3, seed="7")
    told = finish(client, name)
    assert told == {
        "id": name, "label": "红色的圆在哪里？ 龘🎉", "status": "done", "mode": "generate", "created": told["created"],
        "n_tokens": 3, "has_video": False, "place": None, "prompt": "红色的圆在哪里？ 龘🎉", "system": "Be brief.",
        "settings": {"max_new_tokens": 3, "seed": 7}, "images": 0, "image_names": [], "continue_from": None,
        "answer_prefix": None, "n_prefix": 0, "answer": "", "answer_ids": [], "has_report": False, "has_trace": False,
    }  # fmt: skip
    assert events(client, name) == ["queue", "queue", "prompt", "step", "step", "step", "done"]
    assert events(client, name, last_event_id="4") == ["step", "done"]
    assert client.get(f"/api/runs/{name}/events?after=6").status_code == 204
    assert client.get(f"/api/runs/{name}/events", headers={"last-event-id": "6"}).status_code == 204
    (run,) = client.get("/api/state").json()["runs"]
    assert (run["id"], run["status"], run["n_tokens"]) == (name, "done", 3)


def test_pictures_come_with_a_form_and_are_given_back(client: TestClient) -> None:
    files = [("image", ("../../etc/passwd", png())), ("image", ("b.png", png((9, 9))))]
    response = client.post(
        "/api/runs", files=files, data={"prompt": "Which?", "do_sample": "true", "max_new_tokens": "2"}
    )
    name = response.json()["id"]
    told = finish(client, name)
    assert (told["images"], told["settings"]) == (2, {"do_sample": True, "max_new_tokens": 2})
    assert told["image_names"] == ["passwd", "b.png"]
    image = client.get(f"/api/runs/{name}/images/1")
    assert (image.status_code, image.headers["content-type"]) == (200, "image/png")
    assert error(client.get(f"/api/runs/{name}/images/2"), 404)
    folder = client.live.store.get(name).folder
    assert sorted(path.name for path in folder.iterdir()) == ["events.jsonl", "image-0.png", "image-1.png", "run.json"]
    small = client.get(f"/api/runs/{name}/images/0?small=1")
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(small.content)).size == (60, 40)
    assert [run["images"] for run in client.get("/api/state").json()["runs"]] == [2]
    again = ask(client, images=[f"{name}/1"])
    assert finish(client, again)["image_names"] == ["b.png"]
    assert client.get(f"/api/runs/{again}/images/0").content == image.content
    assert finish(client, ask(client, continue_from=name))["image_names"] == ["passwd", "b.png"], "of the earlier run"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"prompt": ""}, "the prompt is empty: what shall the model be asked?"),
        ({"prompt": " \n "}, "the prompt is empty"),
        ({"prompt": 3}, "prompt: expected text, got int"),
        ({"promt": "x"}, "unknown field 'promt'; did you mean 'prompt'?"),
        ({"mode": "poem"}, "mode: expected one of generate, next, continue, got 'poem'"),
        ({"max_new_tokens": 0}, "max_new_tokens: expected a whole number of at least 1, got 0"),
        ({"max_new_tokens": "many"}, "max_new_tokens: expected a whole number, got 'many'"),
        ({"temperature": 0}, "temperature: expected a number above 0"),
        ({"do_sample": "perhaps"}, "do_sample: expected true or false, got 'perhaps'"),
        ({"layer_idx": [1, 2]}, "layer_idx: expected one layer, got 2"),
        ({"mode": "continue"}, "continue: the beginning of the answer is empty"),
        ({"answer_prefix": "It"}, 'the beginning of an answer is given with mode "continue" or "next"'),
        ({"mode": "next", "answer_ids": ["x"]}, "answer_ids: expected token ids such as 12, 345, got 'x'"),
        ({"mode": "next", "answer_ids": [True]}, "answer_ids: expected token ids"),
        ({"continue_from": "../x"}, "the run that this goes on from is not here any more; ask the question anew"),
        ({"images": ["../../x/0"]}, "an image of an earlier run ('../../x/0') is not here any more; send it again"),
        ({"images": "x"}, "images: expected a list of RUN/NUMBER"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(client: TestClient, fields: dict[str, Any], message: str) -> None:
    assert error(client.post("/api/runs", json={"prompt": "Why?", **fields}), 422).startswith(message)
    assert client.get("/api/state").json()["runs"] == []
    assert [path.name for path in client.live.store.folder.iterdir()] == ["serve.lock"]


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"{", "application/json", "the request is not valid JSON: "),
        (b"[" * 100_000, "application/json", "the request is not valid JSON: "),
        (b"[1]", "application/json", "expected a JSON object, got list"),
        (b"a=b", "application/x-www-form-urlencoded", "expected application/json or multipart/form-data, got 'app"),
        (b"", "", "expected application/json or multipart/form-data, got 'no content-type'"),
    ],
)
def test_requests_that_cannot_be_read(client: TestClient, content: bytes, kind: str, message: str) -> None:
    response = client.post("/api/runs", content=content, headers={"content-type": kind} if kind else {})
    assert error(response, 422).startswith(message)


def test_a_broken_form(client: TestClient) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert error(client.post("/api/runs", content=b"nonsense", headers=headers), 400)
    files = {"video": ("a.mp4", b"x")}
    message = "unexpected file in field 'video'; pictures come in fields named image"
    assert error(client.post("/api/runs", files=files, data={"prompt": "x"}), 422) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>", "evil'name.png: not a readable image"),
        (b"", "evil'name.png: not a readable image"),
        (png()[:60], "evil'name.png: not a readable image"),
        (
            b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\xea\x60\x00\x00\xea\x60\x08\x02\x00\x00\x00\x5c\x0d\x35\xfd",
            "evil'name.png: ",
        ),
    ],
    ids=["html", "nothing", "cut off", "bomb"],
)
def test_fault30_pictures_that_cannot_be_read(client: TestClient, data: bytes, message: str) -> None:
    response = client.post("/api/runs", files={"image": ("/tmp/evil'name.png", data)}, data={"prompt": "x"})
    told = error(response, 422)
    assert told.startswith(message)
    assert "/tmp" not in told
    assert [path.name for path in client.live.store.folder.iterdir()] == ["serve.lock"]


def test_more_pictures_than_are_taken(client: TestClient) -> None:
    files = [("image", (f"{number}.png", png())) for number in range(3)]
    message = "3 images came, and this server takes at most 2 (it was started with --max_image_num 2)"
    assert error(client.post("/api/runs", files=files, data={"prompt": "x"}), 422) == message


def test_what_the_model_cannot_answer_is_refused_before_it_waits(client: TestClient, recorder: FakeRecorder) -> None:
    recorder.refuse = ModelError("the prompt has 5000 tokens (0 of images), the model reads 4096; shorten it")
    assert "5000 tokens" in error(client.post("/api/runs", json={"prompt": "x" * 9999}), 422)
    recorder.refuse = DiskFullError("disk full while writing x: needs about 1 MB")
    assert "disk full" in error(client.post("/api/runs", json={"prompt": "x"}), 503)
    recorder.refuse = ValueError("oops")
    assert error(client.post("/api/runs", json={"prompt": "x"}), 500) == "ValueError: oops; this is a bug of ours"
    assert client.get("/api/state").json()["runs"] == []


def test_fault30_the_line_is_visible_and_has_an_end(client: TestClient, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    first = ask(client)
    wait_until(lambda: client.get("/api/state").json()["running"] == first)
    mine = client.post("/api/runs", json={"prompt": "Mine?"}, headers={"x-attnviz-tab": "tab 1"}).json()["id"]
    others = [ask(client, prompt=f"{number}?") for number in range(MOST_WAITING - 1)]
    told = client.get("/api/state", headers={"x-attnviz-tab": "tab 1"}).json()["queue"]
    assert [run["id"] for run in told] == [first, mine, *others]
    assert [run["mine"] for run in told] == [False, True] + [False] * len(others)
    assert client.get(f"/api/runs/{others[0]}").json()["place"] == 2
    message = "16 runs wait already; wait for one of them to end"
    assert error(client.post("/api/runs", json={"prompt": "x"}), 409) == message


def test_a_run_that_waits_is_stopped_at_once(client: TestClient, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    first, second, third = (ask(client, prompt=word) for word in ("a", "b", "c"))
    assert client.post(f"/api/runs/{second}/stop").status_code == 202
    assert client.get(f"/api/runs/{second}").json()["status"] == "stopped"
    assert client.get(f"/api/runs/{third}").json()["place"] == 1
    assert events(client, second) == ["queue", "stopped"]
    client.post(f"/api/runs/{first}/stop")
    recorder.gate.release(100)
    assert finish(client, first)["status"] == "stopped"
    assert finish(client, third)["status"] == "done"
    assert recorder.began == ["a", "c"]


def test_a_run_that_is_removed_while_it_is_answered_is_stopped_and_gone(
    client: TestClient, recorder: FakeRecorder
) -> None:
    recorder.close_gate()
    ended, waiting = ask(client, max_new_tokens=1), ask(client)
    recorder.gate.release()
    wait_until(lambda: client.get(f"/api/runs/{ended}").json()["status"] == "done")
    wait_until(lambda: client.get(f"/api/runs/{waiting}").json()["place"] == 0)
    running, waiting = waiting, ask(client)
    folders = [client.live.store.get(name).folder for name in (ended, waiting, running)]
    assert client.delete(f"/api/runs/{running}").status_code in (200, 202)
    assert {run["id"] for run in client.get("/api/state").json()["runs"]} == {ended, waiting}, "at once for everybody"
    assert running not in [run["id"] for run in client.get("/api/state").json()["queue"]]
    wait_until(lambda: client.get(f"/api/runs/{waiting}").json()["place"] == 0)
    last = ask(client)
    assert client.delete(f"/api/runs/{last}").status_code == 200, "one that waits"
    assert client.delete(f"/api/runs/{waiting}").status_code in (200, 202)
    assert client.delete(f"/api/runs/{ended}").status_code == 200
    wait_until(lambda: not any(folder.exists() for folder in folders))
    message = "this run is not here any more: it was deleted, or newer runs have taken its place"
    for path in ("", "/events", "/report", "/trace.zip", "/images/0", "/video.mp4", "/video/events"):
        assert error(client.get(f"/api/runs/{running}{path}"), 404) == message
    assert recorder.began == ["Why?"] * 3
    recorder.gate.release(100)
    assert finish(client, ask(client))["status"] == "done"


def test_texts_that_no_model_reads_are_refused_before_they_are_looked_at(
    client: TestClient, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.refuse = AssertionError("looked at")
    for fields, words in (({"prompt": "x" * 2_000_001}, "prompt"), ({"system": "x" * 2_000_001}, "system prompt")):
        message = f"the {words} has 2000001 characters; at most 2000000 are taken: shorten it"
        assert error(client.post("/api/runs", json={"prompt": "Why?", **fields}), 422) == message
    monkeypatch.setattr(recorder, "describe", lambda: {"name": "small", "layer": 3, "max_images": 2, "context": 4096})
    assert client.get("/api/state").json()["limits"]["characters"] == 65536
    message = "the answer has 65537 characters; the model reads 4096 tokens: shorten it"
    fields = {"mode": "continue", "answer_prefix": "x" * 65537}
    assert error(client.post("/api/runs", json={"prompt": "Why?", **fields}), 422) == message


@pytest.mark.parametrize("name", ["..", "%2e%2e", "x", "20261121-184512-000000", "..%2f..%2fetc"])
def test_names_of_runs_that_are_none(client: TestClient, name: str) -> None:
    for path in ("", "/report", "/images/0"):
        assert client.get(f"/api/runs/{name}{path}").status_code == 404


def test_what_a_run_without_tokens_does_not_have(client: TestClient, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    name = ask(client)
    assert error(client.get(f"/api/runs/{name}/report"), 409) == "the run has not ended yet"
    client.post(f"/api/runs/{name}/stop")
    finish(client, name)
    message = "the run ended before a token was written: there is nothing to show"
    for response in (
        client.get(f"/api/runs/{name}/report"),
        client.get(f"/api/runs/{name}/trace.zip"),
        client.post(f"/api/runs/{name}/video", json={}),
    ):
        assert error(response, 409) == message
    assert error(client.get(f"/api/runs/{name}/video.mp4"), 409) == "the video of this run has not been made yet"
    assert error(client.get(f"/api/runs/{name}/video/events"), 404).startswith("no video of this run was asked for")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            ModelError("layer 3: attention is not a number;\nuse bfloat16"),
            "layer 3: attention is not a number; use bfloat16",
        ),
        (RuntimeError("the library fell over"), "RuntimeError: the library fell over"),
        (MemoryError(), "MemoryError: "),
    ],
    ids=["ours", "foreign", "memory"],
)
def test_fault30_a_run_that_fails_leaves_the_server_alive(
    client: TestClient, recorder: FakeRecorder, fault: Exception, message: str
) -> None:
    recorder.fail = fault
    name = ask(client)
    assert finish(client, name)["error"] == message.strip()
    last = client.get(f"/api/runs/{name}/events").text.strip().splitlines()[-1]
    told = {"n_tokens": 0, "report": None, "trace": None, "error": message.strip(), "has_report": False}
    assert json.loads(last.removeprefix("data: ")) == told
    assert recorder.n_released == 1
    recorder.fail = None
    assert finish(client, ask(client))["status"] == "done"
    assert recorder.n_released == 1


def test_a_restart_keeps_the_runs(client_of: Callable[..., TestClient], recorder: FakeRecorder) -> None:
    client = client_of()
    names = [ask(client, prompt=f"{number}?") for number in range(3)]
    before = [finish(client, name) for name in names]
    told = [client.get(f"/api/runs/{name}/events").text for name in names]
    client.__exit__()
    again = client_of()
    assert [again.get(f"/api/runs/{name}").json() for name in names] == before
    assert [again.get(f"/api/runs/{name}/events").text for name in names] == told
    assert {run["id"] for run in again.get("/api/state").json()["runs"]} == set(names)
