"""What is said when a run ends: how many samples became what, and the command that comes next, ready to be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.batch import names
from attnviz_video.batch.schedule import Counts
from attnviz_video.errors import EnvironmentFault

PROGRAM = "python visualize_heatmap.py"
#: Flags that are not said again in the command that goes on with a run.
ONCE = ("--force_new", "--retry_failed")
#: Flags that choose samples, each with a value.
CHOOSING = ("--samples", "--shard")


@dataclass(frozen=True)
class NextCommands:
    """What a user may do after a run."""

    #: The words after the program that go on with it.
    go_on: Sequence[str]
    #: What to do about samples that have no result; asked when the run has ended.
    about_failures: Callable[[], str]


def end_line(
    counts: Counts, folder: Path, next_commands: NextCommands, *, trace_only: bool = False, seconds: float | None = None
) -> str:
    """The last line: how many samples became what, and what makes the videos or tries the failed ones again.

    `seconds`: None where there was nothing to do.
    """
    done, recorded = counts.before + counts.done, counts.recorded_before + counts.recorded
    failed = counts.failed + counts.failed_before
    parts = []
    if done or not trace_only:
        parts.append(f"{done} done{by_earlier_runs(counts.before)}")
    if trace_only:
        parts.append(f"{recorded} recorded{by_earlier_runs(counts.recorded_before)}")
    if failed:
        parts.append(f"{failed} failed (why: {folder / names.SUMMARY})")
    if counts.unrecorded:
        parts.append(f"{counts.unrecorded} not recorded")
    text = f"{samples_in_words(counts.total)}: {', '.join(parts)}"
    if seconds is not None:
        text += f", in {seconds:.1f} s"
    elif not failed and not counts.unrecorded:
        text += "; nothing to do"
    if trace_only and recorded:
        text += f"; make the videos with: {command(['render', str(folder)])}"
    if failed or counts.unrecorded:
        text += f"; {next_commands.about_failures()}"
    return text


def by_earlier_runs(count: int) -> str:
    """A remark, where there is something to remark on."""
    return f" ({count} of them by earlier runs)" if count else ""


def samples_in_words(count: int) -> str:
    """`1 sample`, `3 samples`."""
    return f"{count} sample{'' if count == 1 else 's'}"


def stopped_line(counts: Counts, next_commands: NextCommands) -> str:
    """What is said when a run was stopped."""
    return f"stopped after {counts.settled} of {counts.total} samples; go on with: {command(next_commands.go_on)}"


@contextmanager
def told_how_to_go_on(next_commands: NextCommands) -> Iterator[None]:
    """Add to a fault of the machine inside the block what goes on with the run when the fault is mended.

    Raises:
        EnvironmentFault: the fault, of the same kind.
    """
    try:
        yield
    except EnvironmentFault as error:
        raise type(error)(f"{error}; then go on with: {command(next_commands.go_on)}") from error


def try_again(argv: Sequence[str]) -> str:
    """What is said about samples that failed in a run of `batch`."""
    return f"try the failed ones again with: {command([*argv, '--retry_failed'])}"


def record_again(run_file: Mapping[str, object], folder: Path, indices: Collection[int]) -> str:
    """What is said about samples of a run in `folder` that have no whole trace; `run_file` tells how it was started."""
    words = run_file.get("argv")
    what = f"record {samples_in_words(len(indices))} again with"
    if not isinstance(words, list) or not words:
        return f"{what} the batch command of this run and --retry_failed"
    argv = without_values([str(word) for word in words if word not in ONCE], CHOOSING)
    begun_in, config = run_file.get("working_folder"), run_file.get("config")
    start = Path(begun_in) if isinstance(begun_in, str) else Path.cwd()
    output = config.get("output_dir") if isinstance(config, Mapping) else None
    if not isinstance(output, str) or (start / output).resolve() != folder:  # the run has been moved
        argv = [*without_values(argv, ["--output_dir"]), "--output_dir", str(folder)]
    there = "" if start == Path.cwd() or not start.is_dir() else f"cd {shlex.quote(str(start))} && "
    return f"{what}: {there}{command([*argv, '--samples', ranges_of(indices), '--retry_failed'])}"


def command(argv: Sequence[str]) -> str:
    """A command line, ready to be pasted into a shell."""
    return f"{PROGRAM} {shlex.join(argv)}"


def without_values(argv: Sequence[str], flags: Collection[str]) -> list[str]:
    """`argv` without some flags and their values, which may stand in a word of their own."""
    kept, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word in flags:
            del rest[:1]
        elif word.partition("=")[0] not in flags:
            kept.append(word)
    return kept


def ranges_of(indices: Collection[int]) -> str:
    """Indices as `--samples` takes them: `0:3,7`."""
    ranges: list[list[int]] = []
    for index in sorted(indices):
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ",".join(str(first) if stop == first + 1 else f"{first}:{stop}" for first, stop in ranges)
