"""A job carried out where it came to: the work itself, its clock, its markers, and its errors as rows."""

from __future__ import annotations

import os
import resource
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import cast

from attnviz_video.batch import names
from attnviz_video.batch.jobs import Facts, Failure, Finished, Job, Outcome, SampleTask, Work, WorkPlan
from attnviz_video.batch.markers import Marker, read_marker, states_of, write_marker
from attnviz_video.batch.presence import Presence
from attnviz_video.errors import AttnVizError, DiskFullError, EnvironmentFault, TraceError
from attnviz_video.files import os_errors
from attnviz_video.progress import Advance

BUG = "this is a bug of ours; the traceback is in"
BUG_OF_ALL = "this is a bug of ours; run again with --debug and send us what it prints"
#: Facts that name files for the marker, and are not written into rows as they are.
FILES = ("outputs", "inputs")


class Worker:
    """One worker's work and whether its model is loaded."""

    def __init__(self, plan: WorkPlan, number: int) -> None:
        self._plan = plan
        self._number = number
        self._work: Work | None = None
        self._started = False
        self._presence: Presence | None = None

    def carry_out(
        self,
        job: Job,
        on_progress: Callable[[str, int, int | None], None] = lambda description, done, total: None,
        should_stop: Callable[[], bool] = lambda: False,
        finish_step: Callable[[], AbstractContextManager[None]] = nullcontext,
        break_into: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Finished:
        """Do a job; whatever goes wrong is a part of the result.

        `finish_step` surrounds recording, which asks `should_stop` itself after each step; `break_into` surrounds
        rendering, which an `Interrupted` ends. Loading the model is in neither: it leaves nothing to be tidied up.
        """
        progress = HeardProgress(on_progress)
        try:
            self._have_the_folder()
            if self._work is None:
                self._work = self._plan.build(self._number)
            if job.stage == "render":
                with break_into():
                    return finished(job, [self._render(self._work, job.tasks[0], progress)])
            if not self._started:
                on_progress("loading the model", 0, None)
                self._work.start()
                self._started = True
            with finish_step():
                if should_stop():
                    return Finished(job, tuple(Outcome(task.index, "interrupted", {}) for task in job.tasks))
                return finished(job, self._record(self._work, job.tasks, progress, should_stop))
        except KeyboardInterrupt:
            return Finished(job, tuple(Outcome(task.index, "interrupted", {}) for task in job.tasks))
        except Exception as error:
            # Before any sample was touched: there is no model, or no place to write to.
            return Finished(job, (), failure_of(error, None))

    def _have_the_folder(self) -> None:
        """Make sure that this worker may write into the folder of its run.

        Raises:
            UsageError: another run works there by now (see `presence`), which ends this one.
        """
        badge = self._plan.badge
        if badge is not None and self._presence is None:
            self._presence = Presence(badge)
        elif badge is not None:
            badge.check()

    def _record(
        self, work: Work, tasks: Sequence[SampleTask], progress: HeardProgress, should_stop: Callable[[], bool]
    ) -> list[Outcome]:
        ready: dict[int, BaseException | None] = {task.index: begun(task) for task in tasks}
        asked = [task for task in tasks if ready[task.index] is None]
        with measured() as measures:
            found = iter(recorded(work, asked, progress, should_stop))
        self._have_the_folder()
        outcomes = []
        for task in tasks:
            problem = ready[task.index]
            result = next(found) if problem is None else problem
            seconds = {"record": round(measures["seconds"] / len(tasks), 3)}
            told: Facts = {
                **asked_in(task), "peak_memory_mb": measures["peak_memory_mb"], "notices": list(progress.notices)
            }  # fmt: skip
            if isinstance(result, BaseException):
                outcomes.append(outcome_of(task, result, {**told, "seconds": seconds}))
                continue
            facts = {**told, **result, "seconds": {**seconds_in(result), **seconds}}
            outcomes.append(marked(task, names.RECORDED, facts))
        return outcomes

    def _render(self, work: Work, task: SampleTask, progress: HeardProgress) -> Outcome:
        before = dict(task.facts)
        try:
            with measured() as measures:
                remove_marker(task.home / names.DONE)
                result = work.render(task, progress)
            seconds = {**seconds_in(before), **seconds_in(result), "render": round(measures["seconds"], 3)}
            # What an earlier run wrote into the marker may have been edited since.
            peak = max(float(str(before.get("peak_memory_mb", 0))), measures["peak_memory_mb"])
            notices = [*cast("list[object]", before.get("notices", [])), *progress.notices]
        except TraceError as error:
            # A damaged trace is not rendered again and again: the next attempt records anew.
            with suppress(OSError):
                remove_marker(task.home / names.RECORDED)
            return outcome_of(task, error, before)
        except Exception as error:
            return outcome_of(task, error, before)
        self._have_the_folder()
        return marked(
            task, names.DONE, {**before, **result, "seconds": seconds, "peak_memory_mb": peak, "notices": notices}
        )


def begun(task: SampleTask) -> BaseException | None:
    """Make the folder of a sample and take back its markers; the error where something of that name is in the way.

    Raises:
        DiskFullError, EnvironmentFault: no sample can have a folder: there is no room, or no right to write.
    """
    home = task.home
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if not os.path.lexists(home):
            with os_errors(home):
                raise
        what = "a link to something that is not there" if home.is_symlink() and not home.exists() else "a file"
        return EnvironmentFault(
            f"cannot write {home}: where the folder of this sample goes there is {what} ({error.strerror or error}); "
            "remove it, or give it another name"
        )
    try:
        with os_errors(home):
            remove_marker(home / names.DONE)
            remove_marker(home / names.RECORDED)
    except EnvironmentFault as error:
        return error
    return None


def recorded(
    work: Work, tasks: Sequence[SampleTask], progress: HeardProgress, should_stop: Callable[[], bool]
) -> Sequence[Facts | BaseException]:
    """What `work` makes of the samples, one result for each; an error of all of them is the error of each."""
    if not tasks:
        return []
    try:
        found = work.record(tasks, progress, should_stop)
        if len(found) != len(tasks):
            raise AttnVizError(f"{len(tasks)} samples were recorded, and {len(found)} results came back")
    except Exception as error:
        return [error] * len(tasks)
    return found


def finished(job: Job, outcomes: Sequence[Outcome]) -> Finished:
    """The end of a job; a full disk ends the run, since every other sample would meet it too."""
    fatal = next((one.failure for one in outcomes if one.failure and one.status == "interrupted"), None)
    return Finished(job, tuple(outcomes), fatal)


def marked(task: SampleTask, name: str, facts: Facts) -> Outcome:
    """Write the marker of a stage, after everything it names; the row gets the same facts."""
    try:
        outputs = states_of(map(Path, cast("list[str]", facts.get("outputs", []))), task.home)
        inputs = states_of((Path(path).resolve() for path in cast("list[str]", facts.get("inputs", []))), task.home)
        before = read_marker(task.home / names.RECORDED) if name == names.DONE else None
        inputs = inputs or (() if before is None else before.inputs)
        listed = [{"path": state.path, "bytes": state.bytes, "crc32": state.crc32} for state in outputs]
        former = [] if before is None else [one for one in told_outputs(task.facts) if one not in listed]
        row: Facts = {
            **{key: value for key, value in facts.items() if key not in FILES},
            "index": task.index,
            "id": task.id,
            "folder": task.home.name,
            "attempt": task.attempt,
            "outputs": [*former, *listed],
        }
        write_marker(task.home / name, Marker(task.config_hash, outputs, inputs, row))
    except Exception as error:
        return outcome_of(task, error, {key: value for key, value in facts.items() if key not in FILES})
    return Outcome(task.index, "done" if name == names.DONE else "recorded", row)


def told_outputs(facts: Mapping[str, object]) -> list[object]:
    """The outputs that an earlier stage told."""
    outputs = facts.get("outputs", [])
    return list(outputs) if isinstance(outputs, list) else []


def outcome_of(task: SampleTask, error: BaseException, facts: Facts) -> Outcome:
    """An error as an outcome: stopped on request, the disk is full, or the sample failed."""
    if isinstance(error, KeyboardInterrupt):
        return Outcome(task.index, "interrupted", facts)
    if isinstance(error, DiskFullError):
        return Outcome(task.index, "interrupted", facts, failure_of(error, None))
    return Outcome(task.index, "failed", facts, failure_of(error, task.home))


def failure_of(error: BaseException, home: Path | None) -> Failure:
    """An error as it stands in a row: one line; the traceback of a bug goes into `home`, the sample's folder.

    Without a folder it is an error that ends the run, and its traceback goes along.
    """
    sentence = " ".join(str(error).split())
    met = "".join(traceback.format_exception(error))
    if isinstance(error, AttnVizError):
        return Failure(type(error).__name__, sentence, error.exit_code, "" if home else met)
    if isinstance(error, OSError) and error.filename:
        return Failure("EnvironmentFault", sentence, 4, "" if home else met)
    sentence = f"{type(error).__name__}: {sentence}"
    if home is None:
        return Failure(type(error).__name__, f"{sentence}; {BUG_OF_ALL}", AttnVizError.exit_code, met)
    with suppress(OSError):
        (home / names.TRACEBACK).write_text(met, encoding="utf-8", errors="replace")
        sentence += f"; {BUG} {home.name}/{names.TRACEBACK}"
    return Failure(type(error).__name__, sentence, AttnVizError.exit_code)


def asked_in(task: SampleTask) -> Facts:
    """What a sample asks, the right answer where it is known, and what there is to say about how it was read."""
    if task.sample is None:
        return {}
    return {"question": task.sample.problem, "answer": task.sample.answer, "input_notices": list(task.notices)}


def seconds_in(facts: Mapping[str, object]) -> dict[str, object]:
    """The seconds per stage that facts hold."""
    seconds = facts.get("seconds", {})
    return dict(seconds) if isinstance(seconds, Mapping) else {}


def remove_marker(path: Path) -> None:
    """A stage that starts anew is not whole any more."""
    with suppress(FileNotFoundError):
        path.unlink()


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """Seconds of the block, and the most memory this process held in it (MB); known after the block."""
    measures = {"seconds": 0.0, "peak_memory_mb": 0.0}
    with suppress(OSError):  # Linux: the high-water mark starts anew
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    try:
        yield measures
    finally:
        measures["seconds"] = time.perf_counter() - start
        measures["peak_memory_mb"] = round(peak_bytes() / 1e6, 1)


def peak_bytes() -> int:
    """The most memory this process held: since the mark was set anew on Linux, else since it began."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1024


class HeardProgress:
    """Bars as calls of a function; notices are kept for the row."""

    def __init__(self, on_progress: Callable[[str, int, int | None], None]) -> None:
        self._on_progress = on_progress
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Advance]:
        del unit
        done = 0

        def advance(parts: int) -> None:
            nonlocal done
            done += parts
            self._on_progress(description, done, total)

        self._on_progress(description, 0, total)
        yield advance


def here() -> Facts:
    """Where an attempt ran."""
    return {"host": socket.gethostname(), "process": os.getpid()}
