"""Plots in every text size that a style file may ask for: nothing is cut, on anything else or off the sheet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from attnviz_video.core.trace import TraceData
from attnviz_video.export.figures.sheet import Sheet
from attnviz_video.export.plots.style import TEXT_SIZES
from attnviz_video.testing.planted_encoding import planted_encoding
from attnviz_video.tracefile.read import open_trace
from tests.analysis.pieces import DEMO
from tests.export.plots.drawn import plotted
from tests.render.made import Made, make_trace

TWO = Made(image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4)), answer=tuple(" abcdefghij"))
#: Traces and the plots that are made of them.
CASES: tuple[tuple[str, Mapping[str, object]], ...] = (
    ("demo", {"what": "matrix", "layer_idx": 20}),
    ("demo", {"what": "heads", "layer_idx": 20}),
    ("demo", {"what": "layers_heads", "scalar": "entropy"}),
    ("demo", {"what": "layers", "token": "orange", "keys": "image 1,right,tags"}),
    ("demo", {"what": "layers", "step": 18, "top_keys": 9}),
    ("demo", {"what": "curves"}),
    ("demo", {"what": "curves", "layer_idx": "all"}),
    ("two images", {"what": "matrix", "sinks": "relative"}),
    ("two images", {"what": "heads", "step": 3}),
    ("two images", {"what": "curves"}),
    ("pair", {"what": "matrix", "layer_idx": 1}),
    ("pair", {"what": "heads", "layer_idx": 1}),
)


@dataclass(frozen=True)
class Written:
    """A line of text and the room it takes, in points."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Written) -> bool:
        """Whether both share more than a rounding of a point."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > 0.2 and down > 0.2


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Written]:
    """Every text of the plots that are drawn meanwhile: letters from the height of an x to the line they stand on."""
    found: list[Written] = []
    plain: Callable[..., None] = Sheet.words

    def words(sheet: Sheet, x: float, baseline: float, text: str, size: float, color: object, **more: object) -> None:
        width = sheet.fonts.width(text, size, bold=bool(more.get("bold")))
        start = {"left": 0.0, "center": width / 2, "right": width}[str(more.get("anchor", "left"))]
        if more.get("upwards"):
            found.append(Written(text, x - 0.6 * size, baseline - width + start, x, baseline + start))
        else:
            found.append(Written(text, x - start, baseline - 0.6 * size, x - start + width, baseline))
        plain(sheet, x, baseline, text, size, color, **more)

    monkeypatch.setattr(Sheet, "words", words)
    return found


def made(name: str, folder: Path) -> TraceData:
    if name == "demo":
        return open_trace(DEMO)
    return planted_encoding() if name == "pair" else make_trace(folder, TWO)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize(
    "size",
    [pytest.param(TEXT_SIZES[0], marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow), TEXT_SIZES[1]],
)
@pytest.mark.parametrize(("name", "settings"), CASES, ids=lambda value: value if isinstance(value, str) else None)
def test_texts_have_room(
    name: str, settings: Mapping[str, object], size: float, columns: int, tmp_path: Path, written: list[Written]
) -> None:
    style = tmp_path / "own.mplstyle"
    style.write_text(f"font.size: {size}\n", encoding="utf-8")
    what = str(settings["what"])
    figure = plotted(made(name, tmp_path), tmp_path, columns=columns, style=str(style), dpi=72, **settings)  # type: ignore[arg-type]
    assert len(written) > 5, what
    width, height = (float(figure.root.get(side, "").removesuffix("pt")) for side in ("width", "height"))
    for one in written:
        assert min(one.left, one.top) >= -0.1, one
        assert max(one.right - width, one.bottom - height) <= 0.1, one
    clashes = [(one.text, other.text) for one, other in itertools.combinations(written, 2) if one.overlaps(other)]
    assert clashes == []
    cut = [one.text for one in written if one.text.endswith("…") and not one.text.startswith(("A: ", "B: "))]
    assert all(len(text) <= 12 for text in cut), "names of tokens and the user's sentences may be cut, ours may not"
