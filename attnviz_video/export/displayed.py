"""Files made from a trace, as a notebook shows them: pictures and videos at once, everything else by its name."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from attnviz_video.files import megabytes

#: Up to so many bytes a file becomes part of the notebook, which is then complete without the file; larger ones would
#: make it slow to open and to save.
MOST_EMBEDDED = 10_000_000
#: A picture for print is shown with so many pixels of the page per inch: a little larger than on paper.
_PIXELS_PER_INCH = 128
_PICTURES = {".png": "png", ".svg": "svg+xml", ".webp": "webp", ".gif": "gif"}
_FITS = "max-width:100%;height:auto;background:#fff"


@dataclass(frozen=True)
class DisplayedFiles:
    """Files that were made from a trace; in a notebook they show themselves."""

    paths: tuple[Path, ...]

    @property
    def path(self) -> Path:
        """The first of them, which is the only one where one thing was asked for."""
        return self.paths[0]

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return ", ".join(map(str, self.paths))

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def _repr_html_(self) -> str:
        return "\n".join(f'<div style="margin:4px 0">{_shown(path)}</div>' for path in self.paths)

    def _repr_png_(self) -> bytes | None:
        """For notebooks that become papers, which cannot hold HTML."""
        return self.path.read_bytes() if self._is_one(".png") else None

    def _repr_svg_(self) -> str | None:
        return self.path.read_text(encoding="utf-8") if self._is_one(".svg") else None

    def _is_one(self, ending: str) -> bool:
        return len(self.paths) == 1 and self.path.suffix.lower() == ending and _is_small(self.path)


def _shown(path: Path) -> str:
    """One file as HTML; a large one is left where it is and read from there, if the page may."""
    kind = path.suffix.lower()
    if not path.exists():
        return f"{named(path)} is not there any more"
    if kind not in _PICTURES and kind != ".mp4":
        return link(path)
    source = _data_address(path) if _is_small(path) else address(path)
    if source is None:
        return f"{named(path)} ({megabytes(path.stat().st_size)}) is too large for a notebook; open it from there"
    if kind == ".mp4":
        shown = f'<video src="{source}" controls loop muted playsinline style="max-width:100%"></video>'
    else:
        shown = f'<img src="{source}" alt="{html.escape(path.name)}"{_width(path)} style="{_FITS}">'
    return shown if source.startswith("data:") else f"{shown}<br>{link(path)}"


def _is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= MOST_EMBEDDED


def _data_address(path: Path) -> str:
    kind = f"image/{_PICTURES[path.suffix.lower()]}" if path.suffix.lower() in _PICTURES else "video/mp4"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def _width(path: Path) -> str:
    """The width of a PNG that says how large it is on paper; others are shown pixel by pixel."""
    if path.suffix.lower() != ".png":
        return ""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            per_inch = picture.info.get("dpi", (0, 0))[0]
            return f' width="{round(picture.width / per_inch * _PIXELS_PER_INCH)}"' if per_inch else ""
    except OSError:  # a damaged file: the browser says so in its own way
        return ""


def named(path: Path) -> str:
    """The name of a file as HTML."""
    return f"<code>{html.escape(str(path))}</code>"


def link(path: Path) -> str:
    """The name of a file as HTML, leading to the file where a notebook's page may open it."""
    to = address(path)
    if to is None:
        return named(path)
    return f'<a href="{to}" target="_blank" rel="noopener" style="color:inherit">{named(path)}</a>'


def address(path: Path) -> str | None:
    """Where a notebook's page finds a file: relative to the notebook's folder; None for what lies outside of it."""
    try:
        return quote(path.resolve().relative_to(Path.cwd().resolve()).as_posix())
    except ValueError:
        return None
