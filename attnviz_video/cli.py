"""The command line: the first argument chooses a command, and whatever happens ends in one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress

from attnviz_video.commands.console import drop_output
from attnviz_video.commands.listing import COMMANDS
from attnviz_video.errors import AttnVizError, Interrupted, UsageError

BUG = "this is a bug of ours; run again with --debug and send us what it prints"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if sys.stderr is None:  # closed by whoever started us; errors and bars must not end up on standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the program runs)
    try:
        return dispatch(arguments)
    except (AttnVizError, Interrupted) as error:
        return complain(str(error), error.exit_code, arguments)
    except KeyboardInterrupt:
        return complain("stopped", Interrupted.exit_code, arguments)
    except BrokenPipeError:
        drop_output()
        return 0
    except Exception as error:  # the last resort: whatever happens, one line and an exit code
        return complain(f"{type(error).__name__}: {error}; {BUG}", AttnVizError.exit_code, arguments)


def complain(sentence: str, exit_code: int, arguments: Sequence[str]) -> int:
    """One line on standard error; the traceback only with --debug."""
    with suppress(OSError):  # nobody reads it; the exit code still tells
        if "--debug" in arguments:
            traceback.print_exc()
        print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
    return exit_code


def dispatch(arguments: list[str]) -> int:
    """Choose the command by the first argument, before any parser is built.

    Raises:
        UsageError: a word that is no command.
    """
    command, *rest = arguments or ["run"]
    if command.startswith("-"):
        command, rest = "run", arguments
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"the commands are: {', '.join(COMMANDS)}"
        raise UsageError(f"unknown command {command!r}; {hint}")
    # Only the chosen command's module is loaded, so that `-h` of one does not wait for the others.
    carry_out: Callable[[list[str]], int] = getattr(
        importlib.import_module(f"attnviz_video.commands.{command}"), command
    )
    return carry_out(rest)


if __name__ == "__main__":
    sys.exit(main())
