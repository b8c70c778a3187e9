"""`Sheet`: what a figure is drawn on. Lengths are points from the upper left corner; matplotlib writes the file.

matplotlib's own settings are set aside while it draws (the style "default" and what is fixed here), no font is looked
up by name, and dates and random ids stay out of the files: the same figure gives the same bytes everywhere.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import UInt8

from attnviz_video.errors import EnvironmentFault
from attnviz_video.export.figures.fonts import FigureFonts, FontFile
from attnviz_video.files import temporary_beside
from attnviz_video.theme import Rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["pdf", "png", "svg"]
#: (left, top, right, bottom) in points.
PointBox = tuple[float, float, float, float]
POINTS_PER_INCH = 72.0
#: First words of the description in every figure, by which a figure of ours is told from another file.
MARK = "attnviz_video figure"
#: Lengths of dash and gap, in line widths.
_DASHES = (4.0, 2.0)
_STYLE: dict[str, Any] = {
    "pdf.fonttype": 42,  # TrueType, whole letters: editable and searchable, and what publishers ask for
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": MARK,
    "text.hinting": "none",
    "text.parse_math": False,  # a token may hold dollar signs
    "text.usetex": False,
    "path.simplify": False,
    "image.composite_image": False,
    "hatch.linewidth": 0.5,
}


def refuse_without_matplotlib() -> None:
    """Say what is missing before any long work.

    Raises:
        EnvironmentFault: matplotlib or fontTools is not installed.
    """
    missing = [name for name in ("matplotlib", "fontTools") if importlib.util.find_spec(name) is None]
    if missing:
        raise EnvironmentFault(
            f"figures need {' and '.join(missing)}, which this environment lacks; install the extra: "
            "pip install 'attnviz-video[plots]'"
        )


class Sheet:
    """Collects boxes, words, lines and pictures; `save` draws them in the order they came."""

    def __init__(self, width: float, background: Rgb, fonts: FigureFonts, dpi: int) -> None:
        self.width = width
        self.fonts = fonts
        self.dpi = dpi
        self._background = background
        self._marks: list[Callable[[Axes, int], None]] = []
        self._used: dict[FontFile, set[str]] = {}
        self._names: Counter[str] = Counter()

    @property
    def dot(self) -> float:
        """One pixel of the PNG, and of the pictures in every format, in points."""
        return POINTS_PER_INCH / self.dpi

    def snapped(self, length: float) -> float:
        """`length` on whole pixels, so that pictures lie on the pixels of a PNG as they are."""
        return round(length / self.dot) * self.dot

    def _id(self, name: str | None) -> str | None:
        """`name` as the id of one thing in an SVG; the second of that name is `name.2`, and so on."""
        if name is None:
            return None
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}.{self._names[name]}"

    def box(
        self,
        box: PointBox,
        fill: Rgb | None,
        *,
        rim: Rgb | None = None,
        rim_width: float = 0.0,
        radius: float = 0.0,
        hatch: str | None = None,
        dashed: bool = False,
        name: str | None = None,
    ) -> None:
        """A rectangle; with `radius`, its corners are round. The rim lies on the edge, half of it inside."""
        from matplotlib.patches import FancyBboxPatch, Rectangle

        left, top, right, bottom = box
        own = self._id(name)

        def draw(axes: Axes, order: int) -> None:
            look: dict[str, Any] = {
                "facecolor": "none" if fill is None else _color(fill),
                "edgecolor": "none" if rim is None else _color(rim),
                "linewidth": rim_width,
                "hatch": hatch,
                "linestyle": (0.0, _DASHES) if dashed else "solid",
                "zorder": order,
                "joinstyle": "miter",
                "gid": own,
            }
            corner, size = (left, top), (right - left, bottom - top)
            if radius:
                style = f"round,pad=0,rounding_size={min(radius, size[0] / 2, size[1] / 2)}"
                axes.add_patch(FancyBboxPatch(corner, *size, boxstyle=style, **look))
            else:
                axes.add_patch(Rectangle(corner, *size, **look))

        self._marks.append(draw)

    def line(self, start: tuple[float, float], end: tuple[float, float], color: Rgb, width: float) -> None:
        """A straight line."""
        from matplotlib.lines import Line2D

        def draw(axes: Axes, order: int) -> None:
            ends = ([start[0], end[0]], [start[1], end[1]])
            axes.add_line(Line2D(*ends, color=_color(color), linewidth=width, solid_capstyle="butt", zorder=order))

        self._marks.append(draw)

    def path(
        self, points: Sequence[tuple[float, float]], color: Rgb, width: float, *, dashed: bool = False,
        name: str | None = None,
    ) -> None:  # fmt: skip
        """A line through `points`; one of them with a NaN parts it in two."""
        from matplotlib.lines import Line2D

        own = self._id(name)

        def draw(axes: Axes, order: int) -> None:
            ends = ([x for x, _ in points], [y for _, y in points])
            style: Any = (0.0, _DASHES) if dashed else "solid"
            look: dict[str, Any] = {"color": _color(color), "linewidth": width, "linestyle": style, "zorder": order}
            axes.add_line(Line2D(*ends, solid_joinstyle="round", solid_capstyle="round", gid=own, **look))

        self._marks.append(draw)

    def disc(self, middle: tuple[float, float], radius: float, fill: Rgb, rim: Rgb, rim_width: float) -> None:
        """A round mark."""
        from matplotlib.patches import Circle

        def draw(axes: Axes, order: int) -> None:
            look = {"facecolor": _color(fill), "edgecolor": _color(rim), "linewidth": rim_width, "zorder": order}
            axes.add_patch(Circle(middle, radius, **look))

        self._marks.append(draw)

    def words(
        self,
        x: float,
        baseline: float,
        text: str,
        size: float,
        color: Rgb,
        *,
        anchor: Literal["left", "right", "center"] = "left",
        bold: bool = False,
        upwards: bool = False,
        name: str | None = None,
    ) -> None:
        """One line of text; `text` must have passed through `fonts.visible`.

        `upwards`: it is turned by a quarter and read from below; `x` is where its baseline stands, and the text starts
        (is centred, ends) at the height `baseline`.
        """
        runs = self.fonts.runs(text, bold=bold)
        if len(runs) > 1:  # only a text in one font can be anchored by whoever draws it
            width = self.fonts.width(text, size, bold=bold)
            before = {"left": 0.0, "center": width / 2, "right": width}[anchor]
            x, baseline = (x, baseline + before) if upwards else (x - before, baseline)
            anchor = "left"
        for font, run in runs:
            self._used.setdefault(font, set()).update(run)
            self._marks.append(_text_mark(x, baseline, run, font, size, color, anchor, upwards, self._id(name)))
            length = size * font.width(run)
            x, baseline = (x, baseline - length) if upwards else (x + length, baseline)

    def picture(self, left: float, top: float, pixels: UInt8[np.ndarray, "height width 3"], name: str) -> None:
        """A picture at `dpi` pixels per inch; every format holds its pixels as they are."""
        height, width = pixels.shape[:2]
        own = self._id(name)
        extent = (left, left + width * self.dot, top + height * self.dot, top)

        def draw(axes: Axes, order: int) -> None:
            image = axes.imshow(pixels, extent=extent, interpolation="none", aspect="auto", zorder=order)
            image.set_gid(own)

        self._marks.append(draw)

    def save(self, path: Path, kind: Format, height: float, *, title: str, description: str) -> Path:
        """Write the figure, `height` points high, to `path`; nothing is there until it is whole.

        Raises:
            DiskFullError, EnvironmentFault: it cannot be written.
        """
        from matplotlib import style

        height = int(np.ceil(height / self.dot - 1e-6)) * self.dot
        about = f"{MARK}; {description}"
        with style.context(["default", _STYLE]), temporary_beside(path) as partial:
            figure = self._figure(height)
            if kind == "pdf":
                figure.savefig(
                    partial, format="pdf", dpi=self.dpi, metadata={"Title": title, "Subject": about, **_NO_DATES["pdf"]}
                )
            elif kind == "png":
                figure.savefig(
                    partial,
                    format="png",
                    dpi=self.dpi,
                    metadata={"Title": title, "Description": about, **_NO_DATES["png"]},
                )
            else:
                figure.savefig(
                    partial,
                    format="svg",
                    dpi=self.dpi,
                    metadata={"Title": title, "Description": about, **_NO_DATES["svg"]},
                )
                self._carry_fonts(partial)
        return path

    def _figure(self, height: float) -> Figure:
        from matplotlib.figure import Figure

        size = (self.width / POINTS_PER_INCH, height / POINTS_PER_INCH)
        figure = Figure(figsize=size, dpi=self.dpi, facecolor=_color(self._background))
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        for order, draw in enumerate(self._marks):
            draw(axes, order)
        axes.set_xlim(0.0, self.width)
        axes.set_ylim(height, 0.0)
        return figure

    def _carry_fonts(self, file: Path) -> None:
        """Put the used glyphs into an SVG: its text stays text, and looks the same where the fonts are missing."""
        rules = "\n".join(font.style_sheet(characters) for font, characters in self._used.items())
        text = file.read_text(encoding="utf-8")
        # Spaces at the ends of a run count: a title may change its font after one.
        text = text.replace("<svg ", '<svg xml:space="preserve" ', 1)
        text = text.replace("<defs>", f"<defs>\n<style>\ntext {{ white-space: pre; }}\n{rules}\n</style>", 1)
        # Pictures are fine enough to be smoothed when a viewer enlarges them; squares would look coarse.
        text = text.replace("image-rendering:crisp-edges;image-rendering:pixelated", "image-rendering:auto")
        file.write_text(text, encoding="utf-8")


#: What a file would otherwise say about the time or the version of matplotlib.
_NO_DATES: dict[str, dict[str, None]] = {
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}


def _color(color: Rgb) -> tuple[float, float, float]:
    return color[0] / 255, color[1] / 255, color[2] / 255


def _text_mark(
    x: float,
    baseline: float,
    text: str,
    font: FontFile,
    size: float,
    color: Rgb,
    anchor: Literal["left", "right", "center"],
    upwards: bool,
    name: str | None,
) -> Callable[[Axes, int], None]:
    """A mark that writes `text` in one font."""
    from matplotlib.font_manager import FontProperties

    def draw(axes: Axes, order: int) -> None:
        # The file is what is drawn with; family and weight are what an SVG names.
        weight = "bold" if font.bold else "normal"
        face = FontProperties(family=[font.family], weight=weight, size=size, fname=str(font.path))
        axes.text(
            x,
            baseline,
            text,
            fontproperties=face,
            color=_color(color),
            ha=anchor,
            va="baseline",
            rotation=90.0 if upwards else 0.0,
            rotation_mode="anchor",
            zorder=order,
            gid=name,
        )

    return draw
