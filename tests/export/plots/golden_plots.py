"""The plots that are kept as pictures in tests/golden/plots, small and with the shipped fonts only.

`python -m tests.export.plots.golden_plots` makes them anew: look at each before committing it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.trace import TraceData
from attnviz_video.progress import Silent
from attnviz_video.shipped import shipped
from attnviz_video.views import Trace, open_trace
from tests.render.made import Made, make_trace, uneven_row

FOLDER = Path(__file__).parents[2] / "golden" / "plots"
_CHINESE = ("红色", "的", "圆", "在", "", "左", "上", "角", "，", "한국", "ひら", "🧠", "\n", " 😀")
#: Settings by name: the trace, then flags of `plot`.
CASES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "matrix_demo": ("demo", {"what": "matrix", "layer_idx": 20}),
    "matrix_chinese_two_images": ("chinese", {"what": "matrix", "columns": 1, "theme": "dark", "colormap": "magma"}),
    "matrix_numbers_and_sink": ("sink", {"what": "matrix", "show_prompt": "full"}),
    "heads_demo": ("demo", {"what": "heads", "layer_idx": 20, "columns": 1}),
    "heads_on_two_images": ("chinese", {"what": "heads", "step": 3, "columns": 1}),
    "layers_heads_demo": ("demo", {"what": "layers_heads", "scalar": "entropy"}),
    "layers_heads_two_images": ("chinese", {"what": "layers_heads", "colormap": "cividis"}),
    "layers_demo": ("demo", {"what": "layers", "token": "orange", "keys": "image 1,right,tags", "columns": 1}),
    "layers_cells_demo": ("demo", {"what": "layers", "step": 18, "top_keys": 9, "columns": 1}),
    "curves_two_images": ("chinese", {"what": "curves", "columns": 1}),
    "curves_cells_demo": ("demo", {"what": "curves", "layer_idx": "all", "scalar": "image_share", "columns": 1}),
    "curves_demo_dark": ("demo", {"what": "curves", "layer_idx": (3, 20), "theme": "dark", "scalar": "entropy"}),
    "rollout_demo": ("demo", {"what": "rollout", "step": 18, "start_layer": 14, "columns": 1}),
    "filmstrip_demo": ("demo", {"what": "filmstrip", "filmstrip": 3, "layer_idx": 20, "columns": 1}),
}


def with_sink(step: int, layout: TokenLayout) -> np.ndarray:
    """A row whose first position takes more than all others."""
    row = uneven_row(step, layout)
    row[0] = 3.0
    return np.asarray(row / row.sum(), dtype=np.float32)


def made_trace(name: str, folder: Path) -> Trace:
    """The trace called `name`; `folder` takes its images."""
    if name == "demo":
        return open_trace(shipped("samples/demo_trace"))
    made = Made(answer=tuple(" abcdefghij"), row=with_sink, first_shown=0)
    if name == "chinese":
        sizes, grids = ((320, 200), (120, 160)), ((4, 6), (5, 4))
        made = Made(answer=_CHINESE, image_sizes=sizes, grids=grids, problem="红色的圆在哪里？")
    data: TraceData = make_trace(folder, made)
    return Trace(folder / "trace", data)


def draw(name: str, folder: Path) -> np.ndarray:
    """The pixels of one case."""
    trace, settings = CASES[name]
    path = made_trace(trace, folder).plot(path=folder / f"{name}.png", dpi=110, progress=Silent(), **settings)  # type: ignore[arg-type]
    return np.asarray(Image.open(path).convert("RGB"))


def main() -> None:
    """Make all golden plots."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            Image.fromarray(draw(name, Path(folder))).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
