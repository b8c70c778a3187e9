"""Which job is next, and what becomes of a job whose worker died; knows the interface of engines only.

Samples wait in two queues, one for recording and one for rendering. What is recorded is rendered while the next sample
is recorded; where rendering falls behind, recording waits, so that no queue grows with the dataset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from attnviz_video import errors
from attnviz_video.batch.carry_out import asked_in, failure_of
from attnviz_video.batch.engine import Engine
from attnviz_video.batch.jobs import Advanced, Died, Facts, Failure, Finished, Job, Outcome, SampleTask, Stage
from attnviz_video.batch.ledger import KILLS, Ledger, now
from attnviz_video.errors import AttnVizError, EnvironmentFault
from attnviz_video.sources.dataset import Dataset

#: Seconds between two looks at a request to stop.
LOOK_EVERY = 0.2
#: When so many samples have killed their workers and none has come to an end, it is the machine and not the samples.
HOPELESS = 5


@dataclass
class Counts:
    """Samples of a run by what has become of them; `before`: by earlier runs."""

    total: int = 0
    before: int = 0
    failed_before: int = 0
    #: With a trace and no video, where no videos were asked for.
    recorded_before: int = 0
    #: Never recorded as a whole, where nothing is to be recorded.
    unrecorded: int = 0
    done: int = 0
    recorded: int = 0
    failed: int = 0

    @property
    def settled(self) -> int:
        """Samples that nothing more happens to."""
        earlier = self.before + self.failed_before + self.recorded_before + self.unrecorded
        return earlier + self.done + self.recorded + self.failed

    @property
    def open(self) -> int:
        """Samples that were not come to."""
        return self.total - self.settled


@runtime_checkable
class Watch(Protocol):
    """Who is told how the run goes."""

    def settled(self, counts: Counts, task: SampleTask, status: str) -> None: ...

    def advanced(self, task: SampleTask, event: Advanced) -> None: ...

    def ended(self, job: Job) -> None: ...

    def tick(self, counts: Counts) -> None: ...


@dataclass
class Standing:
    """What is known about a sample while the run goes."""

    task: SampleTask
    kills: int = 0
    started: str = field(default_factory=now)


class Schedule:
    """Hands jobs to an engine until nothing is left, a signal comes, or nothing can go on."""

    def __init__(
        self,
        engine: Engine,
        ledger: Ledger,
        watch: Watch,
        counts: Counts,
        *,
        batch_size: int = 1,
        most_waiting: int = 8,
        trace_only: bool = False,
        dataset: Dataset | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """`most_waiting`: samples without a renderer, before recording waits.

        A sample is read from `dataset` when its turn has come, so that no more of them are held than are worked on.
        """
        self._engine = engine
        self._ledger = ledger
        self._watch = watch
        self.counts = counts
        self._batch_size = batch_size
        self._most_waiting = most_waiting
        self._trace_only = trace_only
        self._dataset = dataset
        self._should_stop = should_stop
        self._to_record: deque[Standing] = deque()
        self._to_render: deque[Standing] = deque()
        self._running: dict[int, tuple[Job, list[Standing]]] = {}
        self._n_jobs = 0
        self._fatal: Failure | None = None
        self._killed: set[int] = set()

    def run(self, to_record: Iterable[tuple[SampleTask, int]], to_render: Iterable[tuple[SampleTask, int]]) -> bool:
        """Do all tasks (each with the number of workers it has killed before); False where it was asked to stop.

        Raises:
            AttnVizError: nothing can go on: no model, no room on the disk, workers that die again and again.
        """
        self._to_record.extend(Standing(task, kills) for task, kills in to_record)
        self._to_render.extend(Standing(task, kills) for task, kills in to_render)
        stopping = False
        while self._running or (not stopping and (self._to_record or self._to_render)):
            if not stopping and (self._should_stop() or self._fatal is not None):
                stopping = True
                self._engine.interrupt()
            if not stopping:
                self._hand_out()
            for event in self._engine.wait(LOOK_EVERY):
                self._take(event, stopping)
            self._watch.tick(self.counts)
        if self._fatal is not None:
            raise raised(self._fatal)
        return not stopping and not self._should_stop()

    def _hand_out(self) -> None:
        """Give every free worker a job; videos first, so that what was recorded does not pile up."""
        while self._to_render and self._engine.free("render"):
            self._submit("render", [self._to_render.popleft()])
        while self._to_record and self._engine.free("record") and self._waiting() < self._most_waiting:
            group: list[Standing] = []
            while self._to_record and len(group) < self._batch_size:
                if group and (group[0].kills or self._to_record[0].kills):
                    break  # what killed a worker is tried alone
                one = self._to_record.popleft()
                if self._is_loaded(one):
                    group.append(one)
            if group:
                self._submit("record", group)

    def _is_loaded(self, one: Standing) -> bool:
        """Read a sample; one that cannot be read has failed, and blocks no other."""
        if one.task.sample is None and self._dataset is not None:
            one.started = now()
            try:
                loaded = self._dataset.load(one.task.index)
                one.task = replace(one.task, sample=loaded.sample, notices=loaded.notices)
            except Exception as error:
                facts = {**self._asked(one.task.index), **one.task.facts}
                self._settle(one, "load", "failed", facts, failure_of(error, one.task.home))
                return False
        return True

    def _asked(self, index: int) -> Facts:
        """What an item asks whose images cannot be used, and the right answer; nothing where itself is faulty."""
        fields = None
        with suppress(Exception):  # why it cannot be read is told already
            fields = None if self._dataset is None else self._dataset.fields_of(index)
        return {} if fields is None else {"question": fields.problem, "answer": fields.answer}

    def hear(self, event: Advanced) -> None:
        """Take word of a job that runs; from engines that cannot tell it through `wait`."""
        self._take(event, stopping=False)

    def _waiting(self) -> int:
        """Samples that have no renderer yet: those recorded, and those being recorded."""
        recording = sum(len(group) for job, group in self._running.values() if job.stage == "record")
        return 0 if self._trace_only else len(self._to_render) + recording

    def _submit(self, stage: Stage, group: list[Standing]) -> None:
        self._n_jobs += 1
        job = Job(self._n_jobs, stage, tuple(one.task for one in group))
        self._running[job.number] = (job, group)
        for one in group:
            if stage == "record":
                one.started = now()
        self._engine.submit(job)

    def _take(self, event: object, stopping: bool) -> None:
        if isinstance(event, Advanced):
            running = self._running.get(event.job_number)
            if running is not None:
                self._watch.advanced(running[0].tasks[0], event)
            return
        assert isinstance(event, Finished | Died)
        job, group = self._running.pop(event.job.number)
        self._watch.ended(job)
        if isinstance(event, Died):
            for one in reversed(group):  # put back in front, in their order
                self._died(one, job, event.how, stopping)
            return
        if event.fatal is not None:
            self._fatal = self._fatal or event.fatal
        outcomes = {outcome.index: outcome for outcome in event.outcomes}
        for one in reversed(group):
            outcome = outcomes.get(one.task.index)
            if outcome is None:
                continue  # the run ends before any sample was touched
            if outcome.status == "interrupted" and event.fatal is None and not (stopping or self._should_stop()):
                self._died(one, job, "ended by a signal", stopping)
                continue
            self._ended(one, job, outcome)

    def _ended(self, one: Standing, job: Job, outcome: Outcome) -> None:
        """A sample came to an end of a stage, in whatever way."""
        if outcome.status == "recorded":
            self._recorded(one, outcome.facts)
            return
        self._settle(one, job.stage, outcome.status, outcome.facts, outcome.failure)

    def _recorded(self, one: Standing, facts: Facts) -> None:
        self._killed.clear()
        if self._trace_only:
            self._settle(one, "record", "recorded", facts, None)
        else:
            one.task = replace(one.task, facts=facts)
            self._to_render.append(one)

    def _died(self, one: Standing, job: Job, how: str, stopping: bool) -> None:
        """A worker died with this sample in its hands: what it finished counts, the rest is tried once more."""
        task = one.task
        known = self._ledger.known(task.index, task.id, retry_failed=True, verify=False)
        if known.standing == "done":
            self._settle(one, job.stage, "done", None, None)
            return
        if known.standing == "recorded" and job.stage == "record":
            self._recorded(one, dict(self._ledger.facts(task.index, task.id)))
            return
        if stopping:
            self._settle(one, job.stage, "interrupted", dict(task.facts), None)
            return
        one.kills += 1
        self._killed.add(task.index)
        doing = "recorded" if job.stage == "record" else "rendered"
        others = f" together with {len(job.tasks) - 1} others" if len(job.tasks) > 1 else ""
        sentence = f"its worker was {how} while it was {doing}{others}"
        if one.kills >= KILLS:
            failure = Failure("WorkerDied", f"{sentence}, {one.kills} times; out of memory is the usual reason", 4)
            self._settle(one, job.stage, "failed", dict(task.facts), failure)
        else:
            failure = Failure("WorkerDied", sentence, 4)
            self._ledger.append(self._row(one, job.stage, "killed", dict(task.facts), failure))
            one.task = replace(task, attempt=task.attempt + 1)
            (self._to_record if job.stage == "record" else self._to_render).appendleft(one)
        if len(self._killed) >= HOPELESS:
            self._fatal = self._fatal or Failure(
                "EnvironmentFault",
                f"{len(self._killed)} samples killed their workers and none came to an end ({how}): is there enough "
                "memory? lower --batch_size, --render_workers or --num_workers",
                EnvironmentFault.exit_code,
            )

    def _settle(self, one: Standing, stage: str, status: str, facts: Facts | None, failure: Failure | None) -> None:
        """The end of an attempt; `facts` None: its row is written."""
        if facts is not None:
            self._ledger.append(self._row(one, stage, status, facts, failure))
        if status == "done":
            self._killed.clear()
            self.counts.done += 1
        elif status == "recorded":
            self.counts.recorded += 1
        elif status == "failed":
            self.counts.failed += 1
        self._watch.settled(self.counts, one.task, status)

    def _row(self, one: Standing, stage: str, status: str, facts: Facts, failure: Failure | None) -> Facts:
        task = one.task
        return {
            **asked_in(task),
            **facts,
            "index": task.index,
            "id": task.id,
            "folder": task.home.name,
            "status": status,
            "stage": stage,
            "attempt": task.attempt,
            "error": None if failure is None else {"kind": failure.kind, "sentence": failure.sentence},
            "started": one.started,
            "ended": now(),
        }


def raised(failure: Failure) -> AttnVizError:
    """The error that a worker met, in this process."""
    kind = getattr(errors, failure.kind, None)
    error = (kind if isinstance(kind, type) and issubclass(kind, AttnVizError) else AttnVizError)(failure.sentence)
    error.__cause__ = WorkerTraceback(failure.traceback) if failure.traceback else None
    return error


class WorkerTraceback(Exception):  # noqa: N818 (it is where an error was met, and is never raised)
    """Where a worker met an error; a traceback does not cross processes, its text does."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0].rstrip()}"
