"""The truth test: from the pixels of rendered frames back to the attention row, and on to where the objects really are.

Nothing here trusts the layout that the program recorded: the expected patch is counted along the image tokens of the
prompt, and the shown patch is found from where on the frame the brightest cell lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.capture.start_phrase import find_in_pieces
from attnviz_video.core.trace import TraceData
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.image_panel import LEAST_PEAK
from attnviz_video.render.settings import RenderSettings
from attnviz_video.testing.readback import peak_from_pixels

#: What `peak_from_pixels` returns where a frame shows no weight on an image.
NOTHING = -1


@dataclass
class Truth:
    """What was counted over frames."""

    frames: int = 0
    agreeing: int = 0
    #: Frames on which a peak is due, so that agreeing on "none" alone proves nothing.
    shown: int = 0
    words: int = 0
    in_box_by_trace: int = 0
    in_box_by_pixels: int = 0

    @property
    def agreement(self) -> float:
        return self.agreeing / self.frames

    def check(self) -> None:
        """Peak cells agree in 99 % of the steps, and the in-box rates within a point."""
        assert self.frames > 0
        assert self.shown >= self.frames / 8, f"only {self.shown} of {self.frames} frames have a peak to show"
        assert self.agreement >= 0.99, f"peak from pixels equals the row's in {self.agreement:.1%} of {self.frames}"
        if self.words:
            gap = abs(self.in_box_by_pixels - self.in_box_by_trace) / self.words
            assert gap <= 0.01, f"in-box rates differ by {gap:.1%}"


def count_truth(raw: TraceData, shown: TraceData, layer: int, grid: tuple[int, int], truth: Truth) -> None:
    """Render `shown`, read every frame back, compare with the rows of `raw`; `grid` is the processor's (rows, columns).

    `raw` and `shown` are the same trace, but for faults that a test puts into the shown one.
    """
    painter = FramePainter(score(shown, layer, AnalysisSettings()), RenderSettings(width=1280, height=720))
    phrase_at = phrases(raw)
    scale = score(raw, layer, AnalysisSettings()).scale(0)
    for number in range(painter.n_frames):
        frame = painter.frame(number)
        row = raw.rows.mean_row(number, layer)
        for image in range(len(raw.layout.images)):
            expected = expected_patch(raw, row, image, least=LEAST_PEAK * scale.image_top)
            x, y = shown_point(painter, frame, image)
            found = int(y * grid[0]) * grid[1] + int(x * grid[1]) if x >= 0 else NOTHING
            truth.frames += 1
            truth.agreeing += found == expected
            truth.shown += expected != NOTHING
            if (number, image) in phrase_at:
                expected_point = (expected % grid[1] + 0.5) / grid[1], (expected // grid[1] + 0.5) / grid[0]
                expected_point = expected_point if expected != NOTHING else (-1.0, -1.0)
                truth.words += 1
                truth.in_box_by_trace += in_box(expected_point, phrase_at[number, image], grid)
                truth.in_box_by_pixels += in_box((x, y), phrase_at[number, image], grid)


def expected_patch(trace: TraceData, row: np.ndarray, image: int, *, least: float) -> int:
    """The heaviest of the image's tokens, counted along the prompt: the model's own order, row by row.

    `NOTHING` where the row gives no patch of the image as much as `least`: then no cell may be marked.
    """
    run = [token.position for token in trace.tokens if token.role == "image" and token.image == image]
    weights = row[np.array(run)]
    return int(np.argmax(weights)) if weights.max() >= least else NOTHING


def shown_point(painter: FramePainter, frame: np.ndarray, image: int) -> tuple[float, float]:
    """Middle of the brightest cell, as shares (x, y) of the image's size; (-1, -1) where none is marked."""
    peak = peak_from_pixels(painter, frame, image)
    if peak == NOTHING:
        return -1.0, -1.0
    left, top, right, bottom = painter.patch_cells(image)[peak].tolist()
    x0, y0, x1, y1 = painter.images.views[image].box
    return ((left + right) / 2 - x0) / (x1 - x0), ((top + bottom) / 2 - y0) / (y1 - y0)


def phrases(trace: TraceData) -> dict[tuple[int, int], tuple[float, float, float, float]]:
    """(step, image) of the first token of every phrase in the answer that the sample has a box for; box as shares."""
    pieces = [token.piece for token in trace.tokens[trace.n_prompt :]]
    boxes = {}
    for entry in trace.header.sample.boxes:
        found = find_in_pieces(pieces, entry.phrase, "first")
        if found is not None:
            info = trace.layout.images[entry.image]
            left, top, right, bottom = entry.box
            boxes[found[0], entry.image] = (
                left / info.width, top / info.height, right / info.width, bottom / info.height,
            )  # fmt: skip
    return boxes


def in_box(point: tuple[float, float], box: tuple[float, float, float, float], grid: tuple[int, int]) -> bool:
    """Whether a point lies in a box grown by half a cell (all as shares of the image)."""
    x, y = point
    half_x, half_y = 0.5 / grid[1], 0.5 / grid[0]
    return box[0] - half_x <= x <= box[2] + half_x and box[1] - half_y <= y <= box[3] + half_y
