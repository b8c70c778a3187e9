"""Samples of a run that have no whole trace: `render` cannot make their videos, and the books say so."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.batch import names
from attnviz_video.batch.jobs import SampleTask
from attnviz_video.batch.ledger import Ledger, now
from attnviz_video.batch.markers import changed, read_marker
from attnviz_video.batch.results import latest

#: Statuses of a sample that was never recorded as a whole, which is no failure.
BEGUN = ("interrupted", "killed")
#: What a row says about files that may be gone.
FILES = ("videos", "poster", "thumbnail", "outputs", "from_marker")


def samples_in(ledger: Ledger) -> list[tuple[int, str]]:
    """Index and id of every sample that a run has come to, by its rows and by the markers in its folder."""
    found: dict[int, str] = {}
    for home in ledger.folder.iterdir():
        if names.is_sample_folder_name(home.name):
            index, named = names.index_of(home.name), home.name.partition("-")[2]
            if facts := ledger.facts(index, named):
                found[index] = str(facts.get("id", named))
    for index, row in latest(ledger.rows).items():
        named = str(row.get("folder", "")).partition("-")[2]
        found.setdefault(index, str(row.get("id", named)))
    return sorted(found.items())


def note_lost(ledger: Ledger, tasks: Sequence[SampleTask]) -> int:
    """Write a row for every sample that was recorded and has no whole trace any more.

    Returns the number of samples that were never recorded as a whole, which get no row.

    Raises:
        DiskFullError, EnvironmentFault: the row cannot be written.
    """
    rows, n_unrecorded = latest(ledger.rows), 0
    for task in tasks:
        former = rows.get(task.index, {})
        if former.get("status") in BEGUN:
            n_unrecorded += 1
        elif former.get("status") != "failed":
            told = {name: value for name, value in former.items() if name not in FILES}
            error = {"kind": "TraceError", "sentence": what_is_lost(task)}
            ledger.append({
                **told, "index": task.index, "id": task.id, "folder": task.home.name, "status": "failed",
                "stage": "render", "attempt": task.attempt, "error": error, "started": now(), "ended": now(),
            })  # fmt: skip
    return n_unrecorded


def what_is_lost(task: SampleTask) -> str:
    """Why a sample that was recorded cannot be rendered."""
    marker = read_marker(task.home / names.RECORDED)
    lost = [names.RECORDED] if marker is None else changed(marker.outputs, task.home)
    files = f" ({', '.join(lost)} missing or changed)" if lost else ""
    return f"{task.home.name} holds no whole trace{files}; record it again with the batch command and --retry_failed"
