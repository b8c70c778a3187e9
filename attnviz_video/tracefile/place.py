"""Where a trace is written, and how it takes its final name.

A recording of `trace_sample0` works in `trace_sample0.partial`, under the lock `trace_sample0.lock`, and takes its name
when it is complete; the trace that had the name before waits as `trace_sample0.being_replaced` for that moment and is
then removed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from attnviz_video.errors import UsageError
from attnviz_video.files import os_errors
from attnviz_video.tracefile.format import FORMAT, MANIFEST, is_own_name


def partial_of(folder: Path) -> Path:
    """Where the trace `folder` is written until it is complete."""
    return folder.with_name(f"{folder.name}.partial")


def previous_of(folder: Path) -> Path:
    """Where the trace that had the name `folder` before waits while the new one takes it."""
    return folder.with_name(f"{folder.name}.being_replaced")


def lock_of(folder: Path) -> Path:
    """The lock file of the trace `folder`."""
    return folder.with_name(f"{folder.name}.lock")


def is_trace(path: Path) -> bool:
    """Whether `path` is the folder of a trace, of any version and in any state, damaged ones included."""
    try:
        with (path / MANIFEST).open("rb") as file:
            return f'"format": "{FORMAT}"'.encode() in file.read(4096)
    except OSError:
        return False


def locate_trace(path: Path) -> Path:
    """`path`, or where a killed or failed recording of it lies when there is no finished one."""
    partial = partial_of(path.resolve())
    return partial if not path.exists() and is_trace(partial) else path


def foreign_entries(folder: Path) -> tuple[str, ...]:
    """What lies in `folder` and was not written by this program, by name; all of it where `folder` is no trace."""
    ours = is_trace(folder)
    return tuple(sorted(name for name in os.listdir(folder) if not (ours and is_own_name(name))))


def prepare_folder(folder: Path, *, overwrite: bool = False) -> None:
    """Make sure that a trace may take the name `folder`; cleans up after killed runs. Call it under the lock.

    A trace is replaced without asking. What this program did not write stays where it is in any case; with `overwrite`,
    files of other names stay in the folder beside the new trace.

    Raises:
        UsageError: `folder` is a file, or holds files that this program did not write, and `overwrite` is false.
        EnvironmentFault: the place cannot be written.
    """
    if not overwrite:
        refuse_foreign(folder)
    previous, partial = previous_of(folder), partial_of(folder)
    with os_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        if previous.exists() and not folder.exists():
            os.rename(previous, folder)
        _carry_over(previous, folder)
        remove_own_files(partial)
    if partial.exists():
        raise UsageError(
            f"{partial} holds {sorted(os.listdir(partial))[0]!r}, which this program did not write, and is needed for "
            "recording; move it away"
        )


def refuse_foreign(folder: Path) -> None:
    """Refuse a name that something else has; reads only, so that it can be asked before long work.

    Raises:
        UsageError: `folder` is a file, or holds files that this program did not write.
    """
    if folder.is_dir():
        foreign = foreign_entries(folder)
        if foreign:
            raise UsageError(
                f"{folder} holds {foreign[0]!r}, which this program did not write; "
                "choose another --output_dir, or give --overwrite to put the trace there all the same"
            )
    elif folder.exists():
        raise UsageError(
            f"{folder} is a file, and the trace needs a folder of that name; "
            "choose another --output_dir, or give --overwrite to replace the file"
        )


def remove_own_files(folder: Path) -> None:
    """Remove a half or former trace, but nothing in it that this program did not write."""
    if not folder.is_dir():
        return
    for name in os.listdir(folder):
        if is_own_name(name):
            (folder / name).unlink()
    if not os.listdir(folder):
        folder.rmdir()


def take_name(folder: Path) -> None:
    """Give the finished trace in `partial_of(folder)` its final name, replacing the one that has it.

    Raises:
        EnvironmentFault: a folder cannot be renamed; the former trace is then back under its name.
    """
    partial, previous = partial_of(folder), previous_of(folder)
    with os_errors(folder):
        if folder.is_file():
            folder.unlink()
        if folder.exists():
            os.rename(folder, previous)
        try:
            os.rename(partial, folder)
        except BaseException:
            if previous.exists():
                os.rename(previous, folder)
            raise
        _carry_over(previous, folder)


def _carry_over(previous: Path, folder: Path) -> None:
    """Move what is not ours from the former folder to the new one, and remove the rest."""
    if not previous.is_dir():
        return
    ours = is_trace(previous)
    for name in os.listdir(previous):
        if not (ours and is_own_name(name)) and not (folder / name).exists():
            shutil.move(previous / name, folder / name)
    remove_own_files(previous)
