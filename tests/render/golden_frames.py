"""The frames that are kept as pictures in tests/golden, painted with the shipped fonts only.

`python -m tests.render.golden_frames` paints them anew: look at each before committing it.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.render.made import Made, make_scores, uneven_row

FOLDER = Path(__file__).parent.parent / "golden"

_ENGLISH = (
    "<think>", "\n", "The", " red", " circ", "le", " is", " in", " the", " top", " left", ".", "\n\n", "Done", ".",
)  # fmt: skip
_CHINESE = ("红色", "的", "圆", "在", "", "左", "上", "角", "，", "한국", "ひら", "🧠", "\x1b", " 😀")
#: Longer than a page of so small a frame.
_LONG = (" the", " red", " circle", " is", " left", " of", " the", " blue", " square", ",", " above", " it", ".") * 36
_FIVE_SIZES = ((320, 200), (120, 160), (400, 90), (90, 300), (200, 200))
_FIVE_GRIDS = ((4, 6), (5, 4), (2, 8), (7, 2), (5, 5))
_SIZE = RenderSettings(width=854, height=480, fonts="bundled")


def _with_nan(step: int, layout: TokenLayout) -> np.ndarray:
    row = uneven_row(step, layout)
    row[layout.patch_positions(0)[2]] = np.nan
    row[1] = np.nan
    return row


def _with_sink(step: int, layout: TokenLayout) -> np.ndarray:
    row = uneven_row(step, layout)
    row[0] = 3.0
    return row / np.float32(row.sum())


CASES: dict[str, tuple[Made, RenderSettings, int]] = {
    "light_one_image": (Made(answer=_ENGLISH, first_shown=0, row=_with_sink), _SIZE, 11),
    "dark_two_images": (
        Made(answer=_ENGLISH, image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4))),
        replace(_SIZE, theme="dark"),
        13,
    ),
    "chinese_cividis": (Made(answer=_CHINESE, problem="红色的圆在哪里？"), replace(_SIZE, colormap="cividis"), 13),
    "older_look": (
        Made(answer=_ENGLISH, analysis=AnalysisSettings(scale="per_frame", gamma=0.4, convention="reading")),
        replace(_SIZE, token_style="text", heat_alpha="flat", grid_lines=False),
        9,
    ),
    "no_row": (Made(answer=_ENGLISH, analysis=AnalysisSettings(convention="reading")), _SIZE, 14),
    "nan_hatched": (Made(answer=_ENGLISH, first_shown=0, row=_with_nan), _SIZE, 8),
    "no_image": (Made(answer=_ENGLISH, image_sizes=(), grids=()), _SIZE, 10),
    "text_second_page_dark": (
        Made(answer=_LONG, image_sizes=(), grids=()),
        replace(_SIZE, theme="dark", colormap="magma"),
        440,
    ),
    "five_images_viridis": (
        Made(answer=_ENGLISH, image_sizes=_FIVE_SIZES, grids=_FIVE_GRIDS),
        replace(_SIZE, colormap="viridis"),
        7,
    ),
    "talk_one_image": (Made(answer=_ENGLISH, first_shown=0), replace(_SIZE, theme="talk"), 12),
    "paper_two_images": (
        Made(answer=_ENGLISH, image_sizes=((320, 200), (120, 160)), grids=((4, 6), (5, 4))),
        replace(_SIZE, theme="paper", colormap="greys"),
        12,
    ),
}


def paint(name: str, folder: Path) -> np.ndarray:
    """The frame of one case; `folder` takes the trace's images."""
    made, settings, number = CASES[name]
    return FramePainter(make_scores(folder, made), settings).frame(number)


def main() -> None:
    """Write all golden frames."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in CASES:
            Image.fromarray(paint(name, Path(folder))).save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
