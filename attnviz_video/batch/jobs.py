"""What goes to a worker and what comes back: keys, texts and paths, never tensors."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

from attnviz_video.batch.presence import Badge
from attnviz_video.core.sample import Sample
from attnviz_video.progress import Progress

#: Recording needs the model; rendering needs the trace only.
Stage = Literal["record", "render"]
#: What a row of results.jsonl says about a sample, as JSON can hold it.
Facts = dict[str, object]


@dataclass(frozen=True)
class SampleTask:
    """One sample that needs work."""

    index: int
    id: str
    #: The folder of everything that belongs to it.
    home: Path
    #: None where the trace is there: rendering asks no dataset.
    sample: Sample | None
    #: Stands in the markers.
    config_hash: str
    #: From 1.
    attempt: int = 1
    #: What is known already: of a sample that is rendered, what its recording told.
    facts: Mapping[str, object] = field(default_factory=dict)
    #: What there is to say about how the sample was read from the dataset.
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What a worker does at a time: one sample, or several that are recorded together."""

    number: int
    stage: Stage
    tasks: tuple[SampleTask, ...]


@dataclass(frozen=True)
class Failure:
    """An error, as it crosses processes."""

    kind: str
    sentence: str
    exit_code: int
    #: Where it was met, as Python prints it, for `--debug`; of errors that end a run.
    traceback: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of one sample in one job."""

    index: int
    status: Literal["recorded", "done", "failed", "interrupted"]
    facts: Facts
    failure: Failure | None = None


@dataclass(frozen=True)
class Finished:
    """A worker has ended a job."""

    job: Job
    outcomes: tuple[Outcome, ...]
    #: Why the whole run must end: the model cannot be loaded, the disk is full.
    fatal: Failure | None = None


@dataclass(frozen=True)
class Died:
    """A worker has ended without a word, in the middle of a job."""

    job: Job
    #: "killed by SIGKILL", "ended with exit code 1" …
    how: str


@dataclass(frozen=True)
class Advanced:
    """A worker tells how far a job is."""

    job_number: int
    description: str
    done: int
    total: int | None


Event = Finished | Died | Advanced


@runtime_checkable
class Work(Protocol):
    """What is done with samples; one object per worker, made there."""

    def start(self) -> None:
        """Load what recording needs; called once, before the first `record`. Its errors end the run."""
        ...

    def record(
        self, tasks: Sequence[SampleTask], progress: Progress, should_stop: Callable[[], bool]
    ) -> list[Facts | BaseException]:
        """Write the traces of some samples; for each its facts, or why there is none.

        Facts hold `outputs` and `inputs`, lists of paths: what was written, and the files it was made of.
        """
        ...

    def render(self, task: SampleTask, progress: Progress) -> Facts:
        """Make everything that is made of a trace; facts as from `record`."""
        ...


@dataclass(frozen=True)
class WorkPlan:
    """How a worker makes its `Work`: a function by name, so that nothing heavy is carried over."""

    #: "package.module:function", called with the number of the worker and the arguments.
    builder: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    #: For which run; None where the worker is this process, which holds the lock itself.
    badge: Badge | None = None

    def build(self, worker: int) -> Work:
        """Make it, in the process that will use it."""
        module, _, function = self.builder.partition(":")
        return cast("Work", getattr(importlib.import_module(module), function)(worker, **self.arguments))
