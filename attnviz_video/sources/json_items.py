"""A dataset file to its items: one JSON array, or JSON Lines, read strictly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.errors import DatasetError

#: Items are flat objects; lists of boxes or turns in them are a few levels deep.
DEEPEST = 60
#: Files of these names hold one object a line, even where the first lines do not show it.
_LINE_SUFFIXES = (".jsonl", ".ndjson")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Refused:
    """Stands where something cannot be taken, so that it blocks no other item; `checked_item` refuses it by name."""

    reason: str


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
    if _is_json_lines(text, json_file):
        return _parse_lines(text)
    try:
        found = _parse(text)
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{json_file}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg}); "
            "the file may be cut off or edited by hand"
        ) from error
    except RecursionError as error:
        raise DatasetError(f"{json_file}: nested too deeply; expected a list of flat objects") from error
    return found if isinstance(found, list) else [found]


def checked_item(item: object, index: int, json_file: Path) -> dict[str, object]:
    """Item number `index` of a file; characters that cannot be written as UTF-8 (lone surrogates) become U+FFFD.

    Raises:
        DatasetError: it is not an object, not strict JSON, or nested too deeply.
    """
    where = f"{json_file}, item {index}"
    if isinstance(item, Refused):
        raise DatasetError(f"{where}, {item.reason}" if item.reason.startswith("line") else f"{where}: {item.reason}")
    if not isinstance(item, dict):
        raise DatasetError(f"{where}: expected an object with the keys id, image, problem, answer, got {_kind(item)}")
    try:
        return {str(_clean(key, 0)): _clean(value, 1) for key, value in item.items()}
    except ValueError as error:
        raise DatasetError(f"{where}: {error}") from error


def writable(text: str) -> str:
    """`text` with lone surrogates, which no file in UTF-8 can hold, as U+FFFD."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def _is_json_lines(text: str, json_file: Path) -> bool:
    """Whether `text` starts with an object and goes on with another on a later line, or is named like such a file."""
    if not text.lstrip().startswith("{"):
        return False
    if json_file.suffix.lower() in _LINE_SUFFIXES:
        return True
    first, _, rest = text.lstrip().partition("\n")
    return first.rstrip().endswith("}") and rest.lstrip().startswith("{")


def _parse_lines(text: str) -> list[object]:
    # Only line feeds end a line: `splitlines` would also cut at U+2028, which may stand inside a string.
    lines = text.split("\n")
    return [_parse_line(line, number) for number, line in enumerate(lines, start=1) if line.strip()]


def _parse_line(line: str, number: int) -> object:
    try:
        return _parse(line)
    except json.JSONDecodeError as error:
        where = f"line {number}, column {error.colno}"
        return Refused(f"{where}: not valid JSON ({error.msg}); the line may be cut off or edited by hand")
    except RecursionError:
        return Refused(f"line {number}: nested too deeply; expected a flat object")


def _parse(text: str) -> object:
    return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)


def _object(pairs: Sequence[tuple[str, object]]) -> object:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        return Refused(f"the key {twice!r} occurs twice in one object; expected strict JSON")
    return found


def _constant(name: str) -> object:
    return Refused(f"{name} is not a JSON number; expected strict JSON")


def _integer(digits: str) -> object:
    try:
        return int(digits)
    except ValueError:  # Python's own limit for text that may come from anybody
        return Refused(f"a number of {len(digits)} digits; expected numbers of at most 4300")


def _kind(value: object) -> str:
    """What a JSON value is, for messages."""
    names = {str: "a string", list: "a list", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _clean(value: object, depth: int) -> object:
    """`value` without lone surrogates.

    Raises:
        ValueError: something in it cannot be taken.
    """
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, Refused):
        raise ValueError(value.reason)
    if not isinstance(value, (list, dict)):
        return value
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} levels deep; expected a flat object")
    if isinstance(value, list):
        return [_clean(part, depth + 1) for part in value]
    return {str(_clean(key, depth)): _clean(part, depth + 1) for key, part in value.items()}
