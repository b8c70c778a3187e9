"""MP4 beyond the plain case: holds, chapters, full colour resolution, a limit of its size."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8

from attnviz_video.errors import UsageError
from attnviz_video.export.mp4 import VideoMetadata, write_mp4
from attnviz_video.export.mp4_size import advice, write_limited_mp4
from attnviz_video.export.schedule import Chapter, Schedule, even_schedule
from attnviz_video.export.settings import ExportSettings
from attnviz_video.testing.video import decode_mp4, probe, run_ffmpeg

METADATA = VideoMetadata(title="a title", comment='attnviz_video {"a": 1}')


def flat_frames(n_frames: int) -> list[UInt8[np.ndarray, "height width 3"]]:
    levels = np.linspace(20, 235, n_frames).astype(np.uint8)
    return [np.full((48, 64, 3), level, dtype=np.uint8) for level in levels]


def encode(path: Path, schedule: Schedule, **export: Any) -> Path:
    frames = flat_frames(len(schedule.frames))
    return write_mp4(
        frames, path, size=(64, 48), n_frames=len(frames), settings=ExportSettings(**export), metadata=METADATA,
        schedule=schedule,
    )  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(
    st.floats(0.3, 24),
    st.lists(st.sampled_from([0, 0, 1, 5, 24]), min_size=1, max_size=12),
    st.booleans(),
)
def test_every_frame_is_seen_for_exactly_its_ticks(
    tmp_path_factory: pytest.TempPathFactory, rate: float, holds: list[int], in_chapters: bool
) -> None:
    chapters = (Chapter(0, "thinking"), Chapter(len(holds) - 1, "final answer"))
    schedule = Schedule(
        tuple(range(len(holds))), Fraction(rate).limit_denominator(1000), 24, tuple(holds),
        chapters if in_chapters and len(holds) > 1 else (),
    )  # fmt: skip
    decoded, _ = decode_mp4(encode(tmp_path_factory.mktemp("video") / "a.mp4", schedule))
    levels = np.array([int(frame[0, 0, 0]) for frame in flat_frames(len(holds))])
    shown = [int(np.abs(levels - int(frame[24, 32, 0])).argmin()) for frame in decoded]
    assert np.bincount(shown, minlength=len(holds)).tolist() == np.diff(schedule.starts(24)).tolist()
    assert shown == sorted(shown)


def test_chapters_read_back(tmp_path: Path) -> None:
    schedule = Schedule(
        tuple(range(6)), Fraction(3), 24, (0, 0, 12, 0, 0, 24), (Chapter(0, "thinking"), Chapter(3, "final answer"))
    )
    path = encode(tmp_path / "a.mp4", schedule)
    said = run_ffmpeg("-hide_banner", "-i", str(path), "-map", "0:v:0", "-c", "copy", "-f", "null", "-").stderr.decode()
    times = re.findall(r"Chapter #0:\d: start ([\d.]+), end ([\d.]+)", said.partition("Output #0")[0])
    titles = re.findall(r"Chapter #0:\d.*\n +Metadata:\n +title +: (.*)", said.partition("Output #0")[0])
    assert [(float(start), float(end)) for start, end in times] == [(0.0, 1.5), (1.5, 3.5)]
    assert titles == ["thinking", "final answer"]
    facts = probe(path)
    assert (facts.metadata["title"], facts.metadata["comment"]) == (METADATA.title, METADATA.comment)
    assert facts.faststart
    assert not re.search(r"Chapter #", run_ffmpeg("-i", str(plain(tmp_path)), "-f", "null", "-").stderr.decode())


def plain(folder: Path) -> Path:
    return encode(folder / "b.mp4", even_schedule(3, ExportSettings()))


def test_full_colour_resolution(tmp_path: Path) -> None:
    """A coloured line of one pixel keeps its colour, which 4:2:0 mixes with its neighbours."""
    frame = np.full((48, 64, 3), 250, dtype=np.uint8)
    frame[21, 8:56] = (200, 0, 0)
    errors = {}
    for chroma in ("420", "444"):
        path = write_mp4(
            [frame] * 2, tmp_path / f"{chroma}.mp4", size=(64, 48), n_frames=2,
            settings=ExportSettings(chroma=chroma, crf=10), metadata=METADATA,
        )  # fmt: skip
        decoded, facts = decode_mp4(path)
        assert (facts.pixel_format, facts.colour_tags) == (f"yuv{chroma}p", "tv, bt709, progressive")
        errors[chroma] = float(np.abs(decoded[0][21, 12:52].astype(int) - frame[21, 12:52].astype(int)).mean())
    assert errors["444"] < 6 < errors["420"]


class Noise:
    """Frames that compress badly, and how often they were asked for."""

    def __init__(self, n_frames: int) -> None:
        self.n_frames = n_frames
        self.painted = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        generator = np.random.default_rng(0)
        for _ in range(self.n_frames):
            self.painted += 1
            yield generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)


def write_limited(path: Path, frames: Noise, max_mb: float | None, crf: int = 18) -> list[str]:
    told: list[str] = []
    export = ExportSettings(max_mb=max_mb, crf=crf)
    write_limited_mp4(
        frames, path, size=(320, 240), settings=export, metadata=METADATA,
        schedule=even_schedule(frames.n_frames, export), notice=told.append,
    )  # fmt: skip
    return told


def test_without_a_limit_one_attempt_is_made(tmp_path: Path) -> None:
    frames = Noise(6)
    assert write_limited(tmp_path / "a.mp4", frames, None) == []
    assert frames.painted == 6


def test_a_video_that_fits_is_left_as_it_is(tmp_path: Path) -> None:
    frames = Noise(6)
    assert write_limited(tmp_path / "a.mp4", frames, 50) == []
    assert frames.painted == 6


def test_crf_is_raised_until_the_video_fits(tmp_path: Path) -> None:
    write_limited(tmp_path / "free.mp4", Noise(20), None)
    limit = (tmp_path / "free.mp4").stat().st_size * 0.6 / 1e6
    told = write_limited(tmp_path / "a.mp4", Noise(20), limit)
    size = (tmp_path / "a.mp4").stat().st_size
    assert 0.3 * limit * 1e6 < size <= limit * 1e6
    assert len(told) == 1
    assert re.fullmatch(
        rf"--max_mb {limit:g}: encoded at crf (19|2\d) instead of 18, which makes its colours less exact", told[0]
    )


def test_a_video_that_cannot_fit_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    sentence = (
        r"a\.mp4 does not fit into --max_mb 0\.02: even at crf 32, beyond which weights cannot be read from its "
        r"colours, it takes about [\d.]+ kB; raise --max_mb, or make it shorter with --pace word$"
    )
    with pytest.raises(UsageError, match=sentence):
        write_limited(tmp_path / "a.mp4", Noise(20), 0.02)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="even at crf 45"):
        write_limited(tmp_path / "a.mp4", Noise(20), 0.02, crf=45)


@pytest.mark.parametrize(
    ("size", "pace", "expected"),
    [
        ((1920, 1080), "token", "raise --max_mb, or make it smaller with --size 720p, or make it shorter with --pace "
         "word"),
        ((3840, 2160), "word", "raise --max_mb, or make it smaller with --size 720p"),
        ((1080, 1920), "word", "raise --max_mb, or make it smaller with --width and --height"),
        ((1280, 720), "token", "raise --max_mb, or make it shorter with --pace word"),
        ((1280, 720), "word", "raise --max_mb, or choose another --format, which has no such limit"),
    ],
)  # fmt: skip
def test_only_what_would_help_is_advised(size: tuple[int, int], pace: Any, expected: str) -> None:
    assert advice(size, ExportSettings(max_mb=1.0, pace=pace)) == expected
