"""Recent runs: one folder each, whose names are made here and never come from a request.

runs/live/20261121-184512-3fa9c1/
    run.json            what was asked, and how it ended
    image-0.png …       the pictures, upright and in RGB
    events.jsonl        what the page was told
    trace_sample0/      the trace (trace_sample0.partial where it was stopped)
    report.html, video.mp4, thumbnail-0.jpg …   once somebody asked for them
"""

from __future__ import annotations

import datetime
import json
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from attnviz_video.errors import AttnVizError, EnvironmentFault, TraceError, UsageError
from attnviz_video.files import os_errors, write_atomic
from attnviz_video.serve.events import Event, EventLog, event_of
from attnviz_video.tracefile.lock import FolderLock
from attnviz_video.tracefile.manifest import load_manifest
from attnviz_video.tracefile.place import is_trace, locate_trace

Mode = Literal["generate", "next", "continue"]
Status = Literal["queued", "running", "done", "stopped", "failed"]
ENDED: tuple[Status, ...] = ("done", "stopped", "failed")
_NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")
_LABEL = 60


@dataclass(frozen=True)
class Asked:
    """What a run was asked, as its folder keeps it."""

    prompt: str
    mode: Mode = "generate"
    system: str | None = None
    n_images: int = 0
    #: What their senders called the pictures: shown, and never a path on this disk.
    image_names: tuple[str, ...] = ()
    #: Settings of generating and recording by name, those that were given.
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: How the answer begins: its text, or better the ids of its tokens.
    answer_prefix: str | None = None
    answer_ids: tuple[int, ...] | None = None
    #: The run that it goes on from.
    continue_from: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """A name for every picture; of runs that older versions kept, the names of their files."""
        if len(self.image_names) == self.n_images:
            return self.image_names
        return tuple(f"image-{number}.png" for number in range(self.n_images))

    @property
    def label(self) -> str:
        """The first words of the prompt, on one line."""
        words = " ".join(self.prompt.split())
        return words if len(words) <= _LABEL else f"{words[: _LABEL - 1]}…"


@dataclass(frozen=True)
class State:
    """How far a run has come."""

    status: Status = "queued"
    n_tokens: int = 0
    #: Tokens of the answer that were given.
    n_prefix: int = 0
    error: str | None = None
    #: The answer without its end tokens, as text and as ids.
    answer: str = ""
    answer_ids: tuple[int, ...] = ()


