"""WebP, GIF and PNG sequences: the frames, their times, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from attnviz_video.errors import DiskFullError, EncoderError, EnvironmentFault, UsageError
from attnviz_video.export import gif, png_folder, webp
from attnviz_video.export.coders import LOSSLESS, Coder, Frame, GifCoder, PngCoder, WebpCoder, changed_part
from attnviz_video.export.gif_palette import GifPalette, IndexTable, gif_palette
from attnviz_video.export.mark import VideoMark, read_mark
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.png_folder import write_png_folder
from attnviz_video.export.schedule import Schedule
from attnviz_video.render.heat import token_heat

MARK = VideoMark("item-0", "my_model", 3, "k")
METADATA = VideoMetadata("a title", MARK.comment())
RAMP = token_heat("red_green", "box", (255, 255, 255)).ramp((255, 255, 255))
SIZE = (61, 47)


def frames(n_frames: int = 4) -> list[Frame]:
    """A ground on which one box of the ramp moves; the last frame is like the one before."""
    made = []
    for number in range(n_frames):
        frame = np.full((SIZE[1], SIZE[0], 3), 244, dtype=np.uint8)
        place = 7 * min(number, n_frames - 2)
        frame[11:23, 3 + place : 13 + place] = (
            RAMP[(number * 50) % 256] if number < n_frames - 1 else made[-1][15, 4 + place]
        )
        frame[30:40] = np.linspace(0, 255, SIZE[0])[None, :, None].astype(np.uint8)
        made.append(frame)
    return made


def packets(coder: Coder, made: list[Frame]) -> Iterator[bytes]:
    for previous, frame in itertools.pairwise([None, *made]):
        assert frame is not None
        yield bytes(coder.code(frame, previous))


def schedule(n_frames: int = 4, rate: str = "3", holds: tuple[int, ...] = ()) -> Schedule:
    return Schedule(tuple(range(n_frames)), Fraction(rate), 24, holds or (0,) * n_frames)


def palette() -> GifPalette:
    return gif_palette([RAMP], frames())


def write(kind: str, path: Path, made: list[Frame] | None = None, plan: Schedule | None = None) -> Path:
    made = frames() if made is None else made
    plan = schedule(len(made)) if plan is None else plan
    if kind == "webp":
        coded = packets(WebpCoder(LOSSLESS), made)
        return webp.write_webp(coded, path, size=SIZE, schedule=plan, metadata=METADATA)
    if kind == "gif":
        colors = palette()
        coded = packets(GifCoder(colors), made)
        return gif.write_gif(
            coded, path, size=SIZE, palette=colors, schedule=plan, metadata=METADATA, notice=lambda words: None
        )
    steps = [10 + frame for frame in plan.frames]
    return write_png_folder(packets(PngCoder(), made), path, schedule=plan, steps=steps, metadata=METADATA)


def read(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Frames and times (ms) of an animation, by Pillow."""
    with Image.open(path) as picture:
        made, times = [], []
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            made.append(np.asarray(picture.convert("RGB")))
            times.append(int(picture.info["duration"]))
        assert picture.info["loop"] == 0
    return made, times


def test_lossless_webp_holds_every_pixel_and_every_time(tmp_path: Path) -> None:
    plan = schedule(4, "7", (3, 0, 0, 24))
    found, times = read(write("webp", tmp_path / "a.webp", plan=plan))
    np.testing.assert_array_equal(np.stack(found), np.stack(frames()))
    assert times == np.diff(plan.starts(1000)).tolist()
    assert sum(times) == plan.starts(1000)[-1]


def test_lossy_webp_is_close(tmp_path: Path) -> None:
    made = frames()
    coded = packets(WebpCoder(90), made)
    found, _ = read(webp.write_webp(coded, tmp_path / "a.webp", size=SIZE, schedule=schedule(), metadata=METADATA))
    assert np.abs(np.stack(found).astype(int) - np.stack(made).astype(int)).mean() < 2


