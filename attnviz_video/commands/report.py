"""`report`: the interactive page of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.commands.console import ConsoleSettings, reporter
from attnviz_video.commands.console import report as report_paths
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import ReportConfig
from attnviz_video.config.compose import parse
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class ReportArguments:
    """What the page is made of."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace"})
    report: ReportConfig = field(default_factory=ReportConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def report(arguments: list[str]) -> int:
    """`report`: the interactive page of a recorded trace.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            ReportArguments,
            arguments,
            prog=f"{PROGRAM} report",
            description="Make one HTML file of a recorded trace that opens from disk in any browser: text and images "
            "with their attention, every layer and head that was recorded, and the numbers under the pointer.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        from attnviz_video.views import open_trace, report_beside

        trace = open_trace(parsed.trace, progress)
        made = report_beside(trace, parsed.report, progress)
        report_paths(parsed.console, trace.folder, [made.path], "reports")
    return 0
