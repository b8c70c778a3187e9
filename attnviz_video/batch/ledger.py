"""The folder of a run: its lock, `run.json`, and what has become of every sample."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attnviz_video.batch import names
from attnviz_video.batch.fingerprint import differences, hash_of
from attnviz_video.batch.folder import forget_empty_runs, holds_nothing, move_aside, refuse_foreign, take_lock
from attnviz_video.batch.markers import Marker, changed, is_whole, read_marker
from attnviz_video.batch.presence import Badge, wait_until_gone
from attnviz_video.batch.results import (
    ResultsWriter,
    Row,
    attempt_of,
    latest,
    of_all_books,
    read_rows,
    write_summary,
)
from attnviz_video.config import RunConfig, to_mapping
from attnviz_video.errors import AttnVizError, EnvironmentFault, UsageError
from attnviz_video.files import write_atomic
from attnviz_video.recording import VERSIONED
from attnviz_video.tracefile.lock import FolderLock

FORMAT = "attnviz_video run"
#: Seconds that workers have to end when a run does.
LAST_WORKERS = 2.0
#: After so many killed workers a sample counts as failed.
KILLS = 2

#: `todo`: nothing is whole. `recorded`: the trace is, the videos are not. `failed`: left alone unless asked.
Standing = Literal["todo", "recorded", "done", "failed"]


@dataclass(frozen=True)
class RunIdentity:
    """What a run was asked for."""

    #: All settings, as they can be read again.
    config: Mapping[str, object]
    #: Those that decide the outputs, and the checksums of what they name (see `fingerprint`).
    settings: Mapping[str, object]
    inputs: Mapping[str, str]
    argv: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Stands in every marker."""
        return hash_of(self.settings, self.inputs)


@dataclass(frozen=True)
class Known:
    """What the folder of a run tells about one sample."""

    standing: Standing
    #: Attempts so far, and how many of the last of them ended with a killed worker.
    attempts: int = 0
    kills: int = 0
    #: Images that are not what they were when the sample was recorded; that one is gone changes nothing.
    changed_images: tuple[str, ...] = ()


