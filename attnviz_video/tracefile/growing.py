"""Files that only grow: whatever lies beyond the bytes the manifest counts does not exist for readers."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnviz_video.files import os_errors
from attnviz_video.tracefile.format import SCALARS, STEPS, TOKENS, FileEntry
from attnviz_video.tracefile.manifest import crc_text


class GrowingFile:
    """Appends to a file and keeps the size and CRC-32 of what was appended successfully."""

    def __init__(self, path: Path) -> None:
        """Start the file anew, empty.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        self._path = path
        #: Bytes that count, and their CRC-32.
        self.state = (0, 0)
        with os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    @property
    def entry(self) -> FileEntry:
        """What the manifest says about the file."""
        return FileEntry(self._path.name, self.state[0], crc_text(self.state[1]))

    def append(self, data: bytes) -> None:
        """Write `data` after the bytes that count, over whatever an earlier, failed attempt left there.

        Raises:
            DiskFullError, EnvironmentFault: nothing of `data` counts then.
        """
        size, checksum = self.state
        with os_errors(self._path, len(data)), self._path.open("r+b") as file:
            file.truncate(size)
            file.seek(size)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self.state = (size + len(data), zlib.crc32(data, checksum))


class Tables:
    """The three growing files of a trace."""

    def __init__(self, folder: Path) -> None:
        """Start them anew in `folder`.

        Raises:
            DiskFullError, EnvironmentFault: they cannot be written.
        """
        self.tokens = GrowingFile(folder / TOKENS)
        self.steps = GrowingFile(folder / STEPS)
        self.scalars = GrowingFile(folder / SCALARS)

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """What the block appends counts only if the whole block succeeds, so that the three stay in step."""
        files = (self.tokens, self.steps, self.scalars)
        before = [file.state for file in files]
        try:
            yield
        except BaseException:
            for file, state in zip(files, before, strict=True):
                file.state = state
            raise
