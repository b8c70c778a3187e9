from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.plots.golden_plots import CASES, FOLDER, draw
from tests.golden_pictures import compare


@pytest.mark.parametrize("name", sorted(CASES))
def test_golden_plot(tmp_path: Path, name: str) -> None:
    compare(draw(name, tmp_path), name, FOLDER / f"{name}.png", tmp_path, "tests.export.plots.golden_plots")


def test_every_golden_plot_has_a_case() -> None:
    assert {file.stem for file in FOLDER.glob("*.png")} == set(CASES)
