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


class Actor:
    """A worker inside a Ray actor. One thread works; the other can be asked to stop it."""

    def __init__(self, plan: WorkPlan, number: int) -> None:
        self._worker = Worker(plan, number)
        self._stop = threading.Event()

    def carry_out(self, job: Job) -> Finished:
        """Do a job."""
        return self._worker.carry_out(job, should_stop=self._stop.is_set)

    def is_there(self) -> bool:
        """Answers as soon as the actor lives (again)."""
        return True

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
    #: The call whose answer tells that the actor lives again; no job goes to it before.
    revival: Any = None


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
        calls = {seat.call: seat for seat in self._seats if seat.job is not None}
        revivals = {seat.revival: seat for seat in self._seats if seat.revival is not None}
        waited_for = [*calls, *revivals]
        if not waited_for:
            time.sleep(seconds)
            return []
        ready, _ = self._ray.wait(waited_for, num_returns=1, timeout=seconds)
        if ready:  # what else has ended by now, without waiting
            ready, _ = self._ray.wait(waited_for, num_returns=len(waited_for), timeout=0)
        for call in ready:
            if call in revivals:
                self._revived(revivals[call])
        return [self._event(calls[call]) for call in ready if call in calls]

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
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _event(self, seat: Seat) -> Finished | Died:
        """What became of the call of a seat."""
        job = seat.job
        assert job is not None
        try:
            done: Finished = self._ray.get(seat.call)
            return done
        except self._ray.exceptions.RayError as error:
            # Ray restarts the actor by itself. It calls a killed actor "unavailable" and cannot tell whether the job
            # had begun, so that every such end counts as one kill.
            seat.revival = seat.actor.is_there.remote()
            return Died(job, f"lost by Ray ({type(error).__name__})")
        finally:
            seat.job = seat.call = None

    def _revived(self, seat: Seat) -> None:
        """An actor lives again, or never will: then the next job gets a new one."""
        try:
            self._ray.get(seat.revival)
        except self._ray.exceptions.RayError:
            seat.actor = None
        seat.revival = None


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
    return seat.job is None and seat.revival is None
