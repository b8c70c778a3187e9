"""Every size of a paper figure by name, in points (1/72 inch); colours are those of the theme."""

from __future__ import annotations

from collections.abc import Mapping

#: Width in points of a figure over one and over two columns: 3.35 and 7 inches, which fit the usual templates.
WIDTHS: Mapping[int, float] = {1: 241.2, 2: 504.0}
#: Smallest text of a figure, in points: what publishers still accept in print.
LEAST_TEXT = 6.0

_POINTS: Mapping[str, float] = {
    "margin": 3.0,
    "gap": 12.0,
    "row_gap": 5.0,
    "line_gap": 2.0,
    "title.text": 8.0,
    "token.text.least": 7.0,
    "token.text.largest": 8.5,
    "label.text": 6.5,
    "small.text": LEAST_TEXT,
    "token.padding": 1.3,
    "token.seam": 0.6,
    "token.radius": 1.0,
    "token.bar": 1.8,
    "token.outline": 0.9,
    "sheet.border": 0.4,
    "sheet.padding": 5.0,
    "image.border": 0.4,
    "image.gap": 7.0,
    "image.tallest": 235.0,
    "image.least": 6.0,
    "grid.line": 0.2,
    "grid.least_cell": 3.0,
    "peak.ring": 0.9,
    "sink.radius": 1.6,
    "sink.rim": 0.5,
    "share.bar": 2.2,
    "box.rim": 1.5,
    "box.line": 0.8,
    "ramp.height": 5.0,
    "ramp.width": 150.0,
    "ramp.border": 0.3,
    "key.mark": 5.0,
    "key.rim": 0.7,
    "hatch.line": 0.5,
    "panel.least": 72.0,
    "panel.widest": 160.0,
    "panel.gap": 7.0,
}


def pt(name: str) -> float:
    """The size called `name` in points."""
    return _POINTS[name]
