from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.render.golden_frames import CASES, FOLDER, paint

#: Share of values that may differ by more than `_STEP`: another FreeType may shade the rim of a letter otherwise.
_SHARE, _STEP = 0.002, 24


def compare(actual: np.ndarray, name: str, golden: Path, folder: Path) -> None:
    """Compare a frame with its golden picture; a difference leaves actual, expected and diff in `folder`."""
    Image.fromarray(actual).save(folder / f"{name}_actual.png")
    if not golden.exists():
        look = f"look at {folder}/{name}_actual.png, then run python -m tests.render.golden_frames"
        pytest.fail(f"{golden} is missing; {look}")
    expected = np.asarray(Image.open(golden).convert("RGB"))
    assert actual.shape == expected.shape
    difference = np.abs(actual.astype(int) - expected.astype(int))
    if (difference > _STEP).mean() > _SHARE:
        Image.fromarray(expected).save(folder / f"{name}_expected.png")
        Image.fromarray(np.minimum(difference * 4, 255).astype(np.uint8)).save(folder / f"{name}_diff.png")
        pytest.fail(f"{name} differs from its golden frame; see {folder}/{name}_{{actual,expected,diff}}.png")


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden_frame(tmp_path: Path, name: str) -> None:
    compare(paint(name, tmp_path), name, FOLDER / f"{name}.png", tmp_path)


def test_every_golden_picture_has_a_case() -> None:
    assert {file.stem for file in FOLDER.glob("*.png")} == set(CASES)


def test_a_missing_golden_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="gone.png is missing; look at .*x_actual.png"):
        compare(np.zeros((4, 4, 3), np.uint8), "x", tmp_path / "gone.png", tmp_path)


def test_a_difference_fails_and_leaves_three_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "golden.png")
    changed = np.zeros((40, 40, 3), np.uint8)
    changed[:4, :4] = 200
    with pytest.raises(pytest.fail.Exception, match="x differs from its golden frame"):
        compare(changed, "x", tmp_path / "golden.png", tmp_path)
    assert all((tmp_path / f"x_{kind}.png").exists() for kind in ("actual", "expected", "diff"))
