"""Comparing a picture with the one that is kept in tests/golden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

#: Share of values that may differ by more than `_STEP`: another FreeType may shade the rim of a letter otherwise.
_SHARE, _STEP = 0.002, 24


def compare(actual: np.ndarray, name: str, golden: Path, folder: Path, made_by: str) -> None:
    """Compare a picture with its golden one; a difference leaves actual, expected and diff in `folder`.

    `made_by` is the module that makes golden pictures anew.
    """
    Image.fromarray(actual).save(folder / f"{name}_actual.png")
    if not golden.exists():
        pytest.fail(f"{golden} is missing; look at {folder}/{name}_actual.png, then run python -m {made_by}")
    expected = np.asarray(Image.open(golden).convert("RGB"))
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - expected.astype(int))
    if (difference > _STEP).mean() > _SHARE:
        Image.fromarray(expected).save(folder / f"{name}_expected.png")
        Image.fromarray(np.minimum(difference * 4, 255).astype(np.uint8)).save(folder / f"{name}_diff.png")
        pytest.fail(f"{name} differs from its golden picture; see {folder}/{name}_{{actual,expected,diff}}.png")
