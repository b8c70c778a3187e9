"""A dataset file to its items: one JSON array, or JSON Lines, read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from attnviz_video.errors import DatasetError

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_items(json_file: Path) -> list[object]:
    """The items of `json_file` in order; an empty file has none. A byte order mark is accepted.

    Items are as they stand there: `checked_item` makes sure of one, so that a faulty item blocks no other.

    Raises:
        DatasetError: the file cannot be read, or is not JSON.
    """
    try:
        text = json_file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DatasetError(f"cannot read {json_file}: {error.strerror or error}; check --benchmark_json") from error
    except UnicodeDecodeError as error:
        raise DatasetError(f"{json_file}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
    if not text.strip():
        return []
    found = _parse_lines(text, json_file) if _is_json_lines(text) else _parse(text, json_file)
    return found if isinstance(found, list) else [found]


def checked_item(item: object, index: int, json_file: Path) -> dict[str, object]:
    """Item number `index` of a file; characters that cannot be written as UTF-8 (lone surrogates) become U+FFFD.

    Raises:
        DatasetError: it is not an object.
    """
    if not isinstance(item, dict):
        raise DatasetError(
            f"{json_file}, item {index}: expected an object with the keys id, image, problem, answer, got {_kind(item)}"
        )
    return _without_surrogates(item)


def _is_json_lines(text: str) -> bool:
    """Whether `text` starts with an object and goes on with another on a later line."""
    if not text.lstrip().startswith("{"):
        return False
    first, *others = [line for line in text.split("\n") if line.strip()]
    return bool(others) and first.rstrip().endswith("}") and others[0].lstrip().startswith("{")


def _parse_lines(text: str, json_file: Path) -> list[object]:
    # Only line feeds end a line: `splitlines` would also cut at U+2028, which may stand inside a string.
    lines = text.split("\n")
    return [_parse(line, json_file, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse(text: str, json_file: Path, line: int = 1) -> object:
    """One JSON document that starts in line `line` of the file."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno + line - 1}, column {error.colno}"
        raise DatasetError(
            f"{json_file}, {where}: not valid JSON ({error.msg}); the file may be cut off or edited by hand"
        ) from error
    except RecursionError as error:
        raise DatasetError(f"{json_file}: nested too deeply; expected a list of flat objects") from error
    except ValueError as error:
        raise DatasetError(f"{json_file}: {error}; expected a list of objects in strict JSON") from error


def _object(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} occurs twice in one object")
    return found


def _constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def _kind(value: object) -> str:
    """What a JSON value is, for messages."""
    names = {str: "a string", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _without_surrogates(item: dict[str, object]) -> dict[str, object]:
    return {str(_clean(key)): _clean(value) for key, value in item.items()}


def _clean(value: object) -> object:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_clean(part) for part in value]
    if isinstance(value, dict):
        return _without_surrogates(value)
    return value
