"""The engine for clusters: Ray actors, one for every worker. Nowhere else is Ray imported.

Actors are restarted by Ray without end, and calls are never repeated by Ray: how often a sample is tried is decided by
the schedule, which keeps the books. Keys, texts and paths travel; traces and videos are on storage that all nodes
share.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from attnviz_video.batch.carry_out import Worker
from attnviz_video.batch.jobs import Died, Event, Finished, Job, Stage, WorkPlan
from attnviz_video.errors import EnvironmentFault, UsageError

#: Seconds for the head of a cluster to answer.
CONNECT_WITHIN = 10.0
#: Seconds for an actor that cannot be reached to be reached again; then it is given up.
REACHED_WITHIN = 60.0
#: Seconds between two questions to such an actor.
ASK_EVERY = 0.2


class Actor:
    """A worker inside a Ray actor. One thread works; the other can be asked to stop it."""

    def __init__(self, plan: WorkPlan, number: int) -> None:
        self._worker = Worker(plan, number)
        self._stop = threading.Event()
        self._begun: set[int] = set()

    def carry_out(self, job: Job) -> Finished:
        """Do a job."""
        self._begun.add(job.number)
        return self._worker.carry_out(job, should_stop=self._stop.is_set)

    def has_begun(self, job_number: int) -> bool:
        """Whether a job came to this actor in the life it has now; answers as soon as it lives (again)."""
        return job_number in self._begun

    def stop(self) -> None:
        """End the recording that runs after its step."""
        self._stop.set()


@dataclass
class Seat:
    """A place for an actor, which is made when the first job comes."""

    stage: Stage
    number: int
    actor: Any = None
    job: Job | None = None
    call: Any = None
    #: The call whose answer tells that nobody works on the job any more, after word of it was lost; and how it was.
    revival: Any = None
    lost: str = ""
    lost_at: float = 0.0


class RayEngine:
    """Actors on a Ray cluster."""

    def __init__(self, plan: WorkPlan, address: str | None, *, n_record: int, n_render: int, on_gpu: bool) -> None:
        """Connect to the cluster at `address` (None: one on this machine, for this run alone).

        Raises:
            UsageError: Ray is not installed.
            EnvironmentFault: the cluster cannot be reached, or has too few resources.
        """
        try:
            import ray
        except ImportError as error:
            raise UsageError("--engine ray needs Ray: pip install 'attnviz-video[ray]'") from error
        self._ray = ray
        self._ours = not ray.is_initialized()
        n_cpus = None if address else max(os.cpu_count() or 1, n_record + n_render)
        if self._ours:
            refuse_silent_host(address)
            on_sigterm = signal.getsignal(signal.SIGTERM)
            try:
                ray.init(address=address, num_cpus=n_cpus, include_dashboard=False, log_to_driver=False,
                         logging_level=logging.ERROR, configure_logging=True)  # fmt: skip
            except (ConnectionError, ValueError, RuntimeError, OSError) as error:
                reason = " ".join(str(error).split())
                raise EnvironmentFault(
                    f"no Ray cluster at {address or 'this machine'}: {reason}; check --ray_address"
                ) from error
            finally:
                signal.signal(signal.SIGTERM, on_sigterm)  # Ray puts in one of its own, which ends the process
        gpus = 1 if on_gpu and ray.cluster_resources().get("GPU", 0) else 0
        options: dict[str, Any] = {"max_restarts": -1, "max_task_retries": 0, "max_concurrency": 2}
        self._classes = {
            "record": ray.remote(num_cpus=1, num_gpus=gpus, **options)(Actor),
            "render": ray.remote(num_cpus=1, num_gpus=0, **options)(Actor),
        }
        # Not put into the object store: what is lost there could not be given to a restarted actor.
        self._plan = plan
        self._seats = [Seat("record", number) for number in range(n_record)]
        self._seats += [Seat("render", number) for number in range(n_render)]

    def free(self, stage: Stage) -> int:
        return sum(seat.stage == stage and is_free(seat) for seat in self._seats)

    def submit(self, job: Job) -> None:
        seats = [seat for seat in self._seats if seat.stage == job.stage and is_free(seat)]
        seat = min(seats, key=lambda one: one.actor is None)
        if seat.actor is None:
            seat.actor = self._classes[seat.stage].remote(self._plan, seat.number)
        seat.job = job
        seat.call = seat.actor.carry_out.remote(job)

    def wait(self, seconds: float) -> Sequence[Event]:
        calls = {seat.call: seat for seat in self._seats if seat.call is not None}
        revivals = {seat.revival: seat for seat in self._seats if seat.revival is not None}
        waited_for = [*calls, *revivals]
        if not waited_for:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(waited_for, num_returns=1, timeout=seconds)
        if ready:  # what else has ended by now, without waiting
            ready, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0)
        events = [self._ended(calls[call]) if call in calls else self._asked(revivals[call]) for call in ready]
        return [event for event in events if event is not None]

    def interrupt(self) -> None:
        for seat in self._seats:
            if seat.actor is None or seat.job is None:
                continue
            if seat.stage == "record":
                seat.actor.stop.remote()
            else:
                self._ray.kill(seat.actor)

    def close(self) -> None:
        for seat in self._seats:
            if seat.actor is not None:
                self._ray.kill(seat.actor)
                seat.actor = seat.job = seat.call = seat.revival = None
                seat.lost = ""
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _ended(self, seat: Seat) -> Finished | None:
        """What became of the call of a seat; None where word of it was lost."""
        try:
            done: Finished = self._ray.get(seat.call)
        except self._ray.exceptions.RayError as error:
            # Ray restarts the actor by itself. It calls a killed actor "unavailable", and also one that works on and
            # only cannot be reached; nor can it tell whether the job had begun, so that every such end counts as one
            # kill. The job is not given to anybody before it is known that this actor has let it go.
            seat.call, seat.lost, seat.lost_at = None, f"lost by Ray ({type(error).__name__})", time.monotonic()
            self._ask(seat)
            return None
        seat.job = seat.call = None
        return done

    def _ask(self, seat: Seat) -> None:
        """Ask an actor whether it still has its job."""
        assert seat.job is not None
        seat.revival = seat.actor.has_begun.remote(seat.job.number)

    def _asked(self, seat: Seat) -> Died | None:
        """The end of a job of which word was lost, when nobody works on it any more."""
        job = seat.job
        assert job is not None
        try:
            if self._ray.get(seat.revival):
                # Its first life goes on, and word of the job will never come.
                self._ray.kill(seat.actor, no_restart=False)
                time.sleep(ASK_EVERY)
                self._ask(seat)
                return None
        except self._ray.exceptions.ActorDiedError:
            seat.actor = None  # for good: the next job gets a new one
        except self._ray.exceptions.RayError:
            if time.monotonic() - seat.lost_at < REACHED_WITHIN:
                time.sleep(ASK_EVERY)
                self._ask(seat)
                return None
            self._ray.kill(seat.actor)
            seat.actor = None
        died = Died(job, seat.lost)
        seat.job = seat.revival = None
        return died


def refuse_silent_host(address: str | None) -> None:
    """Refuse an address `host:port` where nobody answers: Ray itself would wait for many minutes.

    Raises:
        EnvironmentFault: nobody does.
    """
    host, _, port = (address or "").rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # `auto`, `local`, `ray://…`: Ray finds out quickly
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise EnvironmentFault(f"no Ray cluster at {address}: {error}; check --ray_address") from error


def is_free(seat: Seat) -> bool:
    """Whether a job may go to a seat."""
    return seat.job is None
