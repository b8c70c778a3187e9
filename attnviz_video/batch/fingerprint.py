"""What decides the outputs of a run, as names and values that can be compared with those of an earlier run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from attnviz_video.config import RunConfig, to_mapping
from attnviz_video.errors import DatasetError

#: Settings that say where, when and by whom something is made, not what: they may change from run to run.
SCHEDULING = frozenset(
    {"output_dir", "output", "overwrite", "sample_idx", "device", "device_map", "max_trace_gb", "render_workers"}
)
#: Settings that name a place; two ways of writing one place are one setting.
PLACES = ("model_path", "adapter")
#: Larger files of a checkpoint are told apart by their size: reading the weights would take minutes.
READ_WHOLE = 16 * 1024 * 1024
_BLOCK = 1 << 20


def settings_that_count(config: RunConfig) -> dict[str, object]:
    """The settings that decide the outputs, by name; paths are absolute."""
    table = to_mapping(config)
    source = config.source
    table["benchmark_json"] = None if source.benchmark_json is None else str(source.benchmark_json.resolve())
    table["image_dir"] = None if source.image_dir is None else str(source.image_dir.resolve())
    for name in PLACES:
        place = table.get(name)
        if isinstance(place, str) and Path(place).exists():
            table[name] = str(Path(place).resolve())
    return {name: value for name, value in table.items() if name not in SCHEDULING}


def inputs_that_count(config: RunConfig) -> dict[str, str]:
    """SHA-256 of the dataset, of the files of the model and of a template file.

    Raises:
        DatasetError: the dataset cannot be read.
    """
    found = {}
    dataset = config.source.benchmark_json
    if dataset is not None:
        try:
            found["content of benchmark_json"] = sha256_of(dataset)
        except OSError as error:
            raise DatasetError(f"cannot read {dataset}: {error.strerror or error}; check --benchmark_json") from error
    for name in PLACES:
        place = getattr(config.model, name)
        if place is not None and Path(place).is_dir():
            found[f"files of {name}"] = sha256_of_checkpoint(Path(place))
    for name, value in to_mapping(config).items():
        if "template" in name and isinstance(value, str) and is_file(value):
            found[f"content of {name}"] = sha256_of(Path(value))
        elif name == "prompt_template" and isinstance(value, str) and is_folder(value):
            found[f"files of {name}"] = sha256_of_checkpoint(Path(value))
    return found


def hash_of(settings: Mapping[str, object], inputs: Mapping[str, str]) -> str:
    """16 hexadecimal digits that change with any setting or input that counts."""
    text = json.dumps({"settings": settings, "inputs": inputs}, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """What differs, as the user is told: `max_new_tokens (was 24, now 32)`."""
    found = []
    for name in sorted({*old, *new}):
        before, now = old.get(name), new.get(name)
        if before != now:
            content = name.startswith(("content of", "files of"))
            found.append(f"{name} (changed)" if content else f"{name} (was {shown(before)}, now {shown(now)})")
    return found


def shown(value: object) -> str:
    """A value as a sentence quotes it."""
    text = json.dumps(value, ensure_ascii=False) if value is not None else "not set"
    return text if len(text) <= 60 else f"{text[:40]} … {text[-15:]}"


def is_file(text: str) -> bool:
    """Whether a setting names a file; text that can be no path names none."""
    try:
        return len(text) < 4096 and "\n" not in text and Path(text).is_file()
    except (OSError, ValueError):
        return False


def is_folder(text: str) -> bool:
    """Whether a setting names a folder."""
    try:
        return len(text) < 4096 and Path(text).is_dir()
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """Of the bytes of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sha256_of_checkpoint(folder: Path) -> str:
    """Of the names and sizes of all files, and of the bytes of those that are not weights."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            size = path.stat().st_size
            digest.update(f"{path.name} {size}\n".encode("utf-8", "surrogateescape"))
            if size <= READ_WHOLE and path.suffix in (".json", ".jinja", ".txt", ".model"):
                digest.update(sha256_of(path).encode("ascii"))
    return digest.hexdigest()
