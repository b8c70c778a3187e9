"""The simplest engine: one job after the other in this process. A sample that kills its worker kills the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from attnviz_video.batch.carry_out import Worker
from attnviz_video.batch.jobs import Advanced, Event, Job, Stage, WorkPlan
from attnviz_video.stopping import StopRequest


class InProcess:
    """Holds at most one job, which is carried out by `wait`."""

    def __init__(self, plan: WorkPlan, stop: StopRequest) -> None:
        self._worker = Worker(plan, 0)
        self._stop = stop
        #: Hears how far a job is, which `wait` cannot tell: it returns when the job is done.
        self.hear: Callable[[Advanced], None] = lambda event: None
        self._job: Job | None = None

    def free(self, stage: Stage) -> int:
        del stage
        return int(self._job is None)

    def submit(self, job: Job) -> None:
        self._job = job

    def wait(self, seconds: float) -> Sequence[Event]:
        job, self._job = self._job, None
        if job is None:
            time.sleep(seconds)
            return []
        number = job.number

        def on_progress(description: str, done: int, total: int | None) -> None:
            self.hear(Advanced(number, description, done, total))

        if job.stage == "record":
            return [self._worker.carry_out(job, on_progress, self._stop)]
        with self._stop.break_off():
            done = self._worker.carry_out(job, on_progress, self._stop)
        if any(outcome.status == "interrupted" and outcome.failure is None for outcome in done.outcomes):
            self._stop.requested = True  # a signal broke into the rendering: the run ends as after any other
        return [done]

    def interrupt(self) -> None:
        """The job that runs asks the same request itself."""

    def close(self) -> None:
        """There is nobody to end."""
