"""`table`: the numbers of a trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.commands.console import ConsoleSettings, emit, report, reporter
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config.compose import parse
from attnviz_video.export.table_settings import TableSettings
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class TableArguments:
    """What is listed."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace"})
    table: TableSettings = field(default_factory=TableSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def table(arguments: list[str]) -> int:
    """`table`: the numbers of one layer of a recorded trace.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            TableArguments,
            arguments,
            prog=f"{PROGRAM} table",
            description="List the numbers of one layer of a recorded trace: no model, no GPU, no torch.",
            commands=COMMANDS,
        )
        from attnviz_video.export.table_files import check_table_target, table_format, table_text, write_table
        from attnviz_video.views import open_trace, shown_layers

        settings = parsed.table
        kind = "json" if parsed.console.json and settings.output is None else table_format(settings)
        trace = open_trace(parsed.trace, reporter(parsed.console))
        layers = shown_layers(trace, settings.layer_idx)
        check_table_target(settings, len(layers))
        tables = [
            trace.table(
                settings.what,
                layer,
                settings.head,
                queries=settings.queries,
                top_keys=settings.top_keys,
                words=settings.words,
                steps=settings.steps,
            )
            for layer in layers
        ]
        if settings.output is None:
            emit("\n".join(table_text(found, kind) for found in tables).rstrip("\n"))
        else:
            report(parsed.console, trace.folder, [write_table(tables[0], settings.output, kind)], "tables")
    return 0
