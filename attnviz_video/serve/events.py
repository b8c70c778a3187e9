"""What was told about a run, in order: kept, so that a late or second page is told all of it.

One thread tells, any number of connections listen, each at its own pace. Sent as server-sent events
(https://html.spec.whatwg.org/multipage/server-sent-events.html): an event's id is its number from 0.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Seconds after which a silent connection is sent a comment, so that one that is dead is found out.
KEEP_ALIVE = 10.0
#: Milliseconds after which a page comes back to a stream that ended although the run has not.
COME_BACK = 1000


@dataclass(frozen=True)
class Event:
    """One thing that was told."""

    name: str
    data: Mapping[str, Any]

    def line(self) -> str:
        """The event as one line of JSON, for the disk."""
        return json.dumps([self.name, self.data], ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def message(self, number: int) -> bytes:
        """The event as it is sent; JSON has no line breaks of its own, so that one line of data holds it."""
        data = json.dumps(self.data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return f"id: {number}\nevent: {self.name}\ndata: {data}\n\n".encode("utf-8", "replace")


def event_of(line: str) -> Event:
    """The event that `Event.line` wrote.

    Raises:
        ValueError: the line is not one.
    """
    name, data = json.loads(line)
    return Event(str(name), dict(data))


class EventLog:
    """Events in order; `tell` and `close` may be called in any thread."""

    def __init__(self, events: Sequence[Event] = (), *, closed: bool = False) -> None:
        self._events = list(events)
        self._closed = closed
        self._lock = threading.Lock()
        self._waiting: set[Callable[[], object]] = set()

    def __len__(self) -> int:
        return len(self._events)

    @property
    def events(self) -> tuple[Event, ...]:
        """All events so far."""
        with self._lock:
            return tuple(self._events)

    @property
    def closed(self) -> bool:
        """Whether no event will come any more."""
        return self._closed

    def tell(self, name: str, data: Mapping[str, Any], *, last: bool = False) -> None:
        """Add an event, unless the log is closed; `last` closes it."""
        with self._lock:
            if self._closed:
                return
            self._events.append(Event(name, data))
            self._closed = last
            waiting = tuple(self._waiting)
        for wake in waiting:
            wake()

    async def follow(
        self, after: int, *, keep_alive: float = KEEP_ALIVE, hold: Callable[[], bool] = lambda: True
    ) -> AsyncGenerator[bytes, None]:
        """The events behind number `after` as messages, those to come included, until the log is closed.

        The stream also ends where `hold` says no and everything so far was sent.
        """
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            # The loop may be closed by the time a last event is told.
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._waiting.add(wake)
        try:
            yield f"retry: {COME_BACK}\n\n".encode()
            number = after + 1
            while True:
                news.clear()
                with self._lock:
                    some, closed = self._events[number:], self._closed
                for event in some:
                    yield event.message(number)
                    number += 1
                if closed and number >= len(self._events):
                    return
                if not hold():
                    return
                try:
                    await asyncio.wait_for(news.wait(), keep_alive)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            with self._lock:
                self._waiting.discard(wake)