class Ledger:
    """Keeps a run's books; `open` is the way to get one, `close` gives the lock back."""

    def __init__(self, folder: Path, suffix: str, identity_hash: str, locks: FolderLock) -> None:
        """Read what earlier runs left, under a lock that is held already."""
        self.folder = folder
        self.hash = identity_hash
        self._suffix = suffix
        self._lock = locks
        self.rows: list[Row] = read_rows(names.all_results_files(folder))
        self._latest = latest(self.rows)
        self._attempts: dict[int, int] = {}
        self._kills: dict[int, int] = {}
        for row in self.rows:
            self._count(row)
        self._writer = ResultsWriter(names.results_file(folder, suffix))

    @classmethod
    def open(
        cls,
        folder: Path,
        identity: RunIdentity,
        *,
        shard: str | None = None,
        selection: Sequence[int] = (),
        force_new: bool = False,
        overwrite: bool = False,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> Ledger:
        """Start a run in `folder`, or go on with the one that is there; `tell` hears what happens to a former one.

        `selection` are the indices that a shard is cut from: shards of different selections may share samples, and do
        not work at once.

        Raises:
            UsageError: another run works there, the one that is there was asked for something else (and not
                `force_new`), or the folder holds what is no part of a run (and not `overwrite`).
            EnvironmentFault: the folder cannot be written.
        """
        folder = folder.resolve()
        suffix = names.shard_suffix(shard)
        if not names.is_run_folder(folder) and not overwrite:
            refuse_foreign(folder)
        # A folder that is renamed is taken away from every shard that works in it.
        lock = take_lock(folder, suffix, selection, alone=force_new, tell=tell)
        try:
            if force_new and names.is_run_folder(folder):
                aside = move_aside(folder)
                lock.moved_to(aside / lock.path.name)
                tell(f"the former run of {folder} is kept in {aside}")
                former_lock, lock = lock, take_lock(folder, suffix, selection)
                former_lock.release()
            try:
                former = compare(folder, identity)
            except UsageError:
                # Beside this shard others may work that have only begun: theirs are no empty runs.
                if suffix or not holds_nothing(folder):
                    raise
                forget_empty_runs(folder)
                former = None
            begin_run_file(folder, suffix, identity, former or identity.hash)
            return cls(folder, suffix, former or identity.hash, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def open_existing(cls, folder: Path) -> tuple[Ledger, dict[str, object]]:
        """Go on with a run for other work than recording; also the settings it was made with.

        Raises:
            UsageError: no run, one of several that contradict each other, or another run works there.
        """
        folder = folder.resolve()
        tables = [read_run_file(path) for path in names.all_run_files(folder)]
        if not tables:
            raise UsageError(f"{folder} is not the folder of a batch run: it holds no run.json")
        lock = take_lock(folder, "")
        try:
            config = tables[0].get("config")
            if not isinstance(config, dict):
                raise UsageError(f"{folder}/run.json is damaged: it holds no settings")
            return cls(folder, "", str(tables[0].get("config_hash")), lock), config
        except BaseException:
            lock.release()
            raise

    @property
    def badge(self) -> Badge:
        """Tells workers for which run they work."""
        return Badge(self._lock.path, self._lock.token)

    def known(self, index: int, sample_id: str, *, retry_failed: bool, verify: bool) -> Known:
        """What has become of a sample; a whole one that has no row, since its run was killed, gets one."""
        home = self.folder / names.sample_folder_name(index, sample_id)
        done = self._whole(home / names.DONE, home, verify)
        recorded = self._whole(home / names.RECORDED, home, verify)
        images = (
            () if recorded is None else tuple(path for path in changed(recorded.inputs, home) if Path(path).exists())
        )
        attempts, kills = self._attempts.get(index, 0), self._kills.get(index, 0)
        if verify and done is not None and recorded is None and (home / names.RECORDED).exists():
            done = None  # the videos are whole, the trace they were made of is not
        if done is not None:
            if self._status(index) != "done":
                row = {**done.facts, "index": index, "status": "done", "from_marker": True, "ended": now()}
                self.append({**row, "attempt": max(attempts, attempt_of(row))})
            return Known("done", attempts, kills, tuple(images))
        if self._status(index) == "failed" and not retry_failed:
            return Known("failed", attempts, kills)
        return Known("todo" if recorded is None else "recorded", attempts, kills, tuple(images))

    def facts(self, index: int, sample_id: str) -> Mapping[str, object]:
        """What the marker of a recorded sample says; nothing where there is none."""
        marker = read_marker(self.folder / names.sample_folder_name(index, sample_id) / names.RECORDED)
        return {} if marker is None else marker.facts

    def append(self, row: Row) -> None:
        """Write one attempt down.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        self._writer.append(row)
        self.rows.append(row)
        self._latest[int(str(row["index"]))] = row
        self._count(row)

    def close(self) -> None:
        """Make the summary and give the lock back; that the summary cannot be written is told, after the lock is."""
        try:
            self._writer.close()
            if self.rows:
                of_all_books(
                    lambda: names.all_results_files(self.folder),
                    lambda rows: write_summary(self.folder / names.SUMMARY, rows),
                )
        finally:
            with suppress(AttnVizError):  # what ended before it came to a sample claims no folder
                if not self.rows and holds_nothing(self.folder):
                    names.run_file(self.folder, self._suffix).unlink(missing_ok=True)
            with suppress(AttnVizError):  # workers that are slow to end are waited for by the next run
                wait_until_gone(names.workers_file(self._lock.path), patience=LAST_WORKERS)
            self._lock.release()

    def _status(self, index: int) -> object:
        return self._latest.get(index, {}).get("status")

    def _count(self, row: Row) -> None:
        index = int(str(row["index"]))
        # Rows may have been lost: a number that was given is not given again.
        self._attempts[index] = max(self._attempts.get(index, 0) + 1, attempt_of(row))
        self._kills[index] = self._kills.get(index, 0) + 1 if row["status"] == "killed" else 0

    def _whole(self, path: Path, home: Path, verify: bool) -> Marker | None:
        marker = read_marker(path)
        if marker is None or marker.config != self.hash or not is_whole(marker, home, verify=verify):
            return None
        return marker


def compare(folder: Path, identity: RunIdentity) -> str | None:
    """The hash of the run that is there, None where there is none; one that was asked for something else is refused.

    A setting that the program did not have then counts as its default.

    Raises:
        UsageError: it was asked for something else; the sentence lists what differs.
    """
    former = None
    for path in names.all_run_files(folder):
        table = read_run_file(path)
        former = str(table.get("config_hash"))
        if former == identity.hash:
            continue
        found = []
        for part, new, unset in (
            ("settings", identity.settings, to_mapping(RunConfig())),
            ("inputs", identity.inputs, {}),
        ):
            old = table.get(part)
            found += differences({**unset, **(old if isinstance(old, dict) else {})}, {**unset, **new})
        if found:
            raise UsageError(
                f"{path} is of a run with other settings or input: {', '.join(found)}; give the former ones to go on "
                "with it, choose another --output_dir, or start anew with --force_new (the former run is moved aside)"
            )
    return former


def read_run_file(path: Path) -> dict[str, object]:
    """The content of a `run.json`.

    Raises:
        UsageError: it is none.
        EnvironmentFault: it cannot be read.
    """
    try:
        table = json.loads(path.read_bytes())
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        table = None
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise UsageError(
            f"{path} was not written by a batch run, or is damaged; choose another --output_dir, or start anew with "
            "--force_new"
        )
    return table


def begin_run_file(folder: Path, suffix: str, identity: RunIdentity, config_hash: str) -> None:
    """Write the `run.json` of a run that begins; two shards that begin at once with other settings are both refused.

    Raises:
        UsageError: as `compare`; the file is then not there.
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    path = names.run_file(folder, suffix)
    if path.exists():
        return
    save_run_file(path, identity, config_hash)
    try:
        compare(folder, identity)  # the other had written none when we looked before
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def save_run_file(path: Path, identity: RunIdentity, config_hash: str) -> None:
    """Write `run.json`, which tells how a run began.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    table = {
        "format": FORMAT,
        "version": 1,
        "config_hash": config_hash,
        "config": dict(identity.config),
        "settings": dict(identity.settings),
        "inputs": dict(identity.inputs),
        "argv": list(identity.argv),
        "working_folder": os.getcwd(),
        "seed": identity.config.get("seed"),
        "device": identity.config.get("device"),
        "host": socket.gethostname(),
        "versions": versions(),
        "created": now(),
    }
    write_atomic(path, (json.dumps(table, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))


def versions() -> dict[str, str]:
    """Of the packages that decide what is generated."""
    found = {"python": platform.python_version()}
    for name in ("attnviz-video", *VERSIONED):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def now() -> str:
    """The time, as rows and run.json hold it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def failure_rows(rows: Sequence[Row]) -> list[Row]:
    """The last attempts of the samples that failed."""
    return [row for row in latest(rows).values() if row["status"] == "failed"]
