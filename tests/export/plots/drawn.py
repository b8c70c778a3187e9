"""Plots of traces in memory, written as SVG and read back."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from attnviz_video.core.trace import TraceData
from attnviz_video.progress import Silent
from attnviz_video.views import Trace
from tests.export.figures.figure_reading import SVG, SvgFigure


class Told(Silent):
    """Keeps notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)


def plotted(trace: TraceData, folder: Path, what: str, told: Told | None = None, **settings: object) -> SvgFigure:
    """The plot as an SVG."""
    path = folder / f"{what}.svg"
    Trace(folder, trace).plot(what, path, progress=told or Silent(), **settings)
    return SvgFigure(path)


def points_of(figure: SvgFigure, name: str) -> np.ndarray:
    """The corners of the line called `name`, [points, 2] in points from the upper left corner."""
    group = figure.root.find(f".//*[@id='{name}']")
    assert group is not None, f"the SVG has nothing called {name}"
    data = next(group.iter(f"{SVG}path")).get("d", "")
    pairs = re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", data)
    return np.array(pairs, dtype=float)


def assert_one_axis(places: np.ndarray, values: np.ndarray, *, upwards: bool) -> None:
    """All `places` (points) are the `values` on one linear axis, to a hundredth of a point."""
    design = np.stack([values.ravel(), np.ones(values.size)], axis=1)
    solution = np.linalg.lstsq(design, places.ravel(), rcond=None)[0]
    assert np.abs(design @ solution - places.ravel()).max() < 0.01
    assert (solution[0] < 0) == upwards


def caption(figure: SvgFigure) -> str:
    """The lines below the plot."""
    return " ".join(figure.text_of(f"caption-{number}") for number in range(9) if figure.has(f"caption-{number}"))
