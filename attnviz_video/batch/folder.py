"""The folder of a run, taken for one run: nobody else works there, but other shards of the same cutting."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from attnviz_video.batch import names
from attnviz_video.batch.presence import wait_until_gone
from attnviz_video.batch.results import read_rows
from attnviz_video.errors import UsageError
from attnviz_video.files import os_errors
from attnviz_video.tracefile.lock import FolderLock


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds what no run writes.

    Raises:
        UsageError: it does, or it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the run with --output_dir")
    foreign = sorted(name for name in os.listdir(folder) if not names.is_own_name(name)) if folder.is_dir() else []
    if foreign:
        raise UsageError(
            f"{folder} holds {foreign[0]!r}, which no batch run wrote; choose another --output_dir, "
            "or give --overwrite to put the run there all the same"
        )


def take_lock(
    folder: Path,
    suffix: str,
    selection: Sequence[int] = (),
    *,
    alone: bool = False,
    tell: Callable[[str], None] = lambda sentence: None,
) -> FolderLock:
    """The lock of a run, or of one of its shards; a killed run holds none, but its workers are waited for.

    Others may hold locks in the folder only where they are other shards of the same cutting of the same selection,
    which have no sample in common, and unless this run is to be `alone`.

    Raises:
        UsageError: another run works in the folder.
        EnvironmentFault: the folder cannot be written.
    """
    try:
        lock = locked(names.lock_file(folder, suffix, selection))
    except UsageError as error:
        raise works_here(folder, suffix, error) from error
    try:
        # Everybody makes its own lock before it looks for others', so that of two who come at once one sees the other.
        for other in others_in(folder, "lock", lock.path, alone=alone):
            locked(other).release()
        for workers in others_in(folder, "workers", lock.path, alone=alone):
            wait_until_gone(workers, tell)
    except UsageError as error:
        lock.release()
        raise works_here(folder, suffix, error) from error
    except BaseException:
        lock.release()
        raise
    return lock


def locked(path: Path) -> FolderLock:
    """A lock; where somebody has it, the sentence says who and leaves out what only a trace's lock would say.

    Raises:
        UsageError: somebody has it.
        EnvironmentFault: the file cannot be written.
    """
    try:
        return FolderLock(path)
    except UsageError as error:
        raise UsageError(str(error).removeprefix(f"another run is writing {path.with_suffix('')}: ")) from error


def others_in(folder: Path, ending: str, lock: Path, *, alone: bool) -> list[Path]:
    """Files of that ending whose holders may not work beside the holder of `lock`."""
    return [
        path
        for path in sorted(folder.glob(f"{names.RUN}*.{ending}"))
        if path != lock and names.is_own_name(path.name) and (alone or not names.share_no_sample(lock.name, path.name))
    ]


def works_here(folder: Path, suffix: str, error: UsageError) -> UsageError:
    """What is said when a folder is in use."""
    rule = "; shards work at once where all have the same --samples and the same number of parts" if suffix else ""
    return UsageError(f"another run works in {folder} ({error}){rule}")


def holds_nothing(folder: Path) -> bool:
    """Whether the runs of a folder have come to no sample: no row but of interrupted ones, no folder of a sample.

    Raises:
        EnvironmentFault: it cannot be read.
    """
    with os_errors(folder):
        if any(names.is_sample_folder_name(name) for name in os.listdir(folder)):
            return False
    return all(row.get("status") == "interrupted" for row in read_rows(names.all_results_files(folder)))


def forget_empty_runs(folder: Path) -> None:
    """Remove the books of runs that have come to no sample; only for who holds the folder alone.

    Raises:
        EnvironmentFault: something cannot be removed.
    """
    for path in (*names.all_run_files(folder), *names.all_results_files(folder)):
        with os_errors(path):
            path.unlink(missing_ok=True)


def move_aside(folder: Path) -> Path:
    """Give the folder of a former run another name, and return it.

    Raises:
        EnvironmentFault: it cannot be renamed.
    """
    number = 1
    while (aside := folder.with_name(f"{folder.name}.former-{number}")).exists():
        number += 1
    with os_errors(aside):
        os.rename(folder, aside)
    return aside