def test_gif_keeps_the_ramp_and_the_times(tmp_path: Path) -> None:
    plan = schedule(4, "3", (12, 0, 0, 24))
    found, times = read(write("gif", tmp_path / "a.gif", plan=plan))
    assert times == (10 * np.diff(plan.starts(100))).tolist()
    for shown, frame in zip(found, frames(), strict=True):
        error = np.abs(shown.astype(int) - frame.astype(int))
        assert error[:30].max() <= 3, "the box of the ramp, and the ground"
        assert error.mean() < 1.5


def test_gif_shows_every_level_within_half_a_step() -> None:
    """The level read back from the nearest colour of the ramp: off by less than a hundredth."""
    table = IndexTable(palette())
    shown = np.frombuffer(palette().colors, dtype=np.uint8).reshape(256, 3)[table.indices(RAMP[None])[0]]
    levels = np.abs(shown[:, None].astype(int) - RAMP[None].astype(int)).sum(axis=2).argmin(axis=1) / 255
    error = np.abs(levels - np.linspace(0, 1, 256))
    assert error.max() <= 0.012
    assert error.mean() <= 0.005


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=40))
def test_a_colour_of_the_palette_is_shown_as_itself_or_nearly(colors: list[tuple[int, int, int]]) -> None:
    made = gif_palette([RAMP], [np.array([colors], dtype=np.uint8)])
    shown = np.frombuffer(made.colors, dtype=np.uint8).reshape(256, 3)[: made.n_colors]
    found = shown[IndexTable(made).indices(shown[None])[0]]
    np.testing.assert_array_equal(found, shown)
    assert made.n_colors <= 255


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(min_size=4, max_size=4), min_size=1, max_size=5))
def test_any_frames_survive_lossless_webp(tmp_path_factory: pytest.TempPathFactory, grays: list[bytes]) -> None:
    """Frames of few pixels, equal ones among them: Pillow reads back what was given."""
    made = [np.repeat(np.frombuffer(gray, dtype=np.uint8).reshape(2, 2, 1), 3, axis=2) // 64 * 64 for gray in grays]
    path = tmp_path_factory.mktemp("any") / "a.webp"
    coded = packets(WebpCoder(LOSSLESS), made)
    webp.write_webp(coded, path, size=(2, 2), schedule=schedule(len(made)), metadata=METADATA)
    found, _ = read(path)
    np.testing.assert_array_equal(np.stack(found), np.stack(made))


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.sampled_from([1, 2]))
def test_the_changed_part_holds_every_change(x0: int, y0: int, x1: int, y1: int, align: int) -> None:
    previous = np.zeros((10, 10, 3), dtype=np.uint8)
    frame = previous.copy()
    frame[y0, x0, 1] = frame[y1, x1, 2] = 9
    left, top, width, height = changed_part(frame, previous, align=align)
    assert (left % align, top % align) == (0, 0)
    assert left <= min(x0, x1) < max(x0, x1) + 1 <= left + width <= 10
    assert top <= min(y0, y1) < max(y0, y1) + 1 <= top + height <= 10
    assert changed_part(frame, frame, align=align) == (0, 0, 1, 1)
    assert changed_part(frame, None, align=align) == (0, 0, 10, 10)


def test_png_sequence(tmp_path: Path) -> None:
    path = write("png", tmp_path / "x_frames", plan=schedule(4, "3", (12, 0, 0, 0)))
    assert sorted(os.listdir(path)) == [*(f"frame_0000{n}.png" for n in (1, 2, 3, 4)), "frames.json"]
    for number, frame in enumerate(frames(), start=1):
        with Image.open(path / f"frame_0000{number}.png") as picture:
            np.testing.assert_array_equal(np.asarray(picture), frame)
    index = json.loads((path / "frames.json").read_text())
    assert index["frames"][0] == {"file": "frame_00001.png", "step": 10, "seconds": 0.833333}
    assert index["frames"][3] == {"file": "frame_00004.png", "step": 13, "seconds": 0.333333}


@pytest.mark.parametrize(("kind", "name"), [("webp", "a.webp"), ("gif", "a.gif"), ("png", "a_frames")])
def test_the_mark_is_read_back(tmp_path: Path, kind: str, name: str) -> None:
    assert read_mark(write(kind, tmp_path / name)) == MARK


