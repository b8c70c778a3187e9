"""FAULTS 28: names, locks, replacing, and what is not ours."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from attnviz_video.errors import UsageError
from attnviz_video.tracefile import lock as lock_module
from attnviz_video.tracefile.lock import FolderLock
from attnviz_video.tracefile.place import lock_of, partial_of, previous_of
from attnviz_video.tracefile.read import open_trace, replaced_notice
from tests.tracefile.made import made
from tests.tracefile.test_killed import in_child

OLD, NEW = made(2, seed=1), made(4, seed=2)


def n_steps(folder: Path) -> int:
    return len(open_trace(folder).steps)


def test_a_repeated_run_replaces_its_trace_when_it_is_complete_and_not_before(tmp_path: Path) -> None:
    folder = OLD.write(tmp_path / "trace")
    with NEW.writer(folder) as writer:
        for step in NEW.steps:
            writer.add(step)
            assert n_steps(folder) == 2
        writer.complete(NEW.answer, NEW.header)
    assert n_steps(folder) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


def test_a_longer_former_trace_leaves_no_file_behind(tmp_path: Path) -> None:
    folder = made(40, query_rows="all").write(tmp_path / "trace")
    NEW.write(folder)
    assert not (folder / "attn-00001.safetensors").exists()


def test_replacing_another_sample_or_model_is_said(tmp_path: Path) -> None:
    header = NEW.header
    other = replace(header, sample=replace(header.sample, id="item-8"), model=replace(header.model, id="my/model"))
    assert replaced_notice(tmp_path / "trace", header) is None
    folder = OLD.write(tmp_path / "trace")
    assert replaced_notice(folder, header) is None
    sentence = "holds sample item-7 of some/model; it is replaced by sample item-8 of my/model"
    assert (replaced_notice(folder, other) or "").endswith(sentence)


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "trace").symlink_to(tmp_path / "disk" / "real")
    NEW.write(tmp_path / "trace")
    OLD.write(tmp_path / "trace")
    assert (tmp_path / "trace").is_symlink()
    assert n_steps(tmp_path / "disk" / "real") == 2


def test_a_folder_of_someone_else_is_refused_without_touching_it(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds 'thesis.tex', which this program did not write; .* give --overwrite"):
        NEW.writer(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]
    assert (folder / "thesis.tex").read_text() == "mine"


def test_names_like_ours_in_a_folder_that_is_no_trace_are_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    folder.mkdir()
    (folder / "image-7.png").write_text("mine")
    with pytest.raises(UsageError, match="holds 'image-7.png'"):
        NEW.writer(folder)
    NEW.write(folder, overwrite=True)
    assert (folder / "image-7.png").read_text() == "mine"


def test_overwrite_keeps_files_of_other_names(tmp_path: Path) -> None:
    folder = OLD.write(tmp_path / "trace")
    (folder / "plots").mkdir()
    (folder / "plots" / "a.png").write_text("mine")
    with pytest.raises(UsageError, match="holds 'plots'"):
        NEW.writer(folder)
    NEW.write(folder, overwrite=True)
    assert n_steps(folder) == 4
    assert (folder / "plots" / "a.png").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["trace"]


def test_a_file_of_that_name_is_replaced_only_with_overwrite(tmp_path: Path) -> None:
    (tmp_path / "trace").write_text("mine")
    with pytest.raises(UsageError, match="is a file, and the trace needs a folder .* give --overwrite"):
        NEW.writer(tmp_path / "trace")
    NEW.write(tmp_path / "trace", overwrite=True)
    assert n_steps(tmp_path / "trace") == 4


def test_a_strange_file_in_the_workplace_is_not_removed(tmp_path: Path) -> None:
    workplace = partial_of(tmp_path / "trace")
    workplace.mkdir()
    (workplace / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="partial holds 'thesis.tex', .* move it away"):
        NEW.writer(tmp_path / "trace")
    assert (workplace / "thesis.tex").exists()


def test_a_refused_run_leaves_what_an_earlier_one_finished(tmp_path: Path) -> None:
    with NEW.writer(tmp_path / "trace") as writer:
        writer.add(NEW.steps[0])
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="thesis"):
        NEW.writer(tmp_path / "trace")
    assert n_steps(partial_of(tmp_path / "trace")) == 1


def test_a_replacement_cut_short_between_its_two_names_is_taken_back(tmp_path: Path) -> None:
    folder = OLD.write(tmp_path / "trace")
    folder.rename(previous_of(folder))
    NEW.writer(folder).fail("stopped")
    assert n_steps(folder) == 2


def test_a_failed_rename_puts_the_former_trace_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnviz_video.errors import EnvironmentFault

    folder = OLD.write(tmp_path / "trace")
    real = os.rename

    def rename(source: Path, target: Path) -> None:
        if Path(source) == partial_of(folder):
            raise OSError(5, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(EnvironmentFault, match="cannot write .*trace: Input/output error"):
        NEW.write(folder)
    assert n_steps(folder) == 2


def test_two_runs_cannot_write_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "trace"
    with NEW.writer(folder) as writer:
        with pytest.raises(
            UsageError, match=rf"another run is writing .*trace: process {os.getpid()} on .* holds trace.lock"
        ):
            OLD.writer(folder)
        assert in_child(lambda: OLD.writer(folder)) == 1
        for step in NEW.steps:
            writer.add(step)
        writer.complete(NEW.answer, NEW.header)
    OLD.write(folder)
    assert n_steps(folder) == 2


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    def work() -> None:
        FolderLock(lock_of(tmp_path / "trace"))
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(work) == -signal.SIGKILL
    assert lock_of(tmp_path / "trace").exists()
    NEW.write(tmp_path / "trace")
    assert not lock_of(tmp_path / "trace").exists()


def test_without_flock_the_process_number_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(lock_module.fcntl, "flock", flock)
    path = tmp_path / "trace.lock"
    first = FolderLock(path)
    with pytest.raises(UsageError, match="another run is writing"):
        FolderLock(path)
    first.release()
    for text, taken in (("", False), ("4194304 here", True), (f"{os.getppid()} elsewhere", True)):
        path.write_text(text.replace("here", lock_module.socket.gethostname()) if text.endswith(" here") else text)
        if taken and "elsewhere" in text:
            with pytest.raises(UsageError, match="on elsewhere holds"):
                FolderLock(path)
        else:
            FolderLock(path).release()


def test_a_lock_removed_by_its_holder_meanwhile_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real, removed = tmp_path / "trace.lock", lock_module._lock, []

    def lock(handle: int, where: Path) -> None:
        real(handle, where)
        if not removed:
            removed.append(where)
            where.unlink()

    monkeypatch.setattr(lock_module, "_lock", lock)
    held = FolderLock(path)
    assert path.exists()
    with pytest.raises(UsageError, match="another run"):
        FolderLock(path)
    held.release()
