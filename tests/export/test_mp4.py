"""Encoding: what is in the file is what was given, for as long as it should be seen."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import UInt8

from attnviz_video import files
from attnviz_video.errors import AttnVizError
from attnviz_video.export.mp4 import PaddedFrame, VideoMetadata, write_mp4
from attnviz_video.export.settings import ExportSettings
from attnviz_video.testing.video import decode_mp4, probe

METADATA = VideoMetadata(title="a title = with 'signs' 圆", comment="a comment")
#: Red to green, as the panels paint weights, and the blue of the current token.
COLOURS = [(255 - 17 * i, 17 * i, 0) for i in range(16)] + [(40, 90, 255), (255, 255, 255), (0, 0, 0), (128, 128, 128)]


def flat_frames(n_frames: int, size: tuple[int, int] = (64, 48)) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Frames of one colour each, told apart by their brightness."""
    levels = np.linspace(20, 235, n_frames).astype(np.uint8)
    return [np.full((size[1], size[0], 3), level, dtype=np.uint8) for level in levels]


def boxes_frame(box: int = 28) -> UInt8[np.ndarray, "height width 3"]:
    """A row of coloured boxes as high as a token's highlight, with gaps, on a light ground."""
    frame = np.full((box * 3, (box + 5) * len(COLOURS), 3), 250, dtype=np.uint8)
    for number, colour in enumerate(COLOURS):
        left = number * (box + 5)
        frame[box : 2 * box, left : left + box] = colour
    return frame


def encode(frames: list[UInt8[np.ndarray, "height width 3"]], path: Path, **export: float) -> Path:
    height, width = frames[0].shape[:2]
    settings = ExportSettings(**export)  # type: ignore[arg-type]
    return write_mp4(frames, path, size=(width, height), n_frames=len(frames), settings=settings, metadata=METADATA)


def test_t19_box_colours_survive_the_encoder(tmp_path: Path) -> None:
    frame = boxes_frame()
    decoded, _ = decode_mp4(encode([frame] * 3, tmp_path / "a.mp4"))
    height, width = frame.shape[:2]
    error = np.abs(decoded[-1][:height, :width].astype(int) - frame.astype(int))
    for number, colour in enumerate(COLOURS):
        inside = error[30:54, number * 33 + 2 : number * 33 + 26]
        assert inside.mean() < 3, f"colour {colour} is off by {inside.mean():.1f}"
    assert error.mean() < 4


def test_t19_file_says_which_colours_it_holds(tmp_path: Path) -> None:
    facts = probe(encode(flat_frames(2), tmp_path / "a.mp4"))
    assert (facts.codec, facts.pixel_format, facts.colour_tags) == ("h264", "yuv420p", "tv, bt709, progressive")
    assert facts.faststart
    assert facts.metadata["title"] == METADATA.title
    assert facts.metadata["comment"] == METADATA.comment


@pytest.mark.parametrize("size", [(51, 31), (52, 31), (51, 32), (1, 1)])
def test_t20_odd_sizes_are_padded_never_scaled(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    gradient = np.linspace(0, 255, width, dtype=np.uint8)[None, :, None] * np.ones((height, 1, 3), dtype=np.uint8)
    decoded, facts = decode_mp4(encode([gradient] * 2, tmp_path / "a.mp4", crf=1))
    assert facts.size == (width + width % 2, height + height % 2)
    difference = np.abs(decoded[0][:height, :width].astype(int) - gradient.astype(int))
    assert difference.max() <= 4


@given(st.integers(1, 9), st.integers(1, 9))
def test_t20_padding_repeats_the_edge(width: int, height: int) -> None:
    frame = np.arange(width * height * 3, dtype=np.uint8).reshape(height, width, 3)
    padded = PaddedFrame(width, height)
    found = np.frombuffer(padded.bytes_of(frame), dtype=np.uint8).reshape(padded.size[1], padded.size[0], 3)
    wanted = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    np.testing.assert_array_equal(found, wanted)


def test_t21_frames_are_streamed(tmp_path: Path) -> None:
    """Memory stays at a few frames however many there are, and each is asked for after the one before is written."""
    size, n_frames = (640, 360), 40
    written: list[int] = []

    def frames() -> Iterator[UInt8[np.ndarray, "height width 3"]]:
        for number in range(n_frames):
            assert len(written) == number
            yield np.full((size[1], size[0], 3), number, dtype=np.uint8)

    tracemalloc.start()
    write_mp4(
        frames(), tmp_path / "a.mp4", size=size, n_frames=n_frames, settings=ExportSettings(), metadata=METADATA,
        on_frame=written.append,
    )  # fmt: skip
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * size[0] * size[1] * 3
    assert written == list(range(1, n_frames + 1))


@pytest.mark.parametrize(
    ("n_frames", "pace", "fps"), [(1, 3.0, 24), (5, 3.0, 24), (7, 3.3, 24), (4, 0.7, 10), (9, 24.0, 24), (3, 16.0, 24)]
)
def test_every_token_is_seen_for_its_time(tmp_path: Path, n_frames: int, pace: float, fps: int) -> None:
    frames = flat_frames(n_frames)
    decoded, facts = decode_mp4(encode(frames, tmp_path / "a.mp4", tokens_per_second=pace, fps=fps))
    assert facts.fps == fps
    assert abs(facts.duration_s - n_frames / pace) <= 1 / fps
    assert len(decoded) == facts.n_frames
    levels = np.array([frame[0, 0, 0] for frame in frames], dtype=int)
    shown = [int(np.abs(levels - int(frame[24, 32, 0])).argmin()) for frame in decoded]
    for number in range(n_frames):
        wanted = range(round_half_up(number * fps / pace), round_half_up((number + 1) * fps / pace))
        assert abs(shown.count(number) - len(wanted)) <= 1
        assert shown.count(number) >= 1
    assert shown == sorted(shown)


def round_half_up(number: float) -> int:
    return int(Fraction(number) + Fraction(1, 2))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 40), st.sampled_from([0.5, 1.0, 2.5, 3.0, 3.3, 7.0, 9.99]), st.sampled_from([10, 24, 25, 30, 60]))
