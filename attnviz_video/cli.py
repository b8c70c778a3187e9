"""The command line: arguments → Config → api. The only place that prints or exits."""

from __future__ import annotations

import difflib
import io
import json
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.config import RenderConfig, RunConfig
from attnviz_video.config.compose import parse
from attnviz_video.config.demo import demo_config, with_demo, with_demo_model
from attnviz_video.errors import AttnVizError, EnvironmentFault, Interrupted, UsageError
from attnviz_video.models.settings import ModelSettings
from attnviz_video.progress import Progress, Silent, StandardError
from attnviz_video.stopping import StopRequest, stop_on_signals

if TYPE_CHECKING:
    from attnviz_video.pipeline import Recording

PROGRAM = "visualize_heatmap.py"
#: What each command does, in the order of the help; a function of that name below carries it out.
COMMANDS = {
    "run": "generate an answer, record its attention, make the video (what flags alone mean)",
    "render": "make videos again from a recorded trace: no model, no GPU",
    "layers": "list the layers of a model, and which of them --layer_idx may name",
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
    """What is rendered."""

    trace: Path = field(metadata={"positional": "TRACE", "help": "folder of a recorded trace"})
    render: RenderConfig = field(default_factory=RenderConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


@dataclass(frozen=True)
class LayersArguments:
    """Whose layers are listed."""

    model: ModelSettings = field(default_factory=ModelSettings)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


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
    if command == "run":
        return run(rest)
    if command == "render":
        return render(rest)
    if command == "layers":
        return layers(rest)
    if command.startswith("-"):
        return run(arguments)
    close = difflib.get_close_matches(command, COMMANDS, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the commands are: {', '.join(COMMANDS)}"
    raise UsageError(f"unknown command {command!r}; {hint}")


def run(arguments: list[str]) -> int:
    """`run`: generate, record, make one video per asked layer.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals() as stop:
        parsed = parse(
            RunArguments,
            arguments or ["--config", str(demo_config())],
            prog=PROGRAM,
            description="Let a vision-language model answer, and make a video of where it looked.",
            epilog=commands_help(),
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        config, notices = with_demo(parsed.run)
        say(progress, notices)
        recording = record_asked(config, progress, stop)
        from attnviz_video.api import videos_of

        try:
            paths = videos_of(recording, config, progress)
        except (AttnVizError, Interrupted) as error:
            raise type(error)(f"{error}; the recording is kept, {how_to_render(recording)}") from error
        report(parsed.console, recording.trace_folder, paths)
    return 0


def record_asked(config: RunConfig, progress: Progress, stop: StopRequest) -> Recording:
    """Ask the model and record its answer.

    Raises:
        AttnVizError: whatever stands in the way.
        Interrupted: a signal came, while tokens were generated or just after the last of them.
    """
    from attnviz_video.api import pictures_from
    from attnviz_video.models.load import load_model
    from attnviz_video.pipeline import check_before_loading, record_sample
    from attnviz_video.sources.dataset import load_sample

    loaded_sample = load_sample(config.source)
    say(progress, loaded_sample.notices)
    pictures = pictures_from((), loaded_sample.sample, progress)
    check_before_loading(loaded_sample.sample, config)
    progress.notice(f"loading {config.model.model_path}")
    loaded = load_model(config.model)
    with stop.finish_step():
        recording = record_sample(loaded_sample.sample, pictures, loaded, config, progress, stop)
    if recording.interrupted:
        raise Interrupted(
            f"stopped after {recording.n_tokens} tokens; what was recorded is in {recording.trace_folder}; "
            f"{how_to_render(recording)}"
        )
    if stop.requested:
        raise Interrupted(f"stopped before the video; the recording is complete, {how_to_render(recording)}")
    return recording


def how_to_render(recording: Recording) -> str:
    """The command that makes the videos of a recording, ready to be pasted into a shell."""
    return f"make its video with: python {PROGRAM} render {shlex.quote(str(recording.trace_folder))}"


def render(arguments: list[str]) -> int:
    """`render`: make videos from a recorded trace, one per asked layer.

    Raises:
        AttnVizError, Interrupted: whatever stands in the way.
    """
    with stop_on_signals():
        parsed = parse(
            RenderArguments,
            arguments,
            prog=f"{PROGRAM} render",
            description="Make videos again from a recorded trace: no model, no GPU, no torch.",
            commands=COMMANDS,
        )
        progress = reporter(parsed.console)
        from attnviz_video.api import open_trace, videos_beside

        trace = open_trace(parsed.trace, progress)
        paths = videos_beside(trace, parsed.render, progress)
        report(parsed.console, trace.folder, paths)
    return 0


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


def reporter(console: ConsoleSettings) -> Progress:
    """Where notices and bars go."""
    return Silent() if console.quiet else StandardError()


def say(progress: Progress, notices: Sequence[str]) -> None:
    """Several notices, one per line."""
    for notice in notices:
        progress.notice(notice)


def report(console: ConsoleSettings, trace: Path, videos: Sequence[Path]) -> None:
    """The result on standard output: one path per line, or one JSON object.

    Raises:
        BrokenPipeError: whoever read it has gone.
        EnvironmentFault: it cannot be written; the videos are there all the same.
    """
    if console.json:
        text = json.dumps({"trace": str(trace), "videos": [str(path) for path in videos]}, ensure_ascii=False)
    else:
        text = "\n".join(map(str, videos))
    emit(text, f"; the videos were made: {text}")


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


def commands_help() -> str:
    """The list of commands, for the end of the help of `run`."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join([f"commands ({PROGRAM} COMMAND -h shows the flags of each):", *lines])


if __name__ == "__main__":
    sys.exit(main())
