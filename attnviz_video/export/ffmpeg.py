"""One ffmpeg process that frames are piped to: drained, checked, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO

from attnviz_video.errors import DiskFullError, EncoderError
from attnviz_video.files import disk_full, file_too_large

#: How many of ffmpeg's last lines an error quotes, and how many characters of them.
QUOTED_LINES = 4
QUOTED_CHARACTERS = 600
#: What ffmpeg says when there is no room (the C library's sentences for ENOSPC and EDQUOT), or a limit (EFBIG).
NO_ROOM_SENTENCES = ("No space left on device", "Disk quota exceeded")
TOO_LARGE_SENTENCE = "File too large"


def ffmpeg_exe() -> str:
    """The ffmpeg to use: `IMAGEIO_FFMPEG_EXE` where it is set, else the one that comes with imageio-ffmpeg.

    Raises:
        EncoderError: there is none.
    """
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise EncoderError(
            "no ffmpeg found: install imageio-ffmpeg again, or point IMAGEIO_FFMPEG_EXE to an ffmpeg with libx264"
        ) from error


class FfmpegProcess:
    """A running ffmpeg that reads from its standard input; leaving the block ends it, whatever happened.

    It runs in a process group of its own, so that Ctrl-C reaches this program only, which then kills it:
    ffmpeg would take the signal for "finish the file now".
    """

    def __init__(self, arguments: Sequence[str], target: Path, needed_bytes: int) -> None:
        """Start ffmpeg; errors name `target` and, where the disk is full, about how much it needs.

        Raises:
            EncoderError: ffmpeg cannot be started.
        """
        self.target = target
        self.needed_bytes = needed_bytes
        executable = ffmpeg_exe()
        try:
            self._process = subprocess.Popen(
                [executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise EncoderError(
                f"cannot start ffmpeg ({executable}): {error.strerror or error}; install imageio-ffmpeg again, "
                "or point IMAGEIO_FFMPEG_EXE to an ffmpeg with libx264"
            ) from error
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._stdin: IO[bytes] = self._process.stdin
        self._stderr: IO[bytes] = self._process.stderr
        self._last_lines: deque[bytes] = deque(maxlen=QUOTED_LINES)
        # A full pipe would stop ffmpeg, and then us: a thread keeps it empty.
        self._drain = threading.Thread(target=self._last_lines.extend, args=(self._stderr,), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """Process id of ffmpeg."""
        return self._process.pid

    def __enter__(self) -> FfmpegProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def write(self, data: memoryview) -> None:
        """Hand over bytes; waits while ffmpeg is behind.

        Raises:
            EncoderError, DiskFullError: ffmpeg has ended.
        """
        try:
            self._stdin.write(data)
        except BrokenPipeError as error:
            raise self._failure(self._process.wait()) from error

    def finish(self) -> None:
        """Say that there is no more, and wait until ffmpeg has written its file.

        Raises:
            EncoderError, DiskFullError: it did not succeed.
        """
        broken = False
        try:
            self._stdin.close()
        except BrokenPipeError:
            broken = True
        code = self._process.wait()
        if broken or code != 0:
            raise self._failure(code)

    def _close(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._drain.join()
        self._stderr.close()
        with contextlib.suppress(BrokenPipeError):  # unwritten bytes of a process that is gone
            self._stdin.close()

    def _failure(self, code: int) -> EncoderError | DiskFullError:
        self._drain.join()
        said = last_words(self._last_lines)
        if code == -signal.SIGXFSZ or TOO_LARGE_SENTENCE in said:
            return file_too_large(self.target, self.needed_bytes)
        if any(sentence in said for sentence in NO_ROOM_SENTENCES):
            return disk_full(self.target, self.needed_bytes)
        return EncoderError(
            f"ffmpeg {ending(code)} while writing {self.target}, nothing was kept; "
            f"its last words: {said or '(none)'}{memory_hint(code)}{other_ffmpeg_hint()}"
        )


def memory_hint(code: int) -> str:
    """What to do about a process that ended with `code`, where lack of memory is the likely cause; else ""."""
    return "; lack of memory is the likely cause: try a smaller --size" if code == -signal.SIGKILL else ""


def other_ffmpeg_hint() -> str:
    """What to do where the user chose an ffmpeg, which may be the cause; else ""."""
    chosen = os.environ.get("IMAGEIO_FFMPEG_EXE")
    return "; if it is not the one of imageio-ffmpeg, unset IMAGEIO_FFMPEG_EXE" if chosen else ""


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"failed with exit code {code}" if code else "ended early"


def last_words(lines: Sequence[bytes] | deque[bytes]) -> str:
    """The last lines that ffmpeg wrote, as one line."""
    text = " | ".join(line.decode("utf-8", "replace").strip() for line in lines)
    return text[-QUOTED_CHARACTERS:]


def count_frames(path: Path) -> int:
    """Number of frames that can be read from the video file `path`, counted by ffmpeg without decoding them.

    Raises:
        EncoderError: the file cannot be read to its end.
    """
    command = [
        ffmpeg_exe(),
        "-nostdin",
        "-v",
        "error",
        "-xerror",
        "-progress",
        "pipe:1",
        "-i",
        os.fspath(path.absolute()),
    ]
    command += ["-map", "0:v:0", "-c", "copy", "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    counts = [line for line in result.stdout.splitlines() if line.startswith(b"frame=")]
    if result.returncode != 0 or result.stderr.strip() or not counts:
        said = last_words(result.stderr.splitlines()[-QUOTED_LINES:])
        raise EncoderError(f"ffmpeg wrote a video that it cannot read again: {said or ending(result.returncode)}")
    return int(counts[-1].removeprefix(b"frame="))
