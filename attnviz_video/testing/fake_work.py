"""Work of a batch without a model: small files, and the faults that a sample's `fake` field asks for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attnviz_video.batch.jobs import Facts, SampleTask
from attnviz_video.config import RunConfig
from attnviz_video.errors import DiskFullError, Interrupted, ModelError, TraceError
from attnviz_video.progress import Progress

BUILDER = "attnviz_video.testing.fake_work:build"
#: Every piece of work that came to its end leaves a line here, in the folder of its sample.
EXECUTIONS = ".executions"


class FakeWork:
    """Obeys the field `fake` of a sample, an object with any of:

    `fail`, `bug`, `disk_full`: "record" or "render"; `bug` may be "together": recording then raises, instead of giving
    the error back for its sample; `damaged`: "render" finds the trace damaged; `kill`, `kill_once`: the stage in which
    the worker is killed; `seconds`: how long each stage takes, in steps of 10 ms. That the model cannot be loaded,
    takes a minute or meets a bug is asked for by `prompt_template`, since no sample is there yet.
    """

    def __init__(self, worker: int, config: RunConfig) -> None:
        self._worker = worker
        self._config = config

    def start(self) -> None:
        if self._config.model.prompt_template == "no model {problem}":
            raise ModelError("this model cannot be loaded; choose another --model_path")
        if self._config.model.prompt_template == "slow model {problem}":
            time.sleep(60)
        if self._config.model.prompt_template == "model with a bug {problem}":
            raise ZeroDivisionError("a bug of the model, as was asked for")

    def record(
        self, tasks: Sequence[SampleTask], progress: Progress, should_stop: Callable[[], bool]
    ) -> list[Facts | BaseException]:
        if any(asked_of(task).get("bug") == "together" for task in tasks):
            raise ZeroDivisionError("a bug of the whole batch, as was asked for")
        return [self._record(task, progress, should_stop, len(tasks)) for task in tasks]

    def _record(
        self, task: SampleTask, progress: Progress, should_stop: Callable[[], bool], n_together: int
    ) -> Facts | BaseException:
        assert task.sample is not None
        asked = asked_of(task)
        try:
            self._obey(task, asked, "record", progress, should_stop)
        except (Exception, KeyboardInterrupt) as error:
            return error
        trace = task.home / "trace.txt"
        trace.write_text(f"trace of {task.id}\n")
        executed(task, "record")
        return {
            "fake": dict(asked), "response": "<answer>yes</answer>", "n_tokens": 3, "trace": trace.name,
            "outputs": [str(trace)], "inputs": [str(path) for path in task.sample.image_paths],
            "together": n_together, "worker": self._worker, "device": self._config.model.device,
        }  # fmt: skip

    def render(self, task: SampleTask, progress: Progress) -> Facts:
        asked = task.facts.get("fake", {})
        assert isinstance(asked, Mapping)
        self._obey(task, asked, "render", progress, lambda: False)
        video = task.home / "video.txt"
        video.write_text(f"video of {task.id}\n")
        executed(task, "render")
        return {"videos": [video.name], "poster": None, "outputs": [str(video)]}

    def _obey(
        self,
        task: SampleTask,
        asked: Mapping[str, object],
        stage: str,
        progress: Progress,
        should_stop: Callable[[], bool],
    ) -> None:
        if asked.get("kill") == stage:
            os.kill(os.getpid(), signal.SIGKILL)
        once = task.home / ".killed"
        if asked.get("kill_once") == stage and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if asked.get("fail") == stage:
            raise ModelError(f"sample {task.index} fails while it is {stage}ed, as was asked for")
        if asked.get("bug") == stage:
            raise ZeroDivisionError("a bug, as was asked for")
        if asked.get("damaged") == stage:
            raise TraceError(f"{task.home / 'trace.txt'}: shard 3 is damaged (CRC), as was asked for")
        if asked.get("disk_full") == stage:
            raise DiskFullError("disk full: needs about 1 kB, free 0 B; free some space")
        n_steps = int(100 * float(str(asked.get("seconds", 0))))
        with progress.track(f"fake {stage}", n_steps, "step") as advance:
            for _ in range(n_steps):
                if should_stop():
                    raise Interrupted("stopped as was asked for")
                time.sleep(0.01)
                advance(1)


def asked_of(task: SampleTask) -> Mapping[str, object]:
    """What the field `fake` of a sample asks for."""
    asked = {} if task.sample is None else task.sample.extra.get("fake", {})
    assert isinstance(asked, Mapping)
    return asked


def executed(task: SampleTask, stage: str) -> None:
    """Leave a line that a stage of a sample came to its end."""
    with (task.home / EXECUTIONS).open("a") as file:
        file.write(f"{stage}\n")


def executions(home: Path) -> list[str]:
    """The stages of a sample that came to their end, in order; more than one of a kind was done twice."""
    file = home / EXECUTIONS
    return file.read_text().split() if file.exists() else []


def build(worker: int, config: RunConfig, devices: Sequence[str] = ()) -> FakeWork:
    """The work of one worker."""
    if devices:
        from dataclasses import replace

        config = replace(config, model=replace(config.model, device=devices[worker % len(devices)]))
    return FakeWork(worker, config)
