"""What a run says while it goes: lines in a log, bars on a terminal, nothing when it is to be quiet."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from attnviz_video.batch.console import Bars, Lines, Nothing, duration
from attnviz_video.batch.jobs import Advanced, Job, SampleTask
from attnviz_video.batch.run import make_console
from attnviz_video.batch.schedule import Counts
from attnviz_video.batch.settings import BatchSettings
from attnviz_video.progress import Silent, StandardError
from tests.batch.running import Heard

TASK = SampleTask(3, "item 3", Path("000003-item_3"), None, "hash")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_one_line_every_few_seconds() -> None:
    time = [100.0]
    said: list[str] = []
    counts = Counts(total=50, before=10)
    lines = Lines(counts, said.append, 30.0, clock=lambda: time[0])
    for _ in range(9):
        time[0] += 10
        counts.done += 1
        lines.tick(counts)
    assert said == [
        "13 of 50 samples, 0 failed, 10 s each, about 6 min left",
        "16 of 50 samples, 0 failed, 10 s each, about 6 min left",
        "19 of 50 samples, 0 failed, 10 s each, about 5 min left",
    ]


def test_a_line_tells_failures_of_earlier_runs_too() -> None:
    said: list[str] = []
    lines = Lines(Counts(total=4), said.append, 1.0, clock=iter([0.0, 5.0]).__next__)
    lines.tick(Counts(total=4, failed_before=1, failed=1))
    assert said == ["2 of 4 samples, 2 failed, 2.5 s each, about 5 s left"]


def test_bars_show_the_run_and_the_samples_that_are_worked_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    counts = Counts(total=5, before=1)
    bars = Bars(counts)
    job = Job(7, "record", (TASK,))
    bars.advanced(TASK, Advanced(7, "generating", 3, 12))
    counts.failed += 1
    bars.settled(counts, TASK, "failed")
    bars.tick(counts)
    bars.ended(job)
    bars.close(counts)
    text = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "000003-item_3: generating:" in text
    assert "3/12" in text
    assert "2/5" in text
    assert "1 failed" in text


def test_no_more_bars_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    counts = Counts(total=9)
    bars = Bars(counts)
    for number in range(9):
        bars.advanced(TASK, Advanced(number, f"job{number}", 1, 2))
    assert "job3" in sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "job4" not in sys.stderr.getvalue()  # type: ignore[attr-defined]
    bars.ended(Job(0, "record", (TASK,)))
    bars.advanced(TASK, Advanced(8, "job8", 1, 2))
    assert "job8" in sys.stderr.getvalue(), "a place that is free again is used"  # type: ignore[attr-defined]
    bars.close(counts)


def test_who_gets_what(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, settings = Counts(total=1), BatchSettings()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(make_console(counts, settings, Silent()), Nothing)
    assert isinstance(make_console(counts, settings, StandardError()), Lines)
    monkeypatch.setattr(sys, "stderr", Terminal())
    bars = make_console(counts, settings, StandardError())
    assert isinstance(bars, Bars)
    bars.close(counts)
    assert isinstance(make_console(counts, settings, Heard()), Nothing), "who is silent shows no bars either"


@pytest.mark.parametrize(
    ("seconds", "words"), [(3.4, "3 s"), (119, "119 s"), (600, "10 min"), (7199, "120 min"), (12_060, "3 h 21 min")]
)
def test_durations_are_told_as_people_read_them(seconds: float, words: str) -> None:
    assert duration(seconds) == words
