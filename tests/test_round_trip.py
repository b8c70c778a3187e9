"""T19: what the viewer of a video sees are the numbers of the trace, whatever the colour map, size and theme."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz_video.colormaps import NAMES
from attnviz_video.core.layout import TokenLayout
from attnviz_video.export import mp4
from attnviz_video.export.settings import ExportSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.render.made import one_hot_patch
from tests.round_trip import Reading, planted_scores, read_back, through_video

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080)}
#: In the middle of the answer, so that there is text to read.
FRAMES = range(18, 22)
THEMES = ("light", "dark", "talk", "paper")
SHORT_ANSWER = (" The", " red", " circle", " is", " here")
#: The issue asks for 1 pixel; edges are whole pixels, so that half a pixel tells every wrong one.
MOST_EDGE_ERROR = 0.5
#: Two pictures of awkward sizes, whose cells are not equally wide in pixels.
ODD_SIZES, ODD_GRIDS = ((333, 500), (640, 333)), ((9, 7), (5, 11))


def frame_settings(colormap: str, size: str = "720p", theme: str = "light") -> RenderSettings:
    width, height = SIZES[size]
    return RenderSettings(width=width, height=height, colormap=colormap, theme=theme)  # type: ignore[arg-type]


def round_trip(
    folder: Path,
    settings: RenderSettings,
    frames: range = FRAMES,
    fault: Callable[[np.ndarray], np.ndarray] = lambda frame: frame,
) -> dict[str, Reading]:
    scores = planted_scores(folder)
    painter = FramePainter(scores, settings)
    decoded = through_video([fault(painter.frame(number)) for number in frames], folder)
    return read_back(scores, painter, settings, frames, decoded)


def check_all(readings: dict[str, Reading]) -> None:
    for name, reading in readings.items():
        reading.check(name)


def test_t19_weights_survive_the_encoder(tmp_path: Path) -> None:
    check_all(round_trip(tmp_path, frame_settings("red_green"), FRAMES[:2]))


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colormap", NAMES)
def test_t19_weights_survive_the_encoder_in_every_map(tmp_path: Path, colormap: str, size: str, theme: str) -> None:
    check_all(round_trip(tmp_path, frame_settings(colormap, size, theme)))


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["talk", "paper"])
@pytest.mark.parametrize("colormap", NAMES)
def test_t19_weights_survive_the_encoder_in_every_theme(tmp_path: Path, colormap: str, theme: str) -> None:
    check_all(round_trip(tmp_path, frame_settings(colormap, theme=theme)))


@pytest.mark.slow
@pytest.mark.parametrize("colormap", NAMES)
def test_t19_weights_survive_under_an_even_wash(tmp_path: Path, colormap: str) -> None:
    check_all(round_trip(tmp_path, replace(frame_settings(colormap), heat_alpha="flat")))


def test_colours_the_wrong_way_round_are_found_out(tmp_path: Path) -> None:
    readings = round_trip(tmp_path, frame_settings("viridis"), FRAMES[:1], lambda frame: frame[..., ::-1])
    for name, reading in readings.items():
        with pytest.raises(AssertionError, match=f"{name}: "):
            reading.check(name)


def test_video_of_the_wrong_matrix_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours converted by BT.601 under the tags of BT.709, as ffmpeg does it when it is not told."""
    assert "out_color_matrix=bt709" in mp4.COLOURS
    monkeypatch.setattr(mp4, "COLOURS", mp4.COLOURS.replace("out_color_matrix=bt709", "out_color_matrix=bt601"))
    readings = round_trip(tmp_path, frame_settings("red_green"), FRAMES[:1])
    for name in ("photo", "hues", "text"):
        with pytest.raises(AssertionError, match=f"{name}: "):
            readings[name].check(name)


