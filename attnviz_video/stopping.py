"""Ctrl-C and SIGTERM: the first asks to stop at the next step, the second stops at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from attnviz_video.errors import Interrupted


class StopRequest:
    """Whether the user or the system has asked the program to stop."""

    def __init__(self) -> None:
        self.requested = False
        self._finishing_step = False

    def __call__(self) -> bool:
        return self.requested

    @contextmanager
    def finish_step(self) -> Iterator[None]:
        """Work inside the block polls this request itself, so that the first signal does not break into it."""
        self._finishing_step = True
        try:
            yield
        finally:
            self._finishing_step = False

    @contextmanager
    def break_off(self) -> Iterator[None]:
        """A part of `finish_step` that polls nothing, so that the first signal breaks into it after all."""
        before, self._finishing_step = self._finishing_step, False
        try:
            yield
        finally:
            self._finishing_step = before

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Signal handler.

        Raises:
            Interrupted: at the second signal, and at the first one outside `finish_step`.
        """
        del frame
        if self.requested or not self._finishing_step:
            raise Interrupted(f"stopped by {signal.Signals(number).name}")
        self.requested = True


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM for the length of the block; handlers are put back afterwards."""
    request = StopRequest()
    before = {number: signal.signal(number, request.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
