"""The process that makes one video: its order comes as JSON on standard input, what it says goes out line by line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnviz_video.errors import AttnVizError
from attnviz_video.progress import Advance, Progress

#: Seconds between two lines about how far it is.
EVERY = 0.2


def main() -> int:
    """Make the video that standard input asks for; its exit code is that of the command line."""
    order = json.loads(sys.stdin.read())
    try:
        make(order)
    except AttnVizError as error:
        say({"error": " ".join(str(error).split())})
        return error.exit_code
    return 0


def make(order: Mapping[str, Any]) -> None:
    """Make one video of the trace `trace` as `output`, with `settings` as `RenderConfig` has them.

    Raises:
        AttnVizError: see `render_outputs`.
    """
    from attnviz_video.analysis.heads import resolve_layer
    from attnviz_video.config import RenderConfig, from_mapping
    from attnviz_video.export.names import Output
    from attnviz_video.pipeline import render_outputs
    from attnviz_video.tracefile.read import open_trace

    config = from_mapping(RenderConfig, order["settings"])
    trace = open_trace(Path(order["trace"]))
    layer = resolve_layer(trace.header, (config.layer_idx or trace.header.shown_layers)[0])
    render_outputs(trace, layer, config, (Output("mp4", Path(order["output"])),), Lines())


def say(line: Mapping[str, Any]) -> None:
    """One line of JSON."""
    print(json.dumps(line, ensure_ascii=False), flush=True)


class Lines(Progress):
    """Says how far it is."""

    def notice(self, sentence: str) -> None:
        say({"notice": sentence})

    @contextmanager
    def track(self, description: str, total: int | None, unit: str) -> Iterator[Advance]:
        del description, unit
        done, told = 0, 0.0

        def advance(parts: int) -> None:
            nonlocal done, told
            done += parts
            if time.monotonic() - told >= EVERY or done == total:
                told = time.monotonic()
                say({"done": done, "total": total})

        yield advance
