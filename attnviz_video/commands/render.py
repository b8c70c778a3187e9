"""`render`: make videos again from a trace, or those that a batch lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.commands.batch import report_batch
from attnviz_video.commands.console import ConsoleSettings, report, reporter
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config import RenderConfig
from attnviz_video.config.compose import parse
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class RenderArguments:
    """What is rendered."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace, or of a batch run"})
    render: RenderConfig = field(default_factory=RenderConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def render(arguments: list[str]) -> int:
    """`render`: make videos from a recorded trace, one per asked layer.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals() as stop:
        parsed = parse(
            RenderArguments,
            arguments,
            prog=f"{PROGRAM} render",
            description="Make videos again from a recorded trace: no model, no GPU, no torch.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        from attnviz_video.batch.names import is_run_folder
        from attnviz_video.views import open_trace, videos_beside

        if is_run_folder(parsed.trace):
            from attnviz_video.batch.run import render_run

            words = ["render", *arguments]
            return report_batch(render_run(parsed.trace, parsed.render, progress, stop, words), parsed.console)
        trace = open_trace(parsed.trace, progress)
        paths = videos_beside(trace, parsed.render, progress)
        report(parsed.console, trace.folder, paths)
    return 0
