"""Ctrl-C and SIGTERM."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attnviz_video.errors import AttnVizError, Interrupted
from attnviz_video.sources import images
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


def test_a_signal_is_not_swallowed_by_code_that_catches_every_exception() -> None:
    with stop_on_signals(), pytest.raises(Interrupted):  # noqa: PT012 (the block is the subject)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("swallowed")
    assert not issubclass(Interrupted, AttnVizError)
    assert Interrupted.exit_code == 130


def test_a_signal_while_an_image_is_decoded_is_no_broken_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def decode(image: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return image

    monkeypatch.setattr(images, "_to_rgb", decode)
    with stop_on_signals(), pytest.raises(Interrupted, match="stopped by SIGINT"):
        images.decode_image(tmp_path / "a.png")
