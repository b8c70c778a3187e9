"""Reading files of a trace so that damage is an error, never data."""

from __future__ import annotations

import os
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16
from safetensors import SafetensorError, safe_open

from attnviz_video.errors import TraceError
from attnviz_video.tracefile.format import FileEntry, Manifest, is_own_name, is_rows_name
from attnviz_video.tracefile.manifest import crc_text

#: Shards kept open (they are mapped, not loaded).
OPEN_SHARDS = 8
_BLOCK = 1 << 20


def check_files(folder: Path, manifest: Manifest) -> None:
    """Every file the manifest names is there with the right size, and no other holds rows or images.

    Raises:
        TraceError: the first missing, cut, grown or extra file, by name.
    """
    growing = {manifest.tokens.name, manifest.steps.name, manifest.scalars.name}
    complete = manifest.status == "complete"
    names = set()
    for name, entry in manifest.named_files():
        names.add(name)
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise TraceError(f"{folder}: {title_of(name)} is missing ({error.strerror}); copy it again") from error
        if size < entry.size or (size > entry.size and (complete or name not in growing)):
            raise TraceError(
                f"{folder}: {title_of(name)} damaged: {size} bytes, the manifest says {entry.size}; copy it again"
            )
    if complete:
        for name in sorted(set(os.listdir(folder)) - names):
            if is_rows_name(name) or (is_own_name(name) and name.startswith("image-")):
                raise TraceError(f"{folder}: {name} is not in the manifest; the trace was mixed with another one")


def title_of(name: str) -> str:
    """How messages call a file: `shard 3 (attn-00003.safetensors)`, otherwise its name."""
    return f"shard {int(name[5:-12])} ({name})" if is_rows_name(name) and name.startswith("attn-") else name


def read_checked(folder: Path, entry: FileEntry) -> bytes:
    """The bytes of a small file that count.

    Raises:
        TraceError: they are not those the manifest describes.
    """
    try:
        with (folder / entry.name).open("rb") as file:
            data = file.read(entry.size)
    except OSError as error:
        raise TraceError(f"{folder}: {title_of(entry.name)} cannot be read ({error.strerror})") from error
    if crc_text(zlib.crc32(data)) != entry.crc32:
        raise damaged(folder, entry.name)
    return data


def check_crc(folder: Path, entry: FileEntry) -> None:
    """Read a whole file in blocks and compare its CRC-32.

    Raises:
        TraceError: it is not what the manifest describes.
    """
    checksum, size = 0, 0
    try:
        with (folder / entry.name).open("rb") as file:
            while block := file.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
                size += len(block)
    except OSError as error:
        raise TraceError(f"{folder}: {title_of(entry.name)} cannot be read ({error.strerror})") from error
    if (crc_text(checksum), size) != (entry.crc32, entry.size):
        raise damaged(folder, entry.name)


def damaged(folder: Path, name: str) -> TraceError:
    """The error for a file whose bytes are not those that were written."""
    return TraceError(f"{folder}: {title_of(name)} damaged (CRC): it changed after it was written; copy it again")


class Shards:
    """Opens files of rows on demand, their checksum compared at first use; a few stay mapped."""

    def __init__(self, folder: Path, *, verify: bool) -> None:
        self._folder = folder
        self._verify = verify
        self._open: OrderedDict[str, Any] = OrderedDict()
        self._checked: set[tuple[str, int, int]] = set()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, object]:
        # Another process opens the files for itself, and checks them for itself.
        return {"_folder": self._folder, "_verify": self._verify}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["_folder"], verify=state["_verify"])  # type: ignore[misc]

    def names(self, entry: FileEntry) -> Sequence[str]:
        """Names of the tensors in the file `entry`."""
        return tuple(self._handle(entry).keys())

    def shape(self, entry: FileEntry, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor.

        Raises:
            TraceError: the file is damaged, or holds no such tensor.
        """
        return tuple(self._slice(entry, tensor).get_shape())

    def read(
        self, entry: FileEntry, tensor: str, shape: tuple[int, ...], index: tuple[int, ...] = ()
    ) -> Float16[np.ndarray, "..."]:
        """Part `index` (leading axes) of a float16 tensor whose shape must be `shape`.

        Raises:
            TraceError: the file is damaged, or the tensor is missing or of another shape or type.
        """
        part = self._slice(entry, tensor)
        found, kind = tuple(part.get_shape()), part.get_dtype()
        if found != shape or kind != "F16":
            raise TraceError(
                f"{self._folder}: tensor {tensor!r} of {title_of(entry.name)} is {kind} {found}, expected F16 {shape}"
            )
        result: Float16[np.ndarray, "..."] = part[index] if index else part[:]
        return result

    def _slice(self, entry: FileEntry, tensor: str) -> Any:
        try:
            return self._handle(entry).get_slice(tensor)
        except SafetensorError as error:
            title = title_of(entry.name)
            raise TraceError(f"{self._folder}: {title} damaged: it holds no tensor {tensor!r}") from error

    def _handle(self, entry: FileEntry) -> Any:
        with self._lock:
            if entry.name in self._open:
                self._open.move_to_end(entry.name)
                return self._open[entry.name]
            self._check(entry)
            try:
                handle = safe_open(self._folder / entry.name, framework="np")
            except (SafetensorError, OSError) as error:
                title = title_of(entry.name)
                raise TraceError(f"{self._folder}: {title} damaged: no safetensors file ({error})") from error
            self._open[entry.name] = handle
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
            return handle

    def _check(self, entry: FileEntry) -> None:
        """Compare the checksum unless this very state of the file passed before."""
        try:
            stat = (self._folder / entry.name).stat()
        except OSError as error:
            raise TraceError(f"{self._folder}: {title_of(entry.name)} is missing ({error.strerror})") from error
        state = (entry.name, stat.st_mtime_ns, stat.st_ino)
        if self._verify and state not in self._checked:
            check_crc(self._folder, entry)
            self._checked.add(state)
