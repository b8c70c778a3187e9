"""`--style`: what a matplotlib style file says of fonts, text size, colours and line widths, as a look.

A plot is laid out by this program, so a style file has a say in what it looks like and none in where things stand.
These entries are used, all others have no effect: `figure.facecolor`, `text.color`, `axes.labelcolor`,
`axes.edgecolor`, `axes.linewidth`, `axes.prop_cycle`, `axes.grid`, `grid.color`, `lines.linewidth`, `image.cmap`,
`font.size`, `font.family` (and the list of fonts it names, such as `font.serif`).
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from attnviz_video.errors import UsageError
from attnviz_video.export.plots.look import PlotLook
from attnviz_video.progress import Progress
from attnviz_video.theme import Rgb

#: Entry of a style file → the theme's colours that it replaces.
_COLORS: Mapping[str, tuple[str, ...]] = {
    "figure.facecolor": ("panel.background",),
    "text.color": ("ink",),
    "axes.labelcolor": ("ink.soft",),
    "axes.edgecolor": ("image.border",),
    "grid.color": ("panel.border",),
}
#: Points of `font.size` that a plot of one column has room for, and that can be read at all.
TEXT_SIZES = (4.0, 14.0)
_GENERIC = ("serif", "sans-serif", "monospace", "cursive", "fantasy")


def styled_look(look: PlotLook, file: Path, progress: Progress, *, has_colormap: bool = False) -> PlotLook:
    """`look` with what the style file `file` says; a colour map that was asked for by name stays (`has_colormap`).

    Raises:
        UsageError: there is no such file, or it holds what matplotlib does not know or a plot has no room for.
    """
    entries = read_style(file)
    look = replace(look, colors={**look.colors, **_colors_of(entries)})
    cycle = entries["axes.prop_cycle"].by_key().get("color", []) if "axes.prop_cycle" in entries else []

    table = _table(entries["image.cmap"], file) if "image.cmap" in entries else None

    def number(entry: str, plain: float) -> float:
        return float(entries.get(entry, plain))

    return replace(
        look,
        text_size=_text_size(entries, file) or look.text_size,
        border_width=number("axes.linewidth", look.border_width),
        line_width=number("lines.linewidth", look.line_width),
        series=tuple(map(_rgb, cycle)) or look.series,
        grid=bool(entries["axes.grid"]) if "axes.grid" in entries else look.grid,
        fonts=_fonts_of(entries, file, progress) or look.fonts,
        table=look.table if table is None or has_colormap else table,
    )


def read_style(file: Path) -> Mapping[str, Any]:
    """The entries of a style file, checked by matplotlib.

    Raises:
        UsageError: there is no such file, it cannot be read, or matplotlib complains of a line.
    """
    import matplotlib

    if not file.is_file():
        why = "is a folder" if file.is_dir() else "does not exist"
        raise UsageError(f"--style {file}: expected a matplotlib style file, but it {why}")
    with _complaints() as told:
        try:
            entries: Any = matplotlib.rc_params_from_file(str(file), use_default_template=False)
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"--style {file} cannot be read as a style file: {error}") from error
    if told:
        first = next(line.strip() for line in told[0].splitlines() if line.strip())
        for place in (f" in file {str(file)!r}", f" in file {file}"):
            first = first.replace(place, "")
        raise UsageError(f"--style {file}: {first}; correct that line or leave it out")
    return dict(entries)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What matplotlib logs meanwhile: it warns of wrong entries, and goes on."""
    told: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    logger, listener = logging.getLogger("matplotlib"), Listener(logging.WARNING)
    passes_on = logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield told
    finally:
        logger.removeHandler(listener)
        logger.propagate = passes_on


def _colors_of(entries: Mapping[str, Any]) -> dict[str, Rgb]:
    """The theme's colours by name that the entries replace; "auto" and "none" replace nothing."""
    found: dict[str, Rgb] = {}
    for entry, names in _COLORS.items():
        value = entries.get(entry)
        if value is not None and not (isinstance(value, str) and value.lower() in ("auto", "inherit", "none")):
            found |= dict.fromkeys(names, _rgb(value))
    return found


def _rgb(value: Any) -> Rgb:
    from matplotlib.colors import to_rgb

    red, green, blue = (round(255 * part) for part in to_rgb(value))
    return red, green, blue


def _text_size(entries: Mapping[str, Any], file: Path) -> float | None:
    """Points of `font.size`; None where the file does not say.

    Raises:
        UsageError: too small or too large to lay out a plot with.
    """
    if "font.size" not in entries:
        return None
    size, (least, most) = float(entries["font.size"]), TEXT_SIZES
    if not least <= size <= most:
        raise UsageError(
            f"--style {file}: font.size: expected a size from {least:g} to {most:g} points, which a column of a paper "
            f"has room for, got {size:g}; correct that line or leave it out"
        )
    return size


def _table(name: str, file: Path) -> UInt8[np.ndarray, "256 3"]:
    """256 colours of a map that matplotlib knows.

    Raises:
        UsageError: it knows no such map.
    """
    from matplotlib import colormaps

    if name not in colormaps:
        close = difflib.get_close_matches(name, list(colormaps), n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        raise UsageError(
            f"--style {file}: image.cmap: matplotlib knows no colour map {name!r}{guess}; correct that line or leave "
            "it out"
        )
    colors = np.asarray(colormaps[name](np.linspace(0.0, 1.0, 256)))[:, :3]
    table: UInt8[np.ndarray, "256 3"] = np.floor(colors * 255 + 0.5).astype(np.uint8)
    return table


def _fonts_of(entries: Mapping[str, Any], file: Path, progress: Progress) -> tuple[str, str] | None:
    """Files of the regular and the bold font that the entries name; None where they name none that is here."""
    wanted: list[str] = []
    for family in entries.get("font.family", []):
        wanted += entries.get(f"font.{family}", []) if family in _GENERIC else [family]
    if not wanted and not any(key.startswith("font.family") for key in entries):
        return None
    for family in wanted:
        regular, bold = _file_of(family, "normal"), _file_of(family, "bold")
        if regular is not None:
            return regular, bold or regular
    names = ", ".join(wanted) or ", ".join(entries.get("font.family", []))
    progress.notice(f"--style {file}: this machine has no TrueType font called {names}; the shipped fonts are used")
    return None


def _file_of(family: str, weight: str) -> str | None:
    """File of a TrueType font that this machine has; None for others, which a PDF cannot hold as letters."""
    from fontTools.ttLib import TTFont, TTLibError
    from matplotlib.font_manager import FontProperties, fontManager

    with _complaints():
        try:
            wanted = FontProperties(family=[family], weight=weight)
            path = str(fontManager.findfont(wanted, fallback_to_default=False))
            with TTFont(path, lazy=True) as font:
                return path if "glyf" in font else None
        except (ValueError, OSError, TTLibError):
            return None
