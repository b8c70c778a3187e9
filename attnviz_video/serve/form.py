"""The fields of a request: JSON, or a form with pictures; what they mean is found out in `asked`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from attnviz_video.errors import UsageError

#: Fields of a form that hold JSON, which may also come several times, and truth values as words.
_LISTS = ("images", "answer_ids")
_TRUTHS = ("do_sample",)
_WORDS = {"true": True, "false": False}
#: A prompt of more bytes is no prompt; models read a few hundred kilobytes at most.
_LONGEST_FIELD = 8_000_000
_MOST_FIELDS = 200
#: Characters of a picture's name that are kept.
LONGEST_NAME = 80


@dataclass(frozen=True)
class Upload:
    """A file that came with a request."""

    #: The name its sender gave it: for messages, never for a path.
    name: str
    data: bytes


@dataclass(frozen=True)
class Fields:
    """What a request says, by name, and the files that came with it."""

    values: Mapping[str, Any]
    uploads: tuple[Upload, ...] = ()


async def read_fields(request: Request) -> Fields:
    """The fields of a request.

    Raises:
        UsageError: neither JSON nor a form, or a broken one.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if kind != "application/json":
        raise UsageError(f"expected application/json or multipart/form-data, got {kind[:60] or 'no content-type'!r}")
    return Fields(json_object(await request.body()))


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UsageError: it is none.
    """
    try:
        table = json.loads(data or b"{}")
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the request is not valid JSON: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(table, dict):
        raise UsageError(f"expected a JSON object, got {type(table).__name__}")
    return {name: value for name, value in table.items() if value is not None}


async def _read_form(request: Request) -> Fields:
    values: dict[str, Any] = {}
    uploads: list[Upload] = []
    async with request.form(max_files=64, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD) as form:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                if name != "image":
                    raise UsageError(f"unexpected file in field {name[:60]!r}; pictures come in fields named image")
                uploads.append(Upload(clean_name(value.filename), await value.read()))
            elif name in _LISTS:
                values.setdefault(name, []).extend(_listed(name, value))
            else:
                # Browsers send line breaks of a form as CR LF; a prompt may consist of the word "true".
                values[name] = _WORDS.get(value, value) if name in _TRUTHS else value.replace("\r\n", "\n")
    return Fields(values, tuple(uploads))


def _listed(name: str, value: str) -> list[Any]:
    """A field that is a list as JSON, or one of its entries."""
    if not value.lstrip().startswith("["):
        return [value] if value.strip() else []
    try:
        parts = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{name}: not a list: {' '.join(str(error).split())[:200]}") from error
    return list(parts)


def clean_name(name: str | None) -> str:
    """The last part of a file's name without controls and direction marks, at most `LONGEST_NAME` characters."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    shown = " ".join("".join(letter for letter in last if letter.isprintable()).split())
    if not shown.strip(". "):
        return "image"
    half = (LONGEST_NAME - 1) // 2
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:half]}…{shown[-half:]}"
