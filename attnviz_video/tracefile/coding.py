"""Dataclasses to plain JSON values and back: strict, by their type hints, and never through pickle."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import numpy as np

from attnviz_video.errors import TraceError

Noun = TypeVar("Noun")

#: JSON has no numbers for these; as strings every JSON reader can take them.
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def to_json(value: object, where: str) -> object:
    """`value` as dicts, lists, strings, numbers, booleans and None; bytes become hex, paths strings.

    Raises:
        TraceError: a value of another type, with the place `where` it stands.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: to_json(getattr(value, name), f"{where}.{name}") for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item, f"{where}[{number}]") for number, item in enumerate(value)]
    raise TraceError(
        f"{where} is a {type(value).__name__}, which a trace cannot keep; "
        "pass text, numbers, booleans, lists or mappings"
    )


def to_line(value: object, where: str) -> bytes:
    """`value` as one line of JSON in ASCII, with its line feed."""
    return json.dumps(to_json(value, where), separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def parse(text: bytes, where: str) -> object:
    """The JSON value in `text`.

    Raises:
        TraceError: `text` is not JSON in UTF-8.
    """
    try:
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{where} is not JSON ({type(error).__name__}); the trace is damaged") from error


def from_json(kind: type[Noun], value: object, where: str) -> Noun:
    """The dataclass `kind` that `to_json` made `value` of.

    Raises:
        TraceError: unknown or missing keys, or a value of another type, with its place.
    """
    result: Noun = _decode(kind, value, where)
    return result


def _decode(kind: Any, value: object, where: str) -> Any:
    origin = typing.get_origin(kind)
    if kind in (object, Any):
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(typing.get_args(kind), value, where)
    if origin is Literal:
        return value if value in typing.get_args(kind) else _refuse(f"one of {typing.get_args(kind)}", value, where)
    if origin is tuple:
        return _decode_tuple(typing.get_args(kind), value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _decode_mapping(typing.get_args(kind)[1], value, where)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, where)
    return _decode_plain(kind, value, where)


def _decode_plain(kind: Any, value: object, where: str) -> Any:
    """Numbers, text, paths, bytes."""
    if kind is float:
        if isinstance(value, str) and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind in (str, bool) and isinstance(value, kind):
        return value
    if kind is type(None) and value is None:
        return None
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is bytes and isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            return _refuse("hexadecimal bytes", value, where)
    return _refuse(getattr(kind, "__name__", str(kind)), value, where)


def _decode_union(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    """`X | None`: the only union among the nouns."""
    if value is None and type(None) in kinds:
        return None
    return _decode(next(kind for kind in kinds if kind is not type(None)), value, where)


def _decode_tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        _refuse("a list", value, where)
    items = typing.cast("list[object]", value)
    of_each = [kinds[0]] * len(items) if kinds[-1] is Ellipsis else list(kinds)
    if len(of_each) != len(items):
        _refuse(f"a list of {len(of_each)}", value, where)
    pairs = zip(of_each, items, strict=True)
    return tuple(_decode(kind, item, f"{where}[{number}]") for number, (kind, item) in enumerate(pairs))


def _decode_mapping(kind: Any, value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse("a mapping", value, where)
    return {key: _decode(kind, item, f"{where}.{key}") for key, item in typing.cast("dict[str, object]", value).items()}


def _decode_dataclass(kind: Any, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        _refuse("a mapping", value, where)
    table = typing.cast("dict[str, object]", value)
    wanted = _hints(kind)
    missed = wanted.keys() - table.keys()
    if not table.keys() <= wanted.keys() or not missed <= _later(kind):
        unknown = ", ".join(sorted(table.keys() - wanted.keys())) or "none"
        missing = ", ".join(sorted(missed - _later(kind))) or "none"
        raise TraceError(f"{where}: unknown keys: {unknown}; missing keys: {missing}; this is not a trace of version 1")
    return kind(
        **{name: _decode(hint, table[name], f"{where}.{name}") for name, hint in wanted.items() if name in table}
    )


@lru_cache(maxsize=64)
def _later(kind: Any) -> frozenset[str]:
    """Fields of a dataclass that came after the first traces were written, and keep their default where missing."""
    return frozenset(field.name for field in dataclasses.fields(kind) if "later" in field.metadata)


@lru_cache(maxsize=64)
def _hints(kind: Any) -> dict[str, Any]:
    """Types of the fields of a dataclass, names resolved."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _refuse(wanted: str, value: object, where: str) -> typing.NoReturn:
    shown = repr(value) if len(repr(value)) <= 40 else f"{repr(value)[:40]}…"
    raise TraceError(f"{where}: expected {wanted}, found {shown}; the trace is damaged")
