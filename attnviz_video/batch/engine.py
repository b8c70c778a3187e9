"""The interface of engines: they run jobs somewhere and tell what became of them; they decide nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from attnviz_video.batch.jobs import Event, Job, Stage


@runtime_checkable
class Engine(Protocol):
    """Workers of two kinds, one for each stage; a worker does one job at a time and is replaced when it dies."""

    def free(self, stage: Stage) -> int:
        """How many jobs of that stage could start now."""
        ...

    def submit(self, job: Job) -> None:
        """Start a job; only where there is a free worker for it."""
        ...

    def wait(self, seconds: float) -> Sequence[Event]:
        """What has happened since the last call; waits up to that long for something."""
        ...

    def interrupt(self) -> None:
        """Ask the running jobs to end soon: a recording finishes its step, a rendering is dropped."""
        ...

    def close(self) -> None:
        """End all workers, whatever they do; none is left afterwards. More than once does no harm."""
        ...
