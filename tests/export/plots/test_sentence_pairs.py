"""Two sentences on a plot: both in its title, and a line where the one ends and the other begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.testing.planted_encoding import FIRST, planted_encoding
from tests.export.plots.drawn import caption, plotted, points_of


@pytest.mark.parametrize("what", ["matrix", "rollout"])
def test_a_line_parts_the_sentences(tmp_path: Path, what: str) -> None:
    figure = plotted(planted_encoding(), tmp_path, what, **({} if what == "rollout" else {"layer_idx": 1}))
    height, width = (length * 72 / 300 for length in figure.picture("cells").shape[:2])
    across, down = points_of(figure, "parting-rows"), points_of(figure, "parting-columns")
    left, top = across[0, 0], down[0, 1]
    np.testing.assert_allclose(across[:, 1] - top, height * len(FIRST) / 12, atol=0.25)
    np.testing.assert_allclose(down[:, 0] - left, width * len(FIRST) / 12, atol=0.25)
    assert across[1, 0] - across[0, 0] == pytest.approx(width, abs=0.1)
    assert down[1, 1] - down[0, 1] == pytest.approx(height, abs=0.1)
    assert "lines part sentence A from sentence B" in caption(figure)


def test_small_matrices_have_their_lines(tmp_path: Path) -> None:
    figure = plotted(planted_encoding(), tmp_path, "heads", layer_idx=1)
    assert all(figure.has(f"parting-{head}-{side}") for head in range(2) for side in ("rows", "columns"))
    assert "lines part sentence A from sentence B" in caption(figure)


def test_one_sentence_has_no_line(tmp_path: Path) -> None:
    figure = plotted(planted_encoding(second=()), tmp_path, "matrix", layer_idx=1)
    assert not [name for name in figure.ids if name.startswith("parting")]
    assert "sentence" not in caption(figure)
    assert figure.text_of("title") == "The cat [MASK] on the mat"


def test_the_title_has_both_sentences_in_one_line_or_two(tmp_path: Path) -> None:
    wide = plotted(planted_encoding(), tmp_path, "matrix", layer_idx=1)
    assert wide.text_of("title") == "A: The cat [MASK] on the mat    B: dogs chase it"
    assert not wide.has("title-2")
    long = plotted(planted_encoding(second=(*["very"] * 12, "[SEP]")), tmp_path, "matrix", layer_idx=1, columns=1)
    assert long.text_of("title") == "A: The cat [MASK] on the mat"
    assert long.text_of("title-2").startswith("B: very")
    own = plotted(planted_encoding(), tmp_path, "matrix", layer_idx=1, title="Mine")
    assert own.text_of("title") == "Mine"
