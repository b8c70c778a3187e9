"""FAULTS 23 and 24: killed at whatever moment, finished shards are readable and the former trace is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attnviz_video.errors import Interrupted, TraceError
from attnviz_video.tracefile.place import is_trace, partial_of
from attnviz_video.tracefile.read import incomplete_notice, open_trace, verify_trace
from tests.tracefile.made import Made, made

OLD, NEW = made(3, seed=1), made(20, seed=2, first_step=2, query_rows="all")


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked child; its exit status (negative: the signal that killed it)."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at(call: int) -> None:
    """From now on, the `call`-th fsync, replace, rename or unlink kills this process before it happens."""
    left = [call]

    def deadly(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **keywords: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **keywords)

        return wrapped

    os.fsync = deadly(lambda handle: None)  # A killed process loses nothing that it wrote; and disks are slow.
    for name in ("replace", "rename", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))


def assert_beginning_of(recording: Made, folder: Path) -> int:
    """What is in `folder` verifies and is the beginning of `recording`; how many steps."""
    verify_trace(folder)
    trace = open_trace(folder)
    for info, step in zip(trace.steps, recording.steps, strict=False):
        assert info.token_id == step.info.token_id
        if step.rows is not None:
            np.testing.assert_array_equal(trace.rows.head_rows(info.index, 1), step.rows.heads[1].astype(np.float16))
    assert len(trace.tokens) == trace.n_prompt + len(trace.steps)
    return len(trace.steps)


def test_killed_at_any_moment_the_old_trace_or_the_new_one_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    seen = set()
    for call in range(1000):
        if call == 0 or len(open_trace(folder).steps) != 3:
            OLD.write(folder)

        def work(call: int = call) -> None:
            kill_at(call)
            NEW.write(folder)

        status = in_child(work)
        trace = open_trace(folder)
        assert trace.status == "complete"
        assert assert_beginning_of(NEW if len(trace.steps) == 20 else OLD, folder) in (3, 20)
        if is_trace(partial_of(folder)):
            seen.add(assert_beginning_of(NEW, partial_of(folder)))
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert call > 15
    assert seen == {0, 18, 20}
    assert NEW.write(folder) == folder
    assert assert_beginning_of(NEW, folder) == 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace"]


def test_a_killed_first_run_is_opened_under_its_own_name_and_says_so(tmp_path: Path) -> None:
    def work() -> None:
        writer = NEW.writer(tmp_path / "trace")
        for step in NEW.steps[:19]:
            writer.add(step)
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    trace = open_trace(tmp_path / "trace")
    assert trace.status == "running"
    assert incomplete_notice(trace) == "the trace is incomplete, 18 steps (its recording was killed or still runs)"
    assert verify_trace(tmp_path / "trace").n_recorded == 16
    with pytest.raises(
        TraceError, match=r"no step 18: the trace holds 18 steps \(the recording is incomplete: running\)"
    ):
        trace.rows.mean_row(18, 0)
    with pytest.raises(TraceError, match="no prompt rows of layer 1"):
        trace.rows.prompt_rows(1)
    NEW.write(tmp_path / "trace")
    assert open_trace(tmp_path / "trace").status == "complete"


def test_answer_tokens_that_were_not_written_come_from_the_candidates(tmp_path: Path) -> None:
    with NEW.writer(tmp_path / "trace") as writer:
        for step in NEW.steps[:2]:
            writer.add(step)
    trace = open_trace(tmp_path / "trace")
    assert trace.status == "failed"
    assert trace.answer_text == "piece0piece1"
    assert verify_trace(tmp_path / "trace").reason == "the recording ended before it was complete"


def test_a_run_that_fails_keeps_finished_steps_reason_and_tokens(tmp_path: Path) -> None:
    writer = NEW.writer(tmp_path / "trace")
    for step in NEW.steps[:7]:
        writer.add(step)
    with pytest.raises(Interrupted, match="stopped"), writer:
        raise Interrupted("stopped\nby SIGINT")
    summary = verify_trace(tmp_path / "trace")
    assert (summary.status, summary.reason, summary.n_steps) == ("failed", "Interrupted: stopped by SIGINT", 7)
    with NEW.writer(tmp_path / "trace") as writer:
        for step in NEW.steps[:7]:
            writer.add(step)
        writer.fail("the phrase occurs nowhere", NEW.answer)
    trace = open_trace(tmp_path / "trace")
    assert trace.tokens == NEW.tokens[: trace.n_prompt + 7]
    assert incomplete_notice(trace) == "the trace is incomplete, 7 steps (its recording failed)"


def test_a_running_trace_can_be_read_while_it_grows(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    with NEW.writer(folder) as writer:
        assert len(open_trace(folder).steps) == 0
        lengths = []
        for step in NEW.steps:
            writer.add(step)
            lengths.append(assert_beginning_of(NEW, folder))
    assert sorted(set(lengths)) == [0, 18]


@pytest.mark.slow
def test_killed_in_a_process_of_its_own(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.tracefile.made import made\n"
        f"recording = made(400, seed=3); writer = recording.writer(Path({str(tmp_path / 'trace')!r}))\n"
        "print('go', flush=True)\n"
        "for step in recording.steps: writer.add(step); time.sleep(0.002)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.4)
        process.kill()
    steps = assert_beginning_of(made(400, seed=3), tmp_path / "trace")
    assert 0 < steps < 400
    assert steps % 16 == 0
