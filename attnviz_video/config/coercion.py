"""One strict way from what a user wrote, on the command line, in YAML or in Python, to the type of a setting."""

from __future__ import annotations

import difflib
import math
import numbers
import reprlib
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from attnviz_video.errors import UsageError

#: More digits than any setting has; Python itself refuses to convert more than some thousands.
LONGEST_NUMBER = 30


class MismatchError(Exception):
    """A value does not fit a type; the sentence for the user is made where its place is known."""


@dataclass(frozen=True)
class Origin:
    """Where a value stands: the place named in errors, and the folder that relative paths start from."""

    place: str
    base_folder: Path | None = None


def coerce(annotation: Any, value: object, origin: Origin, *, path_or_id: bool = False) -> object:
    """`value` as the type `annotation`.

    Understands str, int, float, bool, Path, Literal, `tuple[X, ...]` and unions of these. Numbers may come as text, as
    flags do; a tuple may come as one value or as `10,20,30`. `path_or_id` marks text that may be a path.

    Raises:
        UsageError: it is not of that type.
    """
    try:
        converted = convert(annotation, value, origin.base_folder)
    except MismatchError:
        raise UsageError(
            f"{origin.place}: expected {expected(annotation)}, got {shown(value)}{suggestion(annotation, value)}"
        ) from None
    if path_or_id and isinstance(converted, str) and origin.base_folder is not None:
        return local_path(converted, origin.base_folder)
    return converted


def convert(annotation: Any, value: object, base_folder: Path | None) -> object:
    """The conversion itself.

    Raises:
        MismatchError: it cannot be done without guessing.
    """
    kind: Any = get_origin(annotation)
    if kind in (Union, types.UnionType):
        return convert_union(get_args(annotation), value, base_folder)
    if is_words(annotation):
        word = to_text(value)  # `chroma: 444` is written without quotes
        if word in get_args(annotation):
            return word
        raise MismatchError
    if kind is tuple:
        element = get_args(annotation)[0]
        return tuple(convert(element, part, base_folder) for part in parts_of(element, value))
    if annotation is Path:
        return to_path(value, base_folder)
    if annotation in CONVERSIONS:
        return CONVERSIONS[annotation](value)
    raise TypeError(f"no conversion to {annotation!r}")


def convert_union(members: Sequence[Any], value: object, base_folder: Path | None) -> object:
    """The first member that fits; words (Literal) come before lists, so that `all` is not taken for a list."""
    if value is None:
        if type(None) in members:
            return None
        raise MismatchError
    for member in sorted(without_none(members), key=lambda member: not is_words(member)):
        try:
            return convert(member, value, base_folder)
        except MismatchError:
            continue
    raise MismatchError


def parts_of(element: Any, value: object) -> Sequence[object]:
    """The parts of a value that stands for several: a list, one value, or numbers in one text."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, str) and element is not Path:
        parts = value.replace(",", " ").split()
        if not parts or ",," in value.replace(" ", "") or value.strip()[0] == "," or value.strip()[-1] == ",":
            raise MismatchError
        return parts
    return [value]


def to_bool(value: object) -> bool:
    """True or False and nothing that looks like it."""
    if isinstance(value, bool):
        return value
    raise MismatchError


def to_int(value: object) -> int:
    """A whole number; 3.0 is none."""
    if isinstance(value, bool):
        raise MismatchError
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER:
        text = value.strip()
        if text.removeprefix("-").removeprefix("+").isascii() and text.lstrip("+-").isdigit():
            try:
                return int(text)
            except ValueError:
                raise MismatchError from None
    raise MismatchError


def to_float(value: object) -> float:
    """A finite number."""
    if isinstance(value, bool):
        raise MismatchError
    try:
        if isinstance(value, str) and (len(value) > LONGEST_NUMBER or "_" in value):
            raise MismatchError
        if not isinstance(value, str | numbers.Real):
            raise MismatchError
        number = float(value)
    except (ValueError, OverflowError):
        raise MismatchError from None
    if not math.isfinite(number):
        raise MismatchError
    return number


def to_text(value: object) -> str:
    """Text; a whole number is taken as its digits, since `head: 3` is written without quotes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise MismatchError
    return str(value)


def to_path(value: object, base_folder: Path | None) -> Path:
    """A path; relative ones start from `base_folder` (a YAML file's own) where one is given."""
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise MismatchError
    path = Path(value)
    return path if base_folder is None else base_folder / path.expanduser()


def local_path(text: str, base_folder: Path) -> str:
    """Text that is a folder or a hub id: a path where it looks like one or exists, else unchanged."""
    try:
        candidate = base_folder / Path(text).expanduser()
        found = text.startswith((".", "/", "~")) or candidate.exists()
    except (OSError, RuntimeError, ValueError):  # too long for a name, nobody's home, a NUL
        return text
    return str(candidate) if found else text


CONVERSIONS: dict[Any, Callable[[object], object]] = {bool: to_bool, int: to_int, float: to_float, str: to_text}
NAMES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    tuple[int, ...]: "whole numbers such as 20 or 10,20,30",
    tuple[Path, ...]: "one or more paths",
}


def expected(annotation: Any) -> str:
    """What an error says a setting of this type expects."""
    if is_words(annotation):
        words = get_args(annotation)
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(expected(member) for member in without_none(get_args(annotation)))
    if get_origin(annotation) is tuple and is_words(get_args(annotation)[0]):
        return f"one or more of {', '.join(get_args(get_args(annotation)[0]))}"
    return NAMES.get(annotation, str(annotation))


def shown(value: object) -> str:
    """A value as an error quotes it: short, on one line, in YAML's words for nothing and the truth values."""
    words = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    short = reprlib.Repr()
    short.maxlevel = 2
    short.maxstring = short.maxother = 60
    return " ".join(short.repr(value).split())


def suggestion(annotation: Any, value: object) -> str:
    """`; did you mean 'viridis'?` where a word is close to an allowed one, else nothing."""
    members = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    single = [get_args(member)[0] if get_origin(member) is tuple else member for member in members]
    words = [word for member in single if is_words(member) for word in get_args(member)]
    return did_you_mean(value, words) if isinstance(value, str) else ""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`; did you mean 'gamma'?` when a known word is close, else nothing."""
    # Case and dashes are the commonest slips; the closeness of the rest is difflib's.
    folded = {name.lower().replace("_", "-").lstrip("-"): name for name in known}
    close = difflib.get_close_matches(word[:60].lower().replace("_", "-").lstrip("-"), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def is_words(annotation: Any) -> bool:
    """Whether a type is a choice of words (Literal)."""
    origin: Any = get_origin(annotation)
    return origin is Literal


def without_none(members: Sequence[Any]) -> list[Any]:
    """The members of a union that are not None."""
    return [member for member in members if member is not type(None)]
