"""A live page on a real port, without a model: tokens as they come, several tabs, connections that break."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable

import pytest

from attnviz_video.serve import line
from tests.serve.made import OWN, FakeRecorder, Served, names_of, wait_until


def test_tokens_reach_the_page_one_by_one(served: Served, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    name = served.ask(max_new_tokens=4)
    wait_until(lambda: served.live.line.running is not None)
    page = iter(served.follow(name))
    assert [next(page)[1] for _ in range(3)] == ["queue", "queue", "prompt"]
    for number in range(4):
        # Nothing lets the next word out but having received this one.
        recorder.gate.release()
        assert next(page)[1:] == ("step", {"step": number, "text": f" word{number}"})
        assert served.call("GET", f"/api/runs/{name}")[1]["n_tokens"] in (number, number + 1)
    assert next(page)[1:] == (
        "done", {"n_tokens": 4, "report": None, "trace": None, "stopped_by": "length"},
    )  # fmt: skip
    assert list(page) == []


def test_fault30_whoever_waits_holds_no_connection_and_is_served_in_order(
    served: Served, recorder: FakeRecorder
) -> None:
    """Ten tabs: browsers open six connections to one host."""
    recorder.close_gate()
    names = [served.ask(f"{number}?", max_new_tokens=1) for number in range(10)]
    wait_until(lambda: served.live.line.running is not None)
    for place, name in enumerate(names[1:], start=1):
        followed = served.follow(name)
        told = list(followed)
        assert {event for _, event, _ in told} == {"queue"}, "the stream ends while the run waits"
        assert told[-1][2] == {"place": place}
    recorder.gate.release(10)
    for name in names:
        wait_until(lambda name=name: served.live.store.get(name).ended)  # type: ignore[misc]
        assert names_of(served.follow(name))[-2:] == ["step", "done"]
    assert recorder.began == [f"{number}?" for number in range(10)]


def test_a_page_that_was_cut_off_hears_the_rest(served: Served, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    name = served.ask(max_new_tokens=3)
    wait_until(lambda: served.live.line.running is not None)
    first = served.follow(name)
    first.until("prompt")
    first.leave()
    second = served.follow(name, after=2)
    recorder.gate.release(3)
    assert [(number, event) for number, event, _ in second] == [(3, "step"), (4, "step"), (5, "step"), (6, "done")]
    assert served.follow(name, after=6).response.status == 204


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "UNHEARD", 0.3)
    monkeypatch.setattr(line, "UNWANTED", 0.6)


def test_fault30_a_run_is_cancelled_once_everybody_has_left(
    served: Served, recorder: FakeRecorder, impatient: None
) -> None:
    recorder.close_gate()
    name = served.ask(max_new_tokens=9)
    wait_until(lambda: served.live.line.running is not None)
    pages = [served.follow(name) for _ in range(3)]
    for page in pages:
        page.until("prompt")
    recorder.gate.release()
    assert pages[2].until("step")["step"] == 0
    for page in pages[:2]:
        page.leave()
    time.sleep(0.8)
    assert served.live.line.running is not None, "one page still listens"
    pages[2].leave()
    run = served.live.store.get(name)
    assert run is not None
    wait_until(lambda: run.ended)
    assert (run.state.status, run.state.n_tokens) == ("stopped", 1)


def test_a_run_that_waits_is_dropped_with_its_tab(served: Served, recorder: FakeRecorder, impatient: None) -> None:
    recorder.close_gate()
    first, wanted, closed = (served.ask(word, max_new_tokens=1) for word in ("first", "wanted", "closed"))
    page = served.follow(first)
    dropped, kept = served.live.store.get(closed), served.live.store.get(wanted)
    assert dropped is not None
    assert kept is not None
    until = time.monotonic() + 5
    while not dropped.ended and time.monotonic() < until:
        served.call("GET", f"/api/runs/{wanted}")
    assert dropped.state.status == "stopped"
    assert kept.state.status == "queued"
    recorder.gate.release(2)
    page.until("done")
    wait_until(lambda: kept.ended)
    assert recorder.began == ["first", "wanted"]


def test_a_tab_that_says_it_is_closed_is_not_waited_for(
    served: Served, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "UNHEARD", 0.3)
    recorder.close_gate()
    page = served.follow(served.ask("first"))
    page.until("prompt")
    closed, reloaded = served.ask("closed"), served.ask("loaded again")
    for name in (closed, reloaded):
        assert served.call("POST", f"/api/runs/{name}/leave")[0] == 202
    served.call("GET", f"/api/runs/{reloaded}")
    wait_until(lambda: served.live.store.get(closed).ended)  # type: ignore[union-attr]
    time.sleep(0.5)
    assert served.call("GET", f"/api/runs/{reloaded}")[1]["status"] == "queued"


def test_a_question_that_is_taken_back_while_it_is_looked_at_is_not_answered(
    served: Served, recorder: FakeRecorder
) -> None:
    """Esc while a prompt is being sent: the browser closes the connection and never hears the run's name."""
    recorder.may_look.clear()
    connection = served.connect()
    connection.request("POST", "/api/runs", '{"prompt": "taken back"}', {**OWN, "Content-Type": "application/json"})
    wait_until(lambda: recorder.looking == 1)
    connection.close()
    time.sleep(0.2)
    recorder.may_look.set()
    name = served.ask("kept", max_new_tokens=1)
    wait_until(lambda: served.live.store.get(name).ended)  # type: ignore[union-attr]
    assert [run["label"] for run in served.call("GET", "/api/state")[1]["runs"]] == ["kept"]
    wait_until(lambda: len([path for path in served.live.store.folder.iterdir() if path.is_dir()]) == 1)


