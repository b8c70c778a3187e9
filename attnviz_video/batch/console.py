"""How a run reports on itself: bars on a terminal, else one line every few seconds; on standard error, or nowhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from attnviz_video.batch.jobs import Advanced, Job, SampleTask
from attnviz_video.batch.schedule import Counts

#: Bars below the main one: one for each of so many jobs that run.
MOST_BARS = 4
#: What a bar of one sample shows; its time left would jump with every stage.
INNER = "  {desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
#: Seconds.
MINUTE, HOUR = 60.0, 3600.0


class Bars:
    """A bar over samples with failures and the time left, and one below it for each sample that is worked on."""

    def __init__(self, counts: Counts) -> None:
        from tqdm import tqdm

        self._tqdm: Callable[..., Any] = tqdm
        self._main = tqdm(
            total=counts.total, initial=counts.settled, desc="samples", unit="sample", file=sys.stderr,
            dynamic_ncols=True, position=0, smoothing=0.1,
        )  # fmt: skip
        self._show_failures(counts)
        self._bars: dict[int, Any] = {}
        self._places = list(range(1, MOST_BARS + 1))

    def settled(self, counts: Counts, task: SampleTask, status: str) -> None:
        self._main.update(counts.settled - self._main.n)
        self._show_failures(counts)

    def advanced(self, task: SampleTask, event: Advanced) -> None:
        description = f"{task.home.name[:30]}: {event.description}"
        bar = self._bars.get(event.job_number)
        if bar is None:
            if not self._places:
                return
            bar = self._tqdm(
                total=event.total, desc=description, file=sys.stderr, dynamic_ncols=True, leave=False,
                position=self._places.pop(0), bar_format=INNER, mininterval=0,
            )  # fmt: skip
            self._bars[event.job_number] = bar
        if bar.desc != f"{description}: " or bar.total != event.total:
            bar.reset(event.total)
            bar.set_description(description, refresh=False)
        bar.update(event.done - bar.n)

    def ended(self, job: Job) -> None:
        bar = self._bars.pop(job.number, None)
        if bar is not None:
            self._places.append(-bar.pos if bar.pos < 0 else bar.pos)
            self._places.sort()
            bar.close()

    def tick(self, counts: Counts) -> None:
        self._main.refresh()

    def close(self, counts: Counts) -> None:
        for bar in self._bars.values():
            bar.close()
        self._main.close()

    def _show_failures(self, counts: Counts) -> None:
        failed = counts.failed + counts.failed_before
        self._main.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)


class Lines:
    """One line every `every` seconds, for logs."""

    def __init__(
        self, counts: Counts, say: Callable[[str], None], every: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._every = every
        self._clock = clock
        self._begin = self._last = clock()
        self._settled_at_begin = counts.settled

    def settled(self, counts: Counts, task: SampleTask, status: str) -> None:
        pass

    def advanced(self, task: SampleTask, event: Advanced) -> None:
        pass

    def ended(self, job: Job) -> None:
        pass

    def tick(self, counts: Counts) -> None:
        now = self._clock()
        if now - self._last >= self._every:
            self._last = now
            self._say(self.line(counts, now - self._begin))

    def close(self, counts: Counts) -> None:
        pass

    def line(self, counts: Counts, seconds: float) -> str:
        """How far the run is, how fast it goes and when it will be done."""
        failed = counts.failed + counts.failed_before
        text = f"{counts.settled} of {counts.total} samples, {failed} failed"
        settled = counts.settled - self._settled_at_begin
        if settled:
            each = seconds / settled
            text += f", {each:.3g} s each, about {duration(each * counts.open)} left"
        return text


class Nothing:
    """For `--quiet`."""

    def settled(self, counts: Counts, task: SampleTask, status: str) -> None:
        pass

    def advanced(self, task: SampleTask, event: Advanced) -> None:
        pass

    def ended(self, job: Job) -> None:
        pass

    def tick(self, counts: Counts) -> None:
        pass

    def close(self, counts: Counts) -> None:
        pass


Console = Bars | Lines | Nothing


def duration(seconds: float) -> str:
    """A time as people read it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 2 * MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    return f"{minutes} min" if seconds < 2 * HOUR else f"{minutes // 60} h {minutes % 60} min"
