"""`figure`: one step of a trace, or a filmstrip, for a paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.commands.console import ConsoleSettings, report, reporter
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import FigureConfig
from attnviz_video.config.compose import parse
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class FigureArguments:
    """What is drawn."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace"})
    figure: FigureConfig = field(default_factory=FigureConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def figure(arguments: list[str]) -> int:
    """`figure`: draw one step of a recorded trace, or a filmstrip, one figure per asked layer.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            FigureArguments,
            arguments,
            prog=f"{PROGRAM} figure",
            description="Draw one step of a recorded trace, or a filmstrip of some, for a paper: the numbers and "
            "colours of the video, text as text, fonts embedded.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        from attnviz_video.views import figures_beside, open_trace

        trace = open_trace(parsed.trace, progress)
        paths = figures_beside(trace, parsed.figure, progress)
        report(parsed.console, trace.folder, paths, "figures")
    return 0