class Run:
    """One run: what was asked, how far it is, what its pages were told."""

    def __init__(self, folder: Path, asked: Asked, created: str, state: State | None = None, tab: str = "") -> None:
        self.folder = folder
        self.asked = asked
        self.created = created
        self.state = state or State()
        #: Which page asked, in the page's own words.
        self.tab = tab
        #: Longest answer, cut to what the model can read.
        self.max_new_tokens = 0
        self.stop = threading.Event()
        #: Whether it was deleted before it had ended: then it is gone for everybody, and removed when it has.
        self.deleted = False
        #: Held while its end is written down, so that it is not removed meanwhile.
        self.lock = threading.Lock()
        #: The place in line that its pages know of.
        self.told_place = -1
        self.listeners = 0
        #: When somebody last listened or asked, in seconds of `time.monotonic`.
        self.seen = time.monotonic()
        #: Whether its page has said that it is being closed, and nobody has asked since.
        self.left = False
        self._log: EventLog | None = EventLog() if self.state.status not in ENDED else None

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.state.status in ENDED

    @property
    def trace_folder(self) -> Path:
        """Where its trace is, finished or not."""
        return locate_trace(self.folder / "trace_sample0")

    @property
    def has_trace(self) -> bool:
        """Whether there is a trace with a step to show."""
        return self.ended and self.state.n_tokens > 0 and is_trace(self.trace_folder)

    @property
    def report(self) -> Path:
        """Its report, once it was made."""
        return self.folder / "report.html"

    @property
    def video(self) -> Path:
        """Its video, once it was made."""
        return self.folder / "video.mp4"

    def image(self, number: int) -> Path:
        """One of its pictures, a PNG."""
        return self.folder / f"image-{number}.png"

    def hear(self, *, leaving: bool = False) -> None:
        """Somebody listens or asks, or says that they no longer will."""
        self.seen, self.left = time.monotonic(), leaving

    @property
    def log(self) -> EventLog:
        """What its pages are told; of an ended run, read from the disk."""
        if self._log is not None:
            return self._log
        events: list[Event] = []
        with suppress(OSError, ValueError):
            # Not `splitlines`, which cuts at characters that JSON leaves as they are.
            lines = (self.folder / "events.jsonl").read_text("utf-8").split("\n")
            events = [event_of(line) for line in lines if line]
        if not events:
            events = [Event(*self.last_event())]
        return EventLog(events, closed=True)

    def last_event(self) -> tuple[str, dict[str, Any]]:
        """How it ended, in the words for its pages."""
        place, state = f"/api/runs/{self.id}", self.state
        made = {"report": f"{place}/report", "trace": f"{place}/trace.zip"} if self.has_trace else {}
        told: dict[str, Any] = {"n_tokens": state.n_tokens, "report": None, "trace": None, **made}
        if state.status == "failed":
            told |= {"error": state.error or "", "has_report": bool(made)}
        return state.status, told

    def update(self, **changes: Any) -> None:
        """Change some of its state."""
        self.state = replace(self.state, **changes)

    def summary(self) -> dict[str, Any]:
        """What the list of recent runs shows."""
        state = self.state
        told = {
            "id": self.id, "label": self.asked.label, "status": state.status, "mode": self.asked.mode,
            "created": self.created, "n_tokens": state.n_tokens, "has_video": self.video.is_file(),
            "images": self.asked.n_images,
        }  # fmt: skip
        return told if state.error is None else told | {"error": state.error}

    def end(self, status: Status, error: str | None = None, **told: Any) -> None:
        """Say how it ended: on the disk first, then to its pages, which may ask for what is there."""
        with self.lock:
            log = self.log
            self.update(status=status, error=error)
            name, data = self.last_event()
            last = Event(name, data | told)
            with suppress(AttnVizError):  # a full disk: the pages are told all the same
                self.save()
                lines = "".join(f"{event.line()}\n" for event in (*log.events, last))
                write_atomic(self.folder / "events.jsonl", lines.encode("utf-8", "replace"))
            log.tell(last.name, last.data, last=True)
        if (self.folder / "events.jsonl").is_file():
            self._log = None  # whoever follows it still holds it

    def save(self) -> None:
        """Write what is known of it.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        table = {"version": 1, "created": self.created, "asked": asdict(self.asked), "state": asdict(self.state)}
        text = json.dumps(table, ensure_ascii=False, indent=1)
        write_atomic(self.folder / "run.json", text.encode("utf-8", "replace"))


class RunStore:
    """All runs in one folder, which no other server uses at the same time."""

    def __init__(self, folder: Path, keep: int) -> None:
        """Take the folder and read what earlier servers left there.

        Raises:
            UsageError: another server uses it, or it is a file.
            EnvironmentFault: it cannot be written.
        """
        self.folder = folder.absolute()
        self._keep = keep
        if self.folder.exists() and not self.folder.is_dir():
            raise UsageError(f"--runs_dir {folder} is a file; name a folder")
        try:
            self._lock = FolderLock(self.folder / "serve.lock")
        except UsageError as error:
            raise UsageError(
                f"--runs_dir {folder} is used by another server; choose another folder, or end that server"
            ) from error
        except EnvironmentFault as error:
            raise EnvironmentFault(f"--runs_dir {folder} cannot be written; choose another folder") from error
        self._runs: dict[str, Run] = {}
        for place in sorted(self.folder.iterdir()):
            run = read_run(place)
            if run is not None:
                self._runs[run.id] = run

    def close(self) -> None:
        """Let another server use the folder."""
        self._lock.release()

    def get(self, name: str) -> Run | None:
        """The run of that id."""
        run = self._runs.get(name)
        return None if run is None or run.deleted else run

    @property
    def runs(self) -> Sequence[Run]:
        """All runs, the newest first."""
        kept = [run for run in self._runs.values() if not run.deleted]
        return sorted(kept, key=lambda run: run.id, reverse=True)

    def create(self, asked: Asked, images: Sequence[bytes], tab: str = "") -> Run:
        """A new run with a folder of its own; `images` are PNG files.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written; nothing is left behind.
        """
        now = datetime.datetime.now(datetime.UTC)
        run = Run(self._new_folder(now), asked, now.isoformat(timespec="seconds"), tab=tab)
        try:
            for number, data in enumerate(images):
                write_atomic(run.image(number), data)
            run.save()
        except BaseException:
            remove_folder(run.folder)
            raise
        self._runs[run.id] = run
        return run

    def _new_folder(self, now: datetime.datetime) -> Path:
        with os_errors(self.folder):
            while True:
                folder = self.folder / f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
                with suppress(FileExistsError):
                    folder.mkdir(parents=True)
                    return folder

    def forget(self, run: Run) -> None:
        """Remove a run and its files."""
        with run.lock:
            self._runs.pop(run.id, None)
            remove_folder(run.folder)

    def tidy(self, busy: Callable[[Run], bool] = lambda run: False) -> None:
        """Remove the oldest runs beyond those that are kept, but none that is `busy` or has not ended.

        Next-token runs are counted apart: one reader's clicks must not push out everybody's answers.
        """
        for kind in (True, False):
            same = [run for run in self.runs if (run.asked.mode == "next") is kind and run.ended]
            for run in same[self._keep :]:
                if not busy(run):
                    self.forget(run)


def read_run(folder: Path) -> Run | None:
    """The run in `folder`; None where there is none, or it cannot be read. One that was not ended has failed."""
    if not _NAME.fullmatch(folder.name):
        return None
    try:
        table = json.loads((folder / "run.json").read_text("utf-8"))
        asked, state = of_table(Asked, table["asked"]), of_table(State, table["state"])
        run = Run(folder, asked, str(table["created"]), state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    if not run.ended:
        run.update(status="failed", error="the server ended before this run did", n_tokens=steps_on_disk(run))
        run = Run(folder, asked, run.created, run.state)
        with suppress(AttnVizError):
            run.save()
    return run


def steps_on_disk(run: Run) -> int:
    """Steps that a killed server had finished."""
    try:
        return load_manifest(run.trace_folder).n_steps
    except TraceError:
        return 0


def of_table(kind: type[Any], table: Mapping[str, Any]) -> Any:
    """A dataclass of JSON's values; lists become tuples, and what it does not know is left out."""
    known = {one.name for one in fields(kind)}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    return kind(**{name: value for name, value in values.items() if name in known})


def remove_folder(folder: Path) -> None:
    """Remove the folder of a run, whatever stands in the way of single files."""
    if _NAME.fullmatch(folder.name):
        shutil.rmtree(folder, ignore_errors=True)
