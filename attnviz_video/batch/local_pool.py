"""The local engine: worker processes on this machine, started when the first job for them comes."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.resource_tracker
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from attnviz_video.batch.jobs import Advanced, Died, Event, Finished, Job, Stage, WorkPlan
from attnviz_video.batch.worker import serve

#: Seconds a worker gets to end when it is asked to, before it is killed.
PATIENCE = 3.0


@dataclass
class Slot:
    """A place for a worker; empty until it is needed and after its worker died."""

    stage: Stage
    number: int
    process: SpawnProcess | None = None
    connection: Connection | None = None
    job: Job | None = None


class LocalPool:
    """`record` and `render` workers, each in a process of its own.

    Processes are spawned, never forked: a fork of a process that has used a GPU cannot use it.
    """

    def __init__(self, plan: WorkPlan, *, n_record: int, n_render: int) -> None:
        self._plan = plan
        self._slots = [Slot("record", number) for number in range(n_record)]
        self._slots += [Slot("render", number) for number in range(n_render)]
        self._context = multiprocessing.get_context("spawn")

    def free(self, stage: Stage) -> int:
        return sum(slot.stage == stage and slot.job is None for slot in self._slots)

    def submit(self, job: Job) -> None:
        # A worker that runs is better than one that has to start: the model is loaded there.
        slots = [slot for slot in self._slots if slot.stage == job.stage and slot.job is None]
        slot = min(slots, key=lambda one: one.process is None)
        if slot.process is None or not slot.process.is_alive():
            self._empty(slot)
            self._start(slot)
        slot.job = job
        # A worker that has just died is found by `wait`, which tells of its job.
        with suppress(BrokenPipeError, ConnectionResetError):
            cast("Connection", slot.connection).send(job)

    def wait(self, seconds: float) -> Sequence[Event]:
        running = [slot for slot in self._slots if slot.process is not None]
        watched: list[Connection | int] = []
        for slot in running:
            watched += [cast("Connection", slot.connection), cast("SpawnProcess", slot.process).sentinel]
        if not watched:
            time.sleep(seconds)
            return []
        ready = set(map(id_of, multiprocessing.connection.wait(watched, seconds)))
        events: list[Event] = []
        for slot in running:
            connection, process = cast("Connection", slot.connection), cast("SpawnProcess", slot.process)
            dead = process.sentinel in ready
            if dead or id_of(connection) in ready:
                received = self._received(slot, to_the_end=dead)
                events += received
                if not dead and any(map(was_interrupted, received)):
                    process.join(PATIENCE)  # it ends by itself, and must not be given another job before
                    dead = not process.is_alive()
            if dead:
                process.join()
                if slot.job is not None:
                    events.append(Died(slot.job, how_it_ended(process.exitcode)))
                self._empty(slot)
        return events

    def interrupt(self) -> None:
        for slot in self._slots:
            if slot.process is not None:
                slot.process.terminate()

    def close(self) -> None:
        for slot in self._slots:
            if slot.connection is not None:
                slot.connection.close()  # an idle worker ends by that
        if any(slot.job is not None for slot in self._slots):
            self.interrupt()
        until = time.monotonic() + PATIENCE
        for slot in self._slots:
            if slot.process is not None:
                slot.process.join(max(0.0, until - time.monotonic()))
                if slot.process.is_alive():
                    slot.process.kill()
                    slot.process.join()
                slot.process.close()
                slot.process = slot.connection = slot.job = None

    def processes(self) -> list[int]:
        """Process ids of the workers there are."""
        return [slot.process.pid for slot in self._slots if slot.process is not None and slot.process.pid is not None]

    def _start(self, slot: Slot) -> None:
        ours, theirs = self._context.Pipe()
        name = f"attnviz {slot.stage} {slot.number}"
        slot.process = self._context.Process(target=serve, args=(theirs, self._plan, slot.number), name=name)
        slot.connection = ours
        # Python starts a process of its own beside the first worker, and lets all signals through when it has done so.
        multiprocessing.resource_tracker.ensure_running()
        # Signals of a terminal are for the parent; the worker ignores them, but not before it runs.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            slot.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def _received(self, slot: Slot, *, to_the_end: bool) -> list[Event]:
        """What a worker has sent; of a dead one, all that is left in the pipe."""
        events: list[Event] = []
        connection = cast("Connection", slot.connection)
        with suppress(EOFError, ConnectionResetError, OSError):
            while connection.poll():
                event = connection.recv()
                if isinstance(event, Finished):
                    slot.job = None
                if isinstance(event, Finished | Advanced):
                    events.append(event)
                if not to_the_end:
                    break
        return events

    def _empty(self, slot: Slot) -> None:
        if slot.connection is not None:
            slot.connection.close()
        if slot.process is not None and not slot.process.is_alive():
            slot.process.close()
        slot.process = slot.connection = slot.job = None


def was_interrupted(event: Event) -> bool:
    """Whether a signal to the worker broke off the job, after which the worker ends."""
    return (
        isinstance(event, Finished)
        and event.fatal is None
        and any(outcome.status == "interrupted" for outcome in event.outcomes)
    )


def id_of(watched: object) -> int:
    """A sentinel is its own number; a connection goes by its identity, which no file number reaches."""
    return watched if isinstance(watched, int) else id(watched)


def how_it_ended(code: int | None) -> str:
    """The end of a worker in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
