from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.golden_pictures import compare
from tests.render.golden_frames import CASES, FOLDER, paint

MADE_BY = "tests.render.golden_frames"


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden_frame(tmp_path: Path, name: str) -> None:
    compare(paint(name, tmp_path), name, FOLDER / f"{name}.png", tmp_path, MADE_BY)


def test_every_golden_picture_has_a_case() -> None:
    assert {file.stem for file in FOLDER.glob("*.png")} == set(CASES)


def test_a_missing_golden_fails(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="gone.png is missing; look at .*x_actual.png"):
        compare(np.zeros((4, 4, 3), np.uint8), "x", tmp_path / "gone.png", tmp_path, MADE_BY)


def test_a_difference_fails_and_leaves_three_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "golden.png")
    changed = np.zeros((40, 40, 3), np.uint8)
    changed[:4, :4] = 200
    with pytest.raises(pytest.fail.Exception, match="x differs from its golden picture"):
        compare(changed, "x", tmp_path / "golden.png", tmp_path, MADE_BY)
    assert all((tmp_path / f"x_{kind}.png").exists() for kind in ("actual", "expected", "diff"))
