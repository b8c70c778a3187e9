"""A coder that fails in a worker: a module of its own, so that the worker loads little."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

from attnviz_video.errors import TraceError
from attnviz_video.export.coders import Frame

_coded: list[str] = []


@dataclass(frozen=True)
class FaultyCoder:
    """Does something else than code the frames of a process after the second."""

    fault: str
    needs_previous: ClassVar[bool] = False

    def code(self, frame: Frame, previous: Frame | None) -> bytes:
        """`frame`, for a while."""
        _coded.append(self.fault)
        if len(_coded) <= 2:
            return b"frame"
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "hang":
            time.sleep(60)
        if self.fault == "exit":
            os._exit(0)
        if self.fault == "known":
            raise TraceError("shard 3 damaged")
        raise ValueError("something else")
