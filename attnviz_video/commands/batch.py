"""`batch`: record and render many samples of a dataset."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attnviz_video.batch.settings import BatchSettings
from attnviz_video.commands.console import ConsoleSettings, emit, reporter, say
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import parse
from attnviz_video.config.demo import with_demo
from attnviz_video.stopping import stop_on_signals

if TYPE_CHECKING:
    from attnviz_video.batch.run import BatchReport

#: Exit code of a batch of which some samples failed.
SOME_FAILED = 3


@dataclass(frozen=True)
class BatchArguments:
    """Everything `batch` understands."""

    batch: BatchSettings = field(default_factory=BatchSettings)
    run: RunConfig = field(default_factory=RunConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def batch(arguments: list[str]) -> int:
    """`batch`: record and render the samples of a dataset.

    Raises:
        AttnVizError, Interrupted: what no sample can go on with; a sample that fails is a row of results.jsonl.
    """
    with stop_on_signals() as stop:
        parsed = parse(
            BatchArguments,
            arguments,
            prog=f"{PROGRAM} batch",
            description="Record and render many samples of a dataset, each into a folder of its own. The same command "
            "again goes on with a run that was stopped or killed; what is done is not done again.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        config, notices = with_demo(parsed.run)
        say(progress, notices)
        from attnviz_video.batch.run import run_batch

        return report_batch(run_batch(config, parsed.batch, progress, stop, ["batch", *arguments]), parsed.console)


def report_batch(report: BatchReport, console: ConsoleSettings) -> int:
    """The folder of a run on standard output, how it ended on standard error; returns the exit code."""
    reporter(console).notice(report.sentence)
    counts = {"run": str(report.folder), "samples": report.counts.total, "failed": report.n_failed}
    emit(json.dumps(counts, ensure_ascii=False) if console.json else str(report.folder))
    return SOME_FAILED if report.n_failed else 0
