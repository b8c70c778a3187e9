"""What reaches the user's terminal: results on standard output, everything else on standard error."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from attnviz_video.errors import EnvironmentFault
from attnviz_video.progress import Progress, Silent, StandardError


@dataclass(frozen=True)
class ConsoleSettings:
    """What is printed."""

    quiet: bool = field(default=False, metadata={"help": "no progress bars and no notices"})
    debug: bool = field(default=False, metadata={"help": "print the traceback of an error"})
    json: bool = field(default=False, metadata={"help": "print the result as JSON instead of paths"})


def reporter(console: ConsoleSettings) -> Progress:
    """Where notices and bars go."""
    return Silent() if console.quiet else StandardError()


def say(progress: Progress, notices: Sequence[str]) -> None:
    """Several notices, one per line."""
    for notice in notices:
        progress.notice(notice)


def report(console: ConsoleSettings, trace: Path, made: Sequence[Path], kind: str = "videos") -> None:
    """The result on standard output: one path per line, or one JSON object.

    Raises:
        BrokenPipeError: whoever read it has gone.
        EnvironmentFault: it cannot be written; the videos are there all the same.
    """
    if console.json:
        text = json.dumps({"trace": str(trace), kind: [str(path) for path in made]}, ensure_ascii=False)
    else:
        text = "\n".join(map(str, made))
    emit(text, f"; the {kind} were made: {text}")


def emit(text: str, comfort: str = "") -> None:
    """Print the result; `comfort` is told with the error where that fails.

    Raises:
        BrokenPipeError: whoever read it has gone.
        EnvironmentFault: it cannot be written.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise EnvironmentFault(
            f"cannot write the result to standard output: {error.strerror or error}{comfort}"
        ) from error


def drop_output() -> None:
    """Send what standard output still holds nowhere, or Python would fail with it once more when it ends."""
    with suppress(io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
