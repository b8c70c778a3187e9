"""`layers`: the layers of a model, and which of them can be shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from attnviz_video.commands.console import ConsoleSettings, emit, reporter, say
from attnviz_video.commands.listing import COMMANDS, PROGRAM
from attnviz_video.config.compose import parse
from attnviz_video.config.demo import with_demo_model
from attnviz_video.models.settings import ModelSettings
from attnviz_video.stopping import stop_on_signals


@dataclass(frozen=True)
class LayersArguments:
    """Whose layers are listed."""

    model: ModelSettings = field(default_factory=ModelSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def layers(arguments: list[str]) -> int:
    """`layers`: the layers of a model as a table.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            LayersArguments,
            arguments,
            prog=f"{PROGRAM} layers",
            description="List the layers of a model's text decoder; nothing is recorded, and weights are seldom read.",
            commands=COMMANDS,
        )
        model, notices = with_demo_model(parsed.model)
        say(reporter(parsed.console), notices)
        from attnviz_video.capture.layer_table import layer_table

        table = layer_table(model)
        emit(json.dumps(asdict(table), ensure_ascii=False) if parsed.console.json else table.text())
    return 0
