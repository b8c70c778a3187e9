"""The process that paints and codes a part of a video's frames; `paint_pool` starts it and reads its output."""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from attnviz_video.errors import AttnVizError

if TYPE_CHECKING:
    from attnviz_video.analysis.scores import Scores
    from attnviz_video.export.coders import Coder, Packet
    from attnviz_video.render.frame import FramePainter
    from attnviz_video.render.settings import RenderSettings

#: Before every packet: its kind, and the number of its bytes.
HEADER = struct.Struct("<BQ")
PACKET, FAILURE = 0, 1


@dataclass(frozen=True)
class Run:
    """Frames shown one after the other, and the one shown before them (-1: none)."""

    frames: tuple[int, ...]
    before: int


@dataclass(frozen=True)
class Work:
    """All that a worker has to know."""

    scores: Scores
    settings: RenderSettings
    coder: Coder
    runs: tuple[Run, ...]


def coded(painter: FramePainter, coder: Coder, runs: tuple[Run, ...]) -> Iterator[Packet]:
    """The coded frames of `runs`, in order."""
    last_number, last = -1, None
    for run in runs:
        before = run.before
        for number in run.frames:
            if not coder.needs_previous or before < 0:
                previous = None
            elif before == last_number:
                previous = last
            else:
                previous = painter.frame(before)
            frame = painter.frame(number)
            yield coder.code(frame, previous)
            before = last_number = number
            last = frame


def main() -> None:
    """Read the work from standard input, write the packets to standard output."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not come between the packets
    try:
        work: Work = pickle.load(sys.stdin.buffer)
        from attnviz_video.render.frame import FramePainter

        for packet in coded(FramePainter(work.scores, work.settings), work.coder, work.runs):
            send(output, PACKET, packet)
    except BrokenPipeError:  # whoever wanted the frames has gone
        os._exit(0)
    except AttnVizError as error:
        send(output, FAILURE, pickle.dumps(error))


def send(output: BinaryIO, kind: int, data: Packet) -> None:
    """Write one packet whole."""
    for part in (HEADER.pack(kind, len(data)), data):
        view = memoryview(part)
        while view:
            view = view[output.write(view) :]
