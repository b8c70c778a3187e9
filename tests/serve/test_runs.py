"""Recent runs on disk: what is kept, what a killed server leaves, and what lies there that is none of ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from attnviz_video.config import RunConfig
from attnviz_video.errors import DiskFullError, EnvironmentFault, UsageError
from attnviz_video.serve import runs
from attnviz_video.serve.downloads import report_of
from attnviz_video.serve.runs import Asked, Run, RunStore
from attnviz_video.shipped import shipped


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "live", keep=2)


def ended(store: RunStore, prompt: str, **more: object) -> Run:
    run = store.create(Asked(prompt, **more), [])  # type: ignore[arg-type]
    run.log.tell("step", {"text": f"{prompt}\u2028"})
    run.end("done")
    return run


def reopened(store: RunStore) -> RunStore:
    store.close()
    return RunStore(store.folder, keep=2)


def test_what_was_told_is_told_again_after_a_restart(store: RunStore) -> None:
    run = ended(store, "a", system="龘", settings={"layer_idx": 3})
    again = reopened(store).get(run.id)
    assert again is not None
    assert (again.asked, again.state, again.created) == (run.asked, run.state, run.created)
    assert again.log.events == run.log.events
    assert [event.name for event in again.log.events] == ["step", "done"]
    assert again.log.closed


def test_a_run_of_a_killed_server_has_failed(store: RunStore) -> None:
    waiting, running = store.create(Asked("a"), []), store.create(Asked("b"), [])
    running.update(status="running")
    running.save()
    again = reopened(store)
    for run in (waiting, running):
        found = again.get(run.id)
        assert found is not None
        assert (found.state.status, found.state.error) == ("failed", "the server ended before this run did")
        (event,) = found.log.events
        assert event.name == "failed"


def test_the_steps_that_a_killed_server_had_finished_can_be_shown(store: RunStore) -> None:
    run = store.create(Asked("a"), [])
    run.update(status="running")
    run.save()
    shutil.copytree(shipped("samples/demo_trace"), run.folder / "trace_sample0.partial")
    again = reopened(store).get(run.id)
    assert again is not None
    assert (again.state.n_tokens, again.has_trace) == (53, True)
    assert again.last_event()[1]["report"] == f"/api/runs/{run.id}/report"
    assert report_of(again, RunConfig()).is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "run.json").write_text("{"),
        lambda folder: (folder / "run.json").write_text('{"asked": 3}'),
        lambda folder: (folder / "run.json").unlink(),
        lambda folder: (folder / "run.json").write_bytes(b"\xff"),
    ],
)
def test_what_cannot_be_read_is_left_alone(store: RunStore, damage: Callable[[Path], object]) -> None:
    run, other = ended(store, "a"), ended(store, "b")
    damage(run.folder)
    again = reopened(store)
    assert again.get(run.id) is None
    assert again.get(other.id) is not None
    assert run.folder.is_dir()


def test_events_that_cannot_be_read_leave_the_end(store: RunStore) -> None:
    run = ended(store, "a")
    (run.folder / "events.jsonl").write_text("nonsense")
    assert [event.name for event in run.log.events] == ["done"]


def test_the_newest_are_kept_each_kind_for_itself(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [ended(store, f"{number}") for number in range(4)]
    clicks = [ended(store, f"{number}", mode="next") for number in range(4)]
    waiting = store.create(Asked("waits"), [])
    by_age = sorted(answers, key=lambda run: run.id)
    store.tidy(busy=lambda run: run is by_age[0])
    assert {run.id for run in store.runs} == {
        waiting.id, by_age[0].id, *(run.id for run in by_age[2:]), *sorted(run.id for run in clicks)[2:]
    }  # fmt: skip
    assert not by_age[1].folder.exists()
    assert by_age[0].folder.exists()


def test_names_are_made_here_and_only_such_folders_are_removed(store: RunStore) -> None:
    stranger = store.folder / "holiday-pictures"
    stranger.mkdir()
    (stranger / "run.json").write_text("{}")
    runs.remove_folder(stranger)
    assert stranger.is_dir()
    assert reopened(store).runs == []
    assert store.get("holiday-pictures") is None


def test_two_servers_do_not_share_a_folder(store: RunStore) -> None:
    message = r"^--runs_dir .*live is used by another server; choose another folder, or end that server$"
    with pytest.raises(UsageError, match=message):
        RunStore(store.folder, keep=2)
    store.close()
    RunStore(store.folder, keep=2).close()


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="^--runs_dir .*file is a file; name a folder$"):
        RunStore(tmp_path / "file", keep=2)
    with pytest.raises(EnvironmentFault, match="^--runs_dir .* cannot be written; choose another folder$"):
        RunStore(Path("/proc/nowhere"), keep=2)


def test_a_full_disk_leaves_nothing_behind(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise DiskFullError(f"disk full while writing {path}")

    monkeypatch.setattr(runs, "write_atomic", full)
    with pytest.raises(DiskFullError):
        store.create(Asked("a"), [b"x"])
    assert [path.name for path in store.folder.iterdir()] == ["serve.lock"]
    assert store.runs == []


def test_a_full_disk_at_the_end_is_still_told(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    run = store.create(Asked("a"), [])
    monkeypatch.setattr(runs, "write_atomic", lambda path, data: (_ for _ in ()).throw(DiskFullError("full")))
    run.log.tell("step", {})
    run.end("failed", "disk full")
    assert [event.name for event in run.log.events] == ["step", "failed"]


def test_the_label_is_short_and_on_one_line() -> None:
    assert Asked("a\n b" + "x" * 99).label == "a b" + "x" * 56 + "…"
    assert json.dumps(Asked("ok").label) == '"ok"'
