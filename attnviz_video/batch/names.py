"""Names of the folders and files of a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from attnviz_video.errors import UsageError

RUN = "run"
RESULTS = "results"
SUMMARY = "summary.csv"
INDEX = "index.html"
#: A stage of a sample is whole when its marker is there.
RECORDED = "recorded.json"
DONE = "done.json"
#: Where the traceback of a bug goes, in the folder of the sample that met it.
TRACEBACK = "error.txt"
#: Digits of an index; larger ones take more.
INDEX_DIGITS = 6
#: Characters of an id in a name; file systems stop at 255 bytes.
ID_CHARACTERS = 80

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")
_SAMPLE_FOLDER = re.compile(rf"\d{{{INDEX_DIGITS},}}-[A-Za-z0-9._-]*")
#: The selection that a shard is cut from stands in the name of its lock, where other shards see it at once.
_LOCK = re.compile(rf"{RUN}(?:-(?P<number>\d+)-of-(?P<count>\d+)(?:-(?P<selection>[0-9a-f]{{8}}))?)?\.(lock|workers)")
_OWN_FILE = re.compile(rf"({RUN}|{RESULTS})(-\d+-of-\d+)?\.jsonl?|{_LOCK.pattern}|summary\.csv|index\.html|\..*")


def sample_folder_name(index: int, sample_id: str) -> str:
    """`000012-clevr_000123`: the index, and of the id what every file system takes."""
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", sample_id)[:ID_CHARACTERS].strip(".")
    return f"{index:0{INDEX_DIGITS}d}-{safe}"


def is_sample_folder_name(name: str) -> bool:
    """Whether a folder of that name may hold a sample of a run."""
    return _SAMPLE_FOLDER.fullmatch(name) is not None


def index_of(folder_name: str) -> int:
    """The index in the name of a sample's folder."""
    return int(folder_name.partition("-")[0])


def is_own_name(name: str) -> bool:
    """Whether a run writes something of that name into its folder."""
    return is_sample_folder_name(name) or _OWN_FILE.fullmatch(name) is not None


def shard_suffix(shard: str | None) -> str:
    """`-03-of-16`: what tells the files of one shard of a run from those of the others; empty where there is one only.

    Raises:
        UsageError: not two numbers with a stroke between them.
    """
    if shard is None:
        return ""
    found = _SHARD.fullmatch(shard.strip())
    if found is None:
        raise UsageError(f"--shard {shard!r}: expected i/n, such as 3/16")
    number, count = int(found[1]), int(found[2])
    return f"-{number:0{len(str(count))}d}-of-{count}"


def run_file(folder: Path, suffix: str) -> Path:
    """What a run was asked for, and what it ran on."""
    return folder / f"{RUN}{suffix}.json"


def lock_file(folder: Path, suffix: str, selection: Sequence[int] = ()) -> Path:
    """Held as long as the run lives; `selection` are the indices that a shard is cut from, in their order."""
    return folder / f"{RUN}{suffix}{f'-{selection_key(selection)}' if suffix else ''}.lock"


def selection_key(selection: Sequence[int]) -> str:
    """8 hexadecimal digits that tell selections apart."""
    return hashlib.sha256(",".join(map(str, selection)).encode("ascii")).hexdigest()[:8]


def share_no_sample(lock: str, other: str) -> bool:
    """Whether two locks (names of the files) are those of different shards of one cutting of one selection.

    `other` may also be the name of a `workers_file`.
    """
    one, two = _LOCK.fullmatch(lock), _LOCK.fullmatch(other)
    if one is None or two is None or one["selection"] is None:
        return False
    return one["number"] != two["number"] and one.group("count", "selection") == two.group("count", "selection")


def workers_file(lock: Path) -> Path:
    """Held by every worker of the run that holds `lock`, as long as the worker lives (see `presence`)."""
    return lock.with_suffix(".workers")


def results_file(folder: Path, suffix: str) -> Path:
    """One line per attempt."""
    return folder / f"{RESULTS}{suffix}.jsonl"


def all_run_files(folder: Path) -> list[Path]:
    """`run.json`, and that of every shard."""
    return sorted(path for path in folder.glob(f"{RUN}*.json") if is_own_name(path.name))


def all_results_files(folder: Path) -> list[Path]:
    """`results.jsonl`, and that of every shard."""
    return sorted(path for path in folder.glob(f"{RESULTS}*.jsonl") if is_own_name(path.name))


def is_run_folder(folder: Path) -> bool:
    """Whether `folder` is that of a batch run."""
    return bool(all_run_files(folder)) if folder.is_dir() else False
