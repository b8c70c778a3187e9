"""What was told is kept for those who come late, and each is told at its own pace."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from attnviz_video.serve.events import Event, EventLog, event_of

RETRY = b"retry: 1000\n\n"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of `work` in a loop of its own: that of a browser test may still run in this thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(asyncio.wait_for(work, 10))).result()


async def all_of(log: EventLog, after: int = -1, **more: Any) -> list[bytes]:
    return [message async for message in log.follow(after, **more)]


def test_a_late_listener_hears_all_of_it() -> None:
    log = EventLog()
    log.tell("step", {"text": "龘\n</script>"})
    log.tell("done", {}, last=True)
    log.tell("step", {})
    first = 'id: 0\nevent: step\ndata: {"text":"龘\\n</script>"}\n\n'.encode()
    assert run(all_of(log)) == [RETRY, first, b"id: 1\nevent: done\ndata: {}\n\n"]
    assert run(all_of(log, after=0)) == [RETRY, b"id: 1\nevent: done\ndata: {}\n\n"]
    assert log.closed
    assert len(log) == 2


def test_every_listener_hears_what_another_thread_tells() -> None:
    log = EventLog()

    async def listen() -> list[list[bytes]]:
        threading.Timer(0.05, lambda: [log.tell("step", {"n": n}, last=n == 9) for n in range(10)]).start()
        return list(await asyncio.gather(*(all_of(log) for _ in range(5))))

    heard = run(listen())
    assert all(one == heard[0] and len(one) == 11 for one in heard)
    assert not log._waiting


def test_a_silent_log_sends_signs_of_life() -> None:
    log = EventLog()

    async def listen() -> bytes:
        messages = log.follow(-1, keep_alive=0.01)
        assert await anext(messages) == RETRY
        found = await anext(messages)
        await messages.aclose()
        return found

    assert run(listen()) == b": still here\n\n"
    assert not log._waiting


def test_a_stream_that_is_not_held_ends_after_what_there_is() -> None:
    log = EventLog()
    log.tell("queue", {"place": 2})
    assert run(all_of(log, hold=lambda: False)) == [RETRY, b'id: 0\nevent: queue\ndata: {"place":2}\n\n']
    assert not log.closed


def test_telling_after_the_loop_is_gone_does_no_harm() -> None:
    log = EventLog()

    async def begin() -> Any:
        messages = log.follow(-1)
        await anext(messages)
        return messages

    def in_a_loop_that_is_closed() -> Any:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(begin())
        finally:
            loop.close()

    with ThreadPoolExecutor(1) as thread:  # the loop of a browser test may still run in this one
        messages = thread.submit(in_a_loop_that_is_closed).result()
    log.tell("done", {}, last=True)
    assert log.closed
    del messages


def test_an_event_survives_the_disk() -> None:
    log = EventLog()
    log.tell("step", {"text": "\u2028 ' \"", "n": [1.5, None]})
    line = log.events[0].line()
    assert "\n" not in line
    assert event_of(line) == log.events[0]
    with pytest.raises(ValueError, match="Expecting value"):
        EventLog([event_of("nonsense")])
    with pytest.raises(ValueError, match="not JSON compliant"):
        Event("step", {"x": float("nan")}).message(0)
