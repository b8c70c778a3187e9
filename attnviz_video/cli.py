"""The command line: arguments → Config → api. The only place that prints or exits."""

from __future__ import annotations

import difflib
import importlib
import json
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.config import RenderConfig, RunConfig, parse
from attnviz_video.errors import AttnVizError, Interrupted, UsageError

if TYPE_CHECKING:
    from attnviz_video.progress import Progress

#: Name of each command, the function here that carries it out, and what it does.
COMMANDS = {
    "run": ("run", "generate an answer, record its attention, make the video (the default)"),
    "render": ("render", "make videos again from a recorded trace: no model, no GPU"),
}
BUG = "this is a bug of ours; run again with --debug and send us what it prints"


@dataclass(frozen=True)
class ConsoleSettings:
    """What is printed."""

    quiet: bool = field(default=False, metadata={"help": "no progress bars and no notices"})
    debug: bool = field(default=False, metadata={"help": "print the traceback of an error"})
    json: bool = field(default=False, metadata={"help": "print the result as JSON instead of paths"})


@dataclass(frozen=True)
class RunArguments:
    """Everything `run` understands."""

    run: RunConfig = field(default_factory=RunConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


@dataclass(frozen=True)
class RenderArguments:
    """Everything `render` understands."""

    render: RenderConfig = field(default_factory=RenderConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return dispatch(arguments)
    except AttnVizError as error:
        return complain(str(error), error.exit_code, arguments)
    except KeyboardInterrupt:
        return complain("stopped", Interrupted.exit_code, arguments)
    except BrokenPipeError:
        return 0
    except Exception as error:  # the last resort: whatever happens, one line and an exit code
        return complain(f"{type(error).__name__}: {error}; {BUG}", AttnVizError.exit_code, arguments)


def complain(sentence: str, exit_code: int, arguments: Sequence[str]) -> int:
    """One line on standard error; the traceback only with --debug."""
    if "--debug" in arguments:
        traceback.print_exc()
    print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
    return exit_code


def dispatch(arguments: list[str]) -> int:
    """Choose the command by the first argument, before any parser is built.

    Raises:
        UsageError: a word that is no command.
    """
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return int(getattr(sys.modules[__name__], COMMANDS[first][0])(arguments[1:]))
    if first and not first.startswith("-"):
        close = difflib.get_close_matches(first, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the commands are {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {first!r}; {hint}")
    return run(arguments)