def test_a_slow_page_slows_nobody(served: Served, recorder: FakeRecorder) -> None:
    name = served.ask(max_new_tokens=3000)
    slow = served.follow(name)  # reads nothing
    assert names_of(served.follow(name))[-1] == "done"
    slow.leave()


def test_the_end_of_the_server_ends_streams_and_runs(served: Served, recorder: FakeRecorder) -> None:
    recorder.close_gate()
    first, second = served.ask("a"), served.ask("b")
    wait_until(lambda: served.live.line.running is not None)
    page = served.follow(first)
    page.until("prompt")
    served.end()
    assert names_of(page) == ["stopped"]
    for name in (first, second):
        run = served.live.store.get(name)
        assert run is not None
        assert run.state.status == "stopped"


def post_in_pieces(served: Served, head: str, piece: bytes, pieces: int) -> tuple[str, int]:
    """What the server says to a body that comes in pieces, and how many it took."""
    said: list[bytes] = []
    with socket.create_connection(("127.0.0.1", served.port), 20) as connection:

        def read() -> None:
            while part := connection.recv(65536):
                said.append(part)
                if b"}" in part:
                    return

        reader = threading.Thread(target=read)
        reader.start()
        connection.sendall(
            f"POST /api/runs HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nX-Attnviz: 1\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\n{head}\r\n\r\n".encode()
        )
        sent = 0
        try:
            for _ in range(pieces):
                if said:
                    break
                connection.sendall(piece)
                sent += 1
                time.sleep(0.001)
        except OSError:
            pass
        reader.join(20)
    return b"".join(said).decode(), sent


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_fault30_100_megabytes_are_refused_while_they_come(serve: Callable[..., Served], chunked: bool) -> None:
    served = serve(max_upload_mb=1)
    start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    piece = start + b"0" * (100_000 - len(start))
    if chunked:
        answer, sent = post_in_pieces(
            served, "Transfer-Encoding: chunked", f"{len(piece):x}\r\n".encode() + piece + b"\r\n", 1000
        )
    else:
        answer, sent = post_in_pieces(served, f"Content-Length: {len(piece) * 1000}", piece, 1000)
    assert answer.startswith("HTTP/1.1 413 ")
    told = json.loads(answer.partition("\r\n\r\n")[2])
    assert told["error"].startswith("this is larger than 1 MB")
    assert sent < 500, "it was refused long before it had come"
    assert served.call("GET", "/api/state")[0] == 200


def test_fault30_what_says_it_is_too_large_is_refused_before_any_of_it_has_come(serve: Callable[..., Served]) -> None:
    answer, sent = post_in_pieces(serve(max_upload_mb=1), "Content-Length: 100000000", b"", 1)
    assert answer.startswith("HTTP/1.1 413 ")
    assert sent == 1