def test_video_without_tags_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right colours, but the file says that they are BT.601."""
    monkeypatch.setattr(mp4, "COLOURS", mp4.COLOURS.replace("colorspace=bt709", "colorspace=smpte170m"))
    readings = round_trip(tmp_path, frame_settings("red_green"), FRAMES[:1])
    for name in ("photo", "hues", "text"):
        with pytest.raises(AssertionError, match=f"{name}: "):
            readings[name].check(name)


@pytest.mark.parametrize("gamma", [0.8, 1.2])
def test_a_bent_scale_is_found_out(tmp_path: Path, gamma: float) -> None:
    """Painted with another gamma than the one that the frame tells."""
    scores, settings = planted_scores(tmp_path), frame_settings("viridis")
    bent = replace(scores, shared_scale=replace(scores.scale(0), gamma=gamma))
    painter = FramePainter(bent, settings)
    readings = read_back(scores, painter, settings, FRAMES[:1], [[painter.frame(FRAMES[0])]])
    for name, reading in readings.items():
        with pytest.raises(AssertionError, match=f"{name}: mean error"):
            reading.check(name)


def checkered(step: int, layout: TokenLayout) -> np.ndarray:
    """Patches with the top of the scale and with nothing in turn, in all directions."""
    row = np.zeros(layout.n_prompt + step, dtype=np.float32)
    for image, (_, columns) in enumerate(ODD_GRIDS):
        patches = layout.patch_positions(image)
        y, x = np.divmod(np.arange(patches.size), columns)
        row[patches[(x + y + step) % 2 == 0]] = 1.0
    return row / row.sum()


def brightness(frame: np.ndarray) -> np.ndarray:
    return frame @ np.array([0.2126, 0.7152, 0.0722])


def crossing(profile: np.ndarray) -> float:
    """Where a profile passes the middle between its ends, in pixels from its beginning; the nearest to its centre."""
    part = (profile - profile[0]) / (profile[-1] - profile[0]) - 0.5
    at = np.flatnonzero(np.diff(part > 0))
    assert at.size, "no edge"
    places = at + part[at] / (part[at] - part[at + 1]) + 0.5
    return float(places[np.abs(places - len(profile) / 2).argmin()])


def edge_errors(frame: np.ndarray, box: tuple[int, int, int, int], grid: tuple[int, int]) -> np.ndarray:
    """How far every inner edge of the cells of a picture at `box` is from `round(i · W / w)`, in pixels.

    Cell edges are counted from the picture's box alone. An edge is where the brightness passes from the middle of
    one cell to that of the next.
    """
    left, top, right, bottom = box
    picture = brightness(frame[top:bottom, left:right])
    errors = []
    for bright, across, along in ((picture, grid[1], grid[0]), (picture.T, grid[0], grid[1])):
        edges = [int(np.floor(number * bright.shape[1] / across + 0.5)) for number in range(across + 1)]
        lanes = [int(np.floor(number * bright.shape[0] / along + 0.5)) for number in range(along + 1)]
        for first, stop in zip(lanes, lanes[1:], strict=False):
            quarter = (stop - first) // 4
            lane = bright[first + quarter : stop - quarter].mean(axis=0)
            for before, edge, after in zip(edges, edges[1:], edges[2:], strict=False):
                begin, end = (before + edge) // 2, (edge + after) // 2
                errors.append(begin + crossing(lane[begin:end]) - edge)
    return np.array(errors)


def edges_of(folder: Path, settings: RenderSettings, shift: int = 0) -> np.ndarray:
    """Errors of all cell edges of two pictures after decoding; `shift` moves the painted frame by so many pixels."""
    pictures = [Image.new("RGB", size, (128, 128, 128)) for size in ODD_SIZES]
    scores = planted_scores(folder, pictures, ODD_GRIDS, checkered, SHORT_ANSWER)
    painter = FramePainter(scores, replace(settings, grid_lines=False))
    frames = [np.roll(painter.frame(number), (shift, shift), axis=(0, 1)) for number in (0, 1)]
    decoded = through_video(frames, folder)
    errors = []
    for image, grid in enumerate(ODD_GRIDS):
        errors += [edge_errors(frame, painter.images.views[image].box, grid) for shown in decoded for frame in shown]
    return np.concatenate(errors)


def test_cell_edges_are_where_they_belong_after_decoding(tmp_path: Path) -> None:
    assert np.abs(edges_of(tmp_path, frame_settings("red_green"))).max() <= MOST_EDGE_ERROR


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("colormap", NAMES)
def test_cell_edges_are_where_they_belong_in_every_map(tmp_path: Path, colormap: str, size: str) -> None:
    assert np.abs(edges_of(tmp_path, frame_settings(colormap, size))).max() <= MOST_EDGE_ERROR


@pytest.mark.parametrize("shift", [1, 2])
def test_edges_off_by_a_pixel_or_two_are_found_out(tmp_path: Path, shift: int) -> None:
    errors = edges_of(tmp_path, frame_settings("red_green"), shift)
    assert np.median(errors) == pytest.approx(shift, abs=0.1)
    assert np.abs(errors).max() > MOST_EDGE_ERROR


@pytest.mark.parametrize("size", SIZES)
def test_the_rim_of_the_peak_is_where_its_cell_is_after_decoding(tmp_path: Path, size: str) -> None:
    """White just inside the cell, black just outside of it, on all four sides."""
    pictures = [Image.new("RGB", shape, (128, 128, 128)) for shape in ODD_SIZES]
    scores = planted_scores(tmp_path, pictures, ODD_GRIDS, one_hot_patch, SHORT_ANSWER)
    painter = FramePainter(scores, frame_settings("red_green", size))
    decoded = through_video([painter.frame(number) for number in range(3)], tmp_path)
    for number, shown in enumerate(decoded):
        left, top, right, bottom = painter.patch_cells(0)[number].tolist()
        x, y, reach = (left + right) // 2, (top + bottom) // 2, 2
        for frame in shown:
            bright = brightness(frame)
            row, column = bright[y - 3 : y + 3].mean(axis=0), bright[:, x - 3 : x + 3].mean(axis=1)
            for profile, edge in ((row, left), (row, right), (column, top), (column, bottom)):
                assert abs(crossing(profile[edge - reach : edge + reach]) - reach) <= MOST_EDGE_ERROR


def test_weights_survive_full_chroma_too(tmp_path: Path) -> None:
    scores, settings = planted_scores(tmp_path), frame_settings("red_green")
    painter = FramePainter(scores, settings)
    frames = [painter.frame(number) for number in FRAMES[:1]]
    decoded = through_video(frames, tmp_path, ExportSettings(chroma="444"))
    check_all(read_back(scores, painter, settings, FRAMES[:1], decoded))
