"""`manifest.json`: written last and as a whole, so that it never names what is not on disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

from attnviz_video.errors import TraceError
from attnviz_video.files import crc32, write_atomic
from attnviz_video.tracefile.coding import from_json, parse, to_json
from attnviz_video.tracefile.format import (
    ENCODING_VERSION,
    FORMAT,
    MANIFEST,
    SCHEMA_VERSION,
    Manifest,
    check_manifest,
)

#: The file begins with the CRC-32 of all bytes after this very prefix.
_PREFIX = re.compile(rb'\{"crc32": "([0-9a-f]{8})",\n')


def crc_text(checksum: int) -> str:
    """A CRC-32 as it stands in manifests: 8 hexadecimal digits."""
    return f"{checksum:08x}"


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of `manifest.json`: ASCII, one key of the top level per line."""
    content = cast("dict[str, object]", to_json(manifest, "manifest"))
    if not manifest.is_encoding:
        del content["masked"]
    version = ENCODING_VERSION if manifest.is_encoding else 1
    table = {"format": FORMAT, "schema_version": version, **content}
    lines = (f'"{key}": {json.dumps(item, separators=(",", ":"), allow_nan=False)}' for key, item in table.items())
    body = (",\n".join(lines) + "\n}\n").encode("ascii")
    return b'{"crc32": "%s",\n' % crc_text(crc32(body)).encode("ascii") + body


def decode_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in `data`.

    Raises:
        TraceError: not ours, of a newer version, or damaged.
    """
    check_version(data, where)
    prefix = _PREFIX.match(data)
    if prefix is None or crc_text(crc32(data[prefix.end() :])).encode("ascii") != prefix[1]:
        raise TraceError(f"{where} damaged (CRC): it changed after it was written; copy it again")
    table = cast("dict[str, object]", parse(data, where))
    rest = {key: value for key, value in table.items() if key not in ("crc32", "format", "schema_version")}
    manifest = from_json(Manifest, rest, where)
    if manifest.is_encoding and cast("int", table["schema_version"]) < ENCODING_VERSION:
        raise TraceError(
            f"{where}: an encoding of version {table['schema_version']}; they came with {ENCODING_VERSION}; "
            "the trace is damaged"
        )
    check_manifest(manifest, where)
    return manifest


def check_version(data: bytes, where: str) -> None:
    """Refuse what this program cannot read; asked before the CRC, which newer versions may keep elsewhere.

    Raises:
        TraceError: no JSON object, no trace, or a newer version.
    """
    table = parse(data, where)
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise TraceError(f'{where} is not the manifest of a trace: expected "format": "{FORMAT}"')
    version = table.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise TraceError(f"{where}: schema_version is {version!r}, expected a whole number; the trace is damaged")
    if version > SCHEMA_VERSION:
        raise TraceError(
            f"{where} was written by a newer version of this program (trace version {version}, "
            f"this one reads up to {SCHEMA_VERSION}); update attnviz_video"
        )


def load_manifest(folder: Path) -> Manifest:
    """The manifest of the trace in `folder`, which may be of a finished, failed, killed or running recording.

    Raises:
        TraceError: there is none, or see `decode_manifest`.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        raise TraceError(f"{folder} is not a trace: {MANIFEST} cannot be read ({error.strerror})") from error
    return decode_manifest(data, str(path))


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of the trace in `folder`, atomically."""
    write_atomic(folder / MANIFEST, encode_manifest(manifest))
