"""Numbers as people read them on a frame."""

from __future__ import annotations

import math


def percent(share: float) -> str:
    """`43.2 %`; tiny shares do not become 0."""
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.1f} %"


def weight(value: float) -> str:
    """A weight with two significant digits: `0.034`, `3.4e-05`, `12`."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        return "none"
    if value < 0.001:
        return f"{value:.1e}"
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
