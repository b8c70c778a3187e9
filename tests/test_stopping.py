"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal

import pytest

from attnviz_video.errors import Interrupted
from attnviz_video.stopping import stop_on_signals


def test_the_first_signal_is_a_request_while_steps_are_polled() -> None:
    with stop_on_signals() as stop, stop.finish_step():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop()


def test_the_second_signal_stops_at_once() -> None:
    with stop_on_signals() as stop, stop.finish_step():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted, match="stopped by SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_outside_polled_work_the_first_signal_stops_at_once() -> None:
    with stop_on_signals() as stop, pytest.raises(Interrupted, match="stopped by SIGINT"):
        os.kill(os.getpid(), signal.SIGINT)
    assert not stop()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signals():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