@pytest.mark.parametrize(("kind", "name"), [("webp", "a.webp"), ("gif", "a.gif"), ("png", "a_frames")])
def test_an_error_while_painting_leaves_what_was_there(tmp_path: Path, kind: str, name: str) -> None:
    write(kind, tmp_path / name)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    class Stopped(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            yield from frames()[:2]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(kind, tmp_path / name, Stopped(frames()))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("kind", "name"), [("webp", "a.webp"), ("gif", "a.gif"), ("png", "a_frames")])
def test_f20_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, name: str) -> None:
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match=rf"disk full while writing .*{name}: free "):
        write(kind, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "name"), [("webp", "a.webp"), ("gif", "a.gif"), ("png", "a_frames")])
def test_a_place_that_cannot_be_written(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(EnvironmentFault, match=rf"cannot write .*{name}: "):
        write(kind, tmp_path / "file" / name)


@pytest.mark.parametrize("kind", ["webp", "gif"])
def test_a_file_that_does_not_read_back_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    name = {"webp": "count_animation_frames", "gif": "count_gif_frames"}[kind]
    monkeypatch.setattr(webp if kind == "webp" else gif, name, lambda path: 3)
    with pytest.raises(EncoderError, match=rf"a\.{kind} has 3 frames instead of 4; nothing was kept"):
        write(kind, tmp_path / f"a.{kind}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [1, 9, 40])
def test_cut_files_are_noticed(tmp_path: Path, cut: int) -> None:
    for kind in ("webp", "gif"):
        path = write(kind, tmp_path / f"a.{kind}")
        os.truncate(path, path.stat().st_size - cut)
    assert gif.count_gif_frames(tmp_path / "a.gif") == -1
    with pytest.raises(EncoderError, match="a.webp is damaged: it does not read back as a WebP of"):
        webp.count_animation_frames(tmp_path / "a.webp")


def test_times_that_a_gif_cannot_have(tmp_path: Path) -> None:
    fast = Schedule((0, 1), Fraction(60), 60, (0, 0))
    with pytest.raises(UsageError, match="a GIF shows at most 50 frames per second; lower --tokens_per_second 60"):
        gif.check_gif_times(tmp_path / "a.gif", fast)
    with pytest.raises(UsageError, match="a GIF shows a frame for at most 655 s; raise --tokens_per_second or shorten"):
        gif.check_gif_times(tmp_path / "a.gif", schedule(2, "3", (0, 24 * 700)))


def test_a_large_gif_is_said_to_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gif, "LARGE", 1000)
    told: list[str] = []
    colors = palette()
    gif.write_gif(
        packets(GifCoder(colors), frames()), tmp_path / "a.gif", size=SIZE, palette=colors, schedule=schedule(),
        metadata=METADATA, notice=told.append,
    )  # fmt: skip
    assert len(told) == 1
    assert "kB, more than many places accept; --size 720p, --pace word or --format mp4 make it smaller" in told[0]


def test_a_webp_too_large_for_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="WebP pictures have at most 16384 pixels a side"):
        webp.write_webp([], tmp_path / "a.webp", size=(20000, 10), schedule=schedule(), metadata=METADATA)
    monkeypatch.setattr(webp, "MOST_BYTES", 100)
    with pytest.raises(UsageError, match="larger than the 4 GB a WebP can have; write an MP4"):
        write("webp", tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_a_shorter_sequence_leaves_no_frames_of_the_longer_one(tmp_path: Path) -> None:
    path = write("png", tmp_path / "x_frames")
    (path / "notes.txt").write_text("mine")
    write("png", path, frames(3), schedule(3))
    assert sorted(os.listdir(path)) == [*(f"frame_0000{n}.png" for n in (1, 2, 3)), "frames.json", "notes.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["x_frames"]


def test_f26_half_folders_of_killed_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half = tmp_path / f"x_frames.00000001-{png_folder.machine()}-12ab.partial"
    half.mkdir()
    (half / "frame_00001.png").write_bytes(b"half")
    monkeypatch.setattr(png_folder, "is_gone", lambda process: process == 1)
    write("png", tmp_path / "x_frames")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x_frames"]
