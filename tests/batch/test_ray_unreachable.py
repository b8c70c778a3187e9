"""An actor that cannot be reached may work on: its job is given to nobody else before it has let it go.

A broken connection cannot be planted in a real cluster, so that Ray is played by a few lines here; see test_ray.py for
the real one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attnviz_video.batch import ray as engine_of_ray
from attnviz_video.batch.jobs import Died, Finished, Job, Outcome, SampleTask, WorkPlan
from attnviz_video.batch.ray import RayEngine


class Unreachable(Exception):  # noqa: N818 (as Ray has one)
    pass


class Dead(Unreachable):
    pass


@dataclass(eq=False)
class Call:
    """A call whose answer is there: a value, or an error."""

    answer: Any


@dataclass(eq=False)
class PlayedActor:
    """Answers what a test has laid out for it."""

    answers: list[Any]
    kills: list[bool] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Call:
            self.asked.append(name)
            return Call(self.answers.pop(0))

        return SimpleNamespace(remote=remote)


class PlayedRay:
    """As much of Ray as the engine uses."""

    exceptions = SimpleNamespace(RayError=Unreachable, ActorDiedError=Dead)

    def __init__(self, *answers: list[Any]) -> None:
        """One list of answers for each actor, in the order they are made."""
        self.actors = [PlayedActor(one) for one in answers]
        self._to_make = list(self.actors)

    def is_initialized(self) -> bool:
        return True

    def cluster_resources(self) -> dict[str, float]:
        return {}

    def remote(self, **options: Any) -> Any:
        return lambda kind: SimpleNamespace(remote=lambda *arguments: self._to_make.pop(0))

    def wait(self, calls: list[Call], num_returns: int, timeout: float) -> tuple[list[Call], list[Call]]:
        return calls, []

    def get(self, call: Call) -> Any:
        if isinstance(call.answer, Exception):
            raise call.answer
        return call.answer

    def kill(self, actor: PlayedActor, no_restart: bool = True) -> None:
        actor.kills.append(no_restart)


JOB = Job(7, "record", (SampleTask(0, "a", Path("a"), None, "hash"),))
DONE = Finished(JOB, (Outcome(0, "recorded", {}),))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of_ray, "ASK_EVERY", 0.0)


def engine(ray: PlayedRay, monkeypatch: pytest.MonkeyPatch) -> RayEngine:
    monkeypatch.setitem(sys.modules, "ray", ray)
    return RayEngine(WorkPlan("nothing:nobody"), None, n_record=1, n_render=0, on_gpu=False)


def test_an_actor_that_works_on_is_ended_before_its_job_is_given_away(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = PlayedRay([Unreachable(), True, Unreachable(), False, DONE])
    one = engine(ray, monkeypatch)
    one.submit(JOB)
    (actor,) = ray.actors
    for kills in ([], [False], [False]):
        assert one.wait(0.0) == []
        assert (one.free("record"), actor.kills) == (0, kills), "nobody gets the job, and it gets no other"
    assert one.wait(0.0) == [Died(JOB, "lost by Ray (Unreachable)")]
    assert one.free("record") == 1
    one.submit(JOB)
    assert one.wait(0.0) == [DONE]
    assert actor.asked == ["carry_out", "has_begun", "has_begun", "has_begun", "carry_out"]


def test_an_actor_that_is_dead_for_good_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = PlayedRay([Dead(), Dead()], [DONE])
    one = engine(ray, monkeypatch)
    one.submit(JOB)
    assert one.wait(0.0) == []
    assert one.wait(0.0) == [Died(JOB, "lost by Ray (Dead)")]
    one.submit(JOB)
    assert one.wait(0.0) == [DONE]
    assert [actor.kills for actor in ray.actors] == [[], []]


def test_an_actor_that_stays_unreachable_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_of_ray, "REACHED_WITHIN", 0.0)
    ray = PlayedRay([Unreachable(), Unreachable()], [DONE])
    one = engine(ray, monkeypatch)
    one.submit(JOB)
    assert one.wait(0.0) == []
    assert one.wait(0.0) == [Died(JOB, "lost by Ray (Unreachable)")]
    assert ray.actors[0].kills == [True], "if it can be reached ever again, it ends"
    one.submit(JOB)
    assert one.wait(0.0) == [DONE]
