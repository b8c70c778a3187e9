"""FAULTS 20: a full disk is one sentence, and what was finished before stays readable."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from attnviz_video.errors import DiskFullError, EnvironmentFault
from attnviz_video.tracefile.place import is_trace, partial_of
from attnviz_video.tracefile.read import open_trace, verify_trace
from tests.tracefile.made import made
from tests.tracefile.test_killed import NEW, OLD, assert_beginning_of, in_child

SENTENCE = (
    r"disk full while writing .*: needs about \d.*B, free \d.*B; "
    "free some space or choose another place with --output_dir"
)


@pytest.mark.parametrize("space_returns", [False, True])
def test_at_any_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space_returns: bool) -> None:
    folder = tmp_path / "trace"
    OLD.write(folder)
    statuses = set()
    for failing in range(1000):
        calls = iter(range(10_000))

        def fsync(handle: int, failing: int = failing, calls: object = calls) -> None:
            number = next(calls)  # type: ignore[call-overload]
            if number == failing or (number > failing and not space_returns):
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", fsync)
        try:
            NEW.write(folder)
            break
        except DiskFullError:
            pass
        assert assert_beginning_of(OLD, folder) == 3
        if is_trace(partial_of(folder)):
            assert_beginning_of(NEW, partial_of(folder))
            statuses.add(open_trace(partial_of(folder)).status)
    assert failing > 10
    assert statuses == ({"failed"} if space_returns else {"running"})
    assert assert_beginning_of(NEW, folder) == 20


@pytest.mark.parametrize("failing", range(4))
def test_a_caller_may_make_room_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int) -> None:
    """Each of the four files of a shard in turn; what half an attempt left in a growing file is written over."""
    calls = iter(range(10_000))

    def fsync(handle: int) -> None:
        if next(calls) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")

    recording = made(20)
    with recording.writer(tmp_path / "trace") as writer:
        monkeypatch.setattr(os, "fsync", fsync)
        for step in recording.steps[:15]:
            writer.add(step)
        with pytest.raises(DiskFullError, match=SENTENCE):
            writer.add(recording.steps[15])
        for step in recording.steps[16:]:
            writer.add(step)
        writer.complete(recording.answer, recording.header)
    assert assert_beginning_of(recording, tmp_path / "trace") == 20


def test_sentence_names_need_and_free_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    writer = made(16).writer(tmp_path / "trace")
    monkeypatch.setattr(os, "fsync", fsync)
    for step in made(15).steps:
        writer.add(step)
    with pytest.raises(DiskFullError, match=SENTENCE) as caught, writer:
        writer.add(made(16).steps[15])
    assert caught.value.exit_code == 4


def test_under_a_limit_of_the_system(tmp_path: Path) -> None:
    """RLIMIT_FSIZE: the write itself fails, in the middle of a shard."""
    recording = made(40, grids=((10, 10),), n_heads=4)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (27_000, 27_000))
        try:
            recording.write(tmp_path / "trace")
        except DiskFullError:
            os._exit(4)

    assert in_child(work) == 4
    summary = verify_trace(tmp_path / "trace")
    assert summary.status == "failed"
    assert summary.reason.startswith("DiskFullError: file size limit while writing")
    assert summary.reason.endswith(": needs about 28.3 kB, a file may have 27.0 kB (ulimit -f); raise the limit")
    assert not [path for path in summary.folder.iterdir() if ".partial." in path.name]


def test_a_place_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentFault, match="cannot write .*: File exists; choose another place with --output_dir"):
        made(1).write(tmp_path / "file" / "trace")
