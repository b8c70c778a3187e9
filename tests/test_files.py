"""Half-written files of killed runs go, those of living ones stay; what stops a write is told by its name."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attnviz_video import files
from attnviz_video.errors import DiskFullError
from attnviz_video.files import ABANDONED, machine, os_errors, remove_left_over, temporary_beside


def left_over(target: Path, process: int, where: str, age: float = 0.0) -> Path:
    """A half-written file of `target`, last touched `age` seconds ago."""
    file = target.with_name(f"{target.stem}.{process:08x}-{where}-12ab.partial{target.suffix}")
    file.write_bytes(b"half")
    os.utime(file, (time.time() - age,) * 2)
    return file


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_f26_what_a_killed_run_left_is_removed(tmp_path: Path, dead: int) -> None:
    target = tmp_path / "a.mp4"
    gone = left_over(target, dead, machine())
    silent = left_over(target, os.getpid(), "00000000", age=ABANDONED + 60)
    kept = [
        left_over(target, os.getpid(), machine()),
        left_over(target, dead, "00000000"),
        left_over(tmp_path / "b.mp4", dead, machine()),
        left_over(tmp_path / "a.json", dead, machine()),
    ]
    (tmp_path / "a.mine.partial.mp4").write_bytes(b"not ours")
    remove_left_over(target)
    assert not gone.exists()
    assert not silent.exists()
    assert all(file.exists() for file in kept)
    assert (tmp_path / "a.mine.partial.mp4").exists()
    remove_left_over(tmp_path / "no such folder" / "a.mp4")


def test_partial_files_are_named_as_the_tidying_expects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "is_gone", lambda process: process == os.getpid())
    with pytest.raises(ZeroDivisionError), temporary_beside(tmp_path / "a.mp4") as partial:  # noqa: PT012
        partial.write_bytes(b"half")
        remove_left_over(tmp_path / "a.mp4")
        assert not partial.exists()
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("limit", "what"),
    [
        (None, "the file system takes no larger file; choose another place with --output_dir"),
        (307_200, "a file may have 307.2 kB (ulimit -f); raise the limit"),
    ],
)
def test_f20_a_limit_on_the_size_of_files_is_no_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int | None, what: str
) -> None:
    found = resource.RLIM_INFINITY if limit is None else limit
    monkeypatch.setattr(resource, "getrlimit", lambda which: (found, resource.RLIM_INFINITY))
    with pytest.raises(DiskFullError) as caught, os_errors(tmp_path / "a.bin", 1_900_000):
        raise OSError(errno.EFBIG, "File too large")
    assert str(caught.value) == f"file size limit while writing {tmp_path / 'a.bin'}: needs about 1.9 MB, {what}"
    with pytest.raises(DiskFullError, match="^disk full while writing "), os_errors(tmp_path / "a.bin"):
        raise OSError(errno.ENOSPC, "No space left on device")
