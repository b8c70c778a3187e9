"""`recorded.json` and `done.json`: the marker of a stage, written when all its outputs are whole and on the disk."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from attnviz_video.errors import TraceError
from attnviz_video.files import temporary_beside

#: Stands for all files of a trace: it holds their checksums.
TRACE_MANIFEST = "manifest.json"
_BLOCK = 1 << 20


@dataclass(frozen=True)
class FileState:
    """A file as it was when it was whole."""

    #: From the folder of the sample; absolute where the file lies elsewhere (images).
    path: str
    bytes: int
    mtime_ns: int
    crc32: str


@dataclass(frozen=True)
class Marker:
    """A finished stage of one sample."""

    #: Hash of the settings and inputs it was made with.
    config: str
    outputs: tuple[FileState, ...]
    #: The images it was made of.
    inputs: tuple[FileState, ...]
    #: What the row of results.jsonl says about it.
    facts: Mapping[str, object]


def state_of(path: Path, folder: Path) -> FileState:
    """The present state of a file; its bytes are read.

    Raises:
        OSError: it cannot be read.
    """
    checksum = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
        status = os.fstat(file.fileno())
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    return FileState(name, status.st_size, status.st_mtime_ns, f"{checksum & 0xFFFFFFFF:08x}")


def states_of(paths: Iterable[Path], folder: Path) -> tuple[FileState, ...]:
    """The present states of several files."""
    return tuple(state_of(path, folder) for path in paths)


def write_marker(path: Path, marker: Marker) -> None:
    """Write a marker as a whole, after everything it names.

    The files it names are on the disk already; for the marker itself nobody waits, which takes 10 ms on a busy disk.
    After a power cut it may be missing or empty, and the stage is then done again.

    Raises:
        DiskFullError, EnvironmentFault: it cannot be written.
    """
    data = (json.dumps(asdict(marker), ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")
    with temporary_beside(path, len(data)) as partial:
        partial.write_bytes(data)


def read_marker(path: Path) -> Marker | None:
    """The marker in `path`; None where there is none, or nothing that could be one."""
    try:
        table = json.loads(path.read_bytes())
        return Marker(
            str(table["config"]),
            tuple(map(file_state, table["outputs"])),
            tuple(map(file_state, table["inputs"])),
            dict(table["facts"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def file_state(entry: Mapping[str, object]) -> FileState:
    """An entry of a marker.

    Raises:
        TypeError: it is of another form; somebody has edited the file.
    """
    state = FileState(**entry)  # type: ignore[arg-type]
    for name, kind in (("path", str), ("bytes", int), ("mtime_ns", int), ("crc32", str)):
        if not isinstance(getattr(state, name), kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    return state


def is_whole(marker: Marker, folder: Path, *, verify: bool) -> bool:
    """Whether every output is there as it was written: by size and date, or by reading every byte (`verify`).

    A file that has another date, as a copy has, is read in any case.
    """
    return not changed(marker.outputs, folder, verify=verify)


def changed(states: Sequence[FileState], folder: Path, *, verify: bool = False) -> list[str]:
    """Names of the files that are missing or not what they were."""
    return [state.path for state in states if not is_as_before(state, folder, verify=verify)]


def is_as_before(state: FileState, folder: Path, *, verify: bool) -> bool:
    """Whether one file is what it was; of a trace, the manifest stands for all files, which `verify` reads."""
    path = folder / state.path
    try:
        status = path.stat()
        if status.st_size != state.bytes:
            return False
        if not verify and status.st_mtime_ns == state.mtime_ns:
            return True
        return state_of(path, folder).crc32 == state.crc32 and (
            not verify or path.name != TRACE_MANIFEST or trace_ok(path)
        )
    except (OSError, ValueError):  # ValueError: what can be no path
        return False


def trace_ok(manifest_file: Path) -> bool:
    """Whether every file of a trace has the checksum its manifest says."""
    from attnviz_video.tracefile.checked import check_crc, check_files
    from attnviz_video.tracefile.manifest import load_manifest

    folder = manifest_file.parent
    try:
        manifest = load_manifest(folder)
        check_files(folder, manifest)
        for _, entry in manifest.named_files():
            check_crc(folder, entry)
    except TraceError:
        return False
    return True
