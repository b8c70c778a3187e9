"""`plot`: matrices, overviews and curves of a trace, for a paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.commands.console import ConsoleSettings, report, reporter
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import PlotConfig
from attnviz_video.config.compose import parse
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class PlotArguments:
    """What is plotted."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace"})
    plot: PlotConfig = field(default_factory=PlotConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def plot(arguments: list[str]) -> int:
    """`plot`: plot a recorded trace; one plot per asked layer where the kind is of one layer.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            PlotArguments,
            arguments,
            prog=f"{PROGRAM} plot",
            description="Plot a recorded trace for a paper: attention matrices, grids of heads, layers, curves. Text "
            "stays text, fonts are embedded, and every plot says what it shows.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        from attnviz_video.views import open_trace, plots_beside

        trace = open_trace(parsed.trace, progress)
        report(parsed.console, trace.folder, plots_beside(trace, parsed.plot, progress), "plots")
    return 0
