from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scale import level
from attnviz_video.export.mp4 import VideoMetadata, write_mp4
from attnviz_video.export.settings import ExportSettings
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback import levels_from_pixels, peak_from_pixels
from attnviz_video.testing.video import decode_mp4
from tests.render.made import Made, make_scores

SETTINGS = RenderSettings(width=1280, height=720)


@pytest.mark.parametrize("alpha", ["weight", "flat"])
@pytest.mark.parametrize("colormap", ["red_green", "cividis"])
def test_t19_peaks_and_levels_survive_the_encoder(tmp_path: Path, alpha: str, colormap: str) -> None:
    made = Made(image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4)))
    scores = make_scores(tmp_path, made)
    painter = FramePainter(scores, replace(SETTINGS, heat_alpha=alpha, colormap=colormap))  # type: ignore[arg-type]
    frames = [painter.frame(number) for number in range(scores.n_frames)]
    for number, decoded in enumerate(_through_video(tmp_path, frames, painter.size)):
        weights = scores.frame(number)
        for image, patches in enumerate(weights.images):
            assert peak_from_pixels(painter, decoded, image) == int(patches.argmax())
            wanted = level(patches, scores.scale(number), "image")
            assert np.abs(levels_from_pixels(painter, decoded, image) - wanted).mean() <= 0.02


def _through_video(folder: Path, frames: list[np.ndarray], size: tuple[int, int]) -> list[np.ndarray]:
    """The frames as a viewer of the MP4 gets them, one of each second."""
    path = write_mp4(
        frames,
        folder / "a.mp4",
        size=size,
        n_frames=len(frames),
        settings=ExportSettings(tokens_per_second=1.0, fps=2),
        metadata=VideoMetadata("", ""),
    )
    decoded, _ = decode_mp4(path)
    return decoded[: 2 * len(frames) : 2]


def test_a_saturated_scale_is_settled_by_the_outline(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made())
    low = replace(scores.scale(0), image_top=1e-6)
    clipped = replace(scores, shared_scale=low)
    painter = FramePainter(clipped, SETTINGS)
    for number in range(scores.n_frames):
        frame = painter.frame(number)
        assert levels_from_pixels(painter, frame, 0).min() > 0.9
        assert peak_from_pixels(painter, frame, 0) == int(scores.frame(number).images[0].argmax())


@pytest.mark.parametrize("fault", ["swapped", "shifted"])
def test_a_wrong_picture_is_found_out(tmp_path: Path, fault: str) -> None:
    scores = make_scores(tmp_path, Made(image_sizes=((240, 240),), grids=((6, 6),)))
    painter = FramePainter(scores, SETTINGS)
    wrong = 0
    for number in range(scores.n_frames - 1):
        frame = painter.frame(number + (fault == "shifted"))
        if fault == "swapped":
            left, top, right, bottom = painter.images.views[0].box
            side = min(right - left, bottom - top)
            part = frame[top : top + side, left : left + side]
            part[:] = part.transpose(1, 0, 2).copy()
        wrong += peak_from_pixels(painter, frame, 0) != int(scores.frame(number).images[0].argmax())
    assert wrong >= scores.n_frames - 2