def test_duration_is_tokens_over_pace(tmp_path_factory: pytest.TempPathFactory, n: int, pace: float, fps: int) -> None:
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    facts = probe(encode(flat_frames(n, (16, 16)), path, tokens_per_second=pace, fps=fps))
    assert abs(facts.n_frames - n * fps / pace) <= 1
    assert abs(facts.duration_s - n / pace) <= 1 / fps + 0.01


def test_same_frames_give_the_same_decoded_frames(tmp_path: Path) -> None:
    first, _ = decode_mp4(encode(flat_frames(3), tmp_path / "a.mp4"))
    again, _ = decode_mp4(encode(flat_frames(3), tmp_path / "b.mp4"))
    np.testing.assert_array_equal(np.stack(first), np.stack(again))


def test_non_contiguous_frames_are_written_as_they_look(tmp_path: Path) -> None:
    frame = boxes_frame()[::-1, ::-1]
    decoded, _ = decode_mp4(encode([frame] * 2, tmp_path / "a.mp4"))
    assert np.abs(decoded[0].astype(int) - frame.astype(int)).mean() < 4


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        (flat_frames(2), "expected 3 frames for .*, got 2"),
        (flat_frames(4), "expected 3 frames, got more"),
        (
            [*flat_frames(1), *flat_frames(2, (32, 48))],
            r"frame 1: expected uint8 \(48, 64, 3\), got uint8 \(48, 32, 3\)",
        ),
    ],
)
def test_promises_of_the_producer_are_checked(
    tmp_path: Path, frames: list[UInt8[np.ndarray, "height width 3"]], sentence: str
) -> None:
    with pytest.raises(AttnVizError, match=sentence):
        write_mp4(frames, tmp_path / "a.mp4", size=(64, 48), n_frames=3, settings=ExportSettings(), metadata=METADATA)
    assert list(tmp_path.iterdir()) == []


def test_no_frames_at_all(tmp_path: Path) -> None:
    with pytest.raises(AttnVizError, match="no frames to write to .*a.mp4"):
        write_mp4([], tmp_path / "a.mp4", size=(64, 48), n_frames=0, settings=ExportSettings(), metadata=METADATA)


def test_hostile_titles_reach_the_file_as_text(tmp_path: Path) -> None:
    metadata = VideoMetadata(title="a\0b \ud83d -vf x", comment="=;#\\")
    path = write_mp4(
        flat_frames(1), tmp_path / "a.mp4", size=(64, 48), n_frames=1, settings=ExportSettings(), metadata=metadata
    )
    facts = probe(path)
    assert facts.metadata["title"] == "ab ? -vf x"
    assert facts.metadata["comment"] == "=;#\\"


@pytest.mark.parametrize("name", ["-dash.mp4", "a b%03d.mp4", "红色的圆.mp4", "pipe:1.mp4"])
def test_file_names_are_taken_literally(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    encode(flat_frames(1), Path(name))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_f26_a_half_video_of_a_killed_run_is_removed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = tmp_path / f"a.00000001-{files.machine()}-12ab.partial.mp4"
    half.write_bytes(b"half")
    monkeypatch.setattr(files, "is_gone", lambda process: process == 1)
    encode(flat_frames(2), tmp_path / "a.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
