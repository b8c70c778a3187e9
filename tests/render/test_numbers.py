from __future__ import annotations

import numpy as np
import pytest

from attnviz_video.render.numbers import percent, weight


@pytest.mark.parametrize(("share", "text"), [(0.0, "0.0 %"), (0.00001, "< 0.1 %"), (0.432, "43.2 %"), (1.0, "100.0 %")])
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0342, "0.034"), (0.1, "0.10"), (3.4e-5, "3.4e-05"), (1.0, "1.0"), (12.3, "12"), (np.nan, "none")],
)
def test_weight(value: float, text: str) -> None:
    assert weight(value) == text
