"""`run`: let a model answer one sample and make its videos; what flags alone mean."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from attnviz_video.commands.console import ConsoleSettings, emit, report, reporter, say
from attnviz_video.commands.listing import COMMANDS, PROGRAM, commands_help
from attnviz_video.config import RunConfig
from attnviz_video.config.compose import parse
from attnviz_video.config.demo import demo_config, with_demo
from attnviz_video.errors import AttnVizError, Interrupted
from attnviz_video.progress import Progress
from attnviz_video.stopping import StopRequest, stop_on_signals

if TYPE_CHECKING:
    from attnviz_video.recording import Recording


@dataclass(frozen=True)
class RunArguments:
    """Everything `run` understands."""

    run: RunConfig = field(default_factory=RunConfig)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)


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
        if recording.is_encoding:
            report_encoding(parsed.console, recording, progress)
            return 0
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


def report_encoding(console: ConsoleSettings, recording: Recording, progress: Progress) -> None:
    """The result where an encoder read a text: its trace, and how that is looked at, since there is no video of it."""
    place = shlex.quote(str(recording.trace_folder))
    progress.notice(f"an encoder writes no answer, so there is no video; see it with: python {PROGRAM} report {place}")
    if console.json:
        report(console, recording.trace_folder, [])
    else:
        emit(str(recording.trace_folder))


def how_to_render(recording: Recording) -> str:
    """The command that makes the videos of a recording, ready to be pasted into a shell."""
    return f"make its video with: python {PROGRAM} render {shlex.quote(str(recording.trace_folder))}"
