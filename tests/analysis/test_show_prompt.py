"""How much of the prompt is shown decides which weights set the scale of the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scores import Scores, score, showing
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.core.shown import ShowPrompt
from tests.render.made import Made, make_trace

HOW: tuple[ShowPrompt, ...] = ("full", "phrase", "none")


def _row(step: int, layout: TokenLayout) -> np.ndarray:
    """Heaviest before the phrase, less from the phrase on, least in the answer; no sink, as it moves."""
    row = np.full(layout.n_prompt + step, 0.001)
    row[2 if step % 2 else 27] = 0.5
    row[28 + step % 4] = 0.1
    row[layout.n_prompt :] = 0.01
    return (row / row.sum()).astype(np.float32)


def _scores(tmp_path: Path, show_prompt: ShowPrompt, **settings: str) -> Scores:
    trace = make_trace(tmp_path, Made(answer=(" a",) * 12, row=_row, first_shown=28))
    return score(trace, 0, AnalysisSettings(**settings), show_prompt=show_prompt)  # type: ignore[arg-type]


def test_text_that_is_not_shown_sets_no_scale(tmp_path: Path) -> None:
    tops = {how: _scores(tmp_path, how).scale(0).text_top for how in HOW}
    assert tops["full"] == pytest.approx(0.5 / 0.73, rel=0.2)
    assert tops["phrase"] == pytest.approx(0.1 / 0.73, rel=0.2)
    assert tops["none"] == pytest.approx(0.01 / 0.73, rel=0.2)
    # The images' scale is none of the text's business.
    assert len({_scores(tmp_path, how).scale(0).image_top for how in HOW}) == 1


def test_the_caption_counts_what_is_hidden(tmp_path: Path) -> None:
    hidden = {how: _scores(tmp_path, how) for how in HOW}
    assert [hidden[how].has_hidden_text for how in HOW] == [False, True, True]
    shares = [hidden[how].shares(5) for how in HOW]
    assert shares[0].hidden == 0
    assert 0 < shares[1].hidden < shares[2].hidden
    assert len({round(part.shown + part.hidden, 5) for part in shares}) == 1


@pytest.mark.parametrize("scale", ["shared", "per_frame"])
@pytest.mark.parametrize("how", HOW)
def test_showing_gives_what_scoring_anew_gives(tmp_path: Path, how: ShowPrompt, scale: str) -> None:
    direct, later = _scores(tmp_path, how, scale=scale), showing(_scores(tmp_path, "phrase", scale=scale), how)
    assert later.show_prompt == how
    assert [later.scale(number) for number in range(4)] == [direct.scale(number) for number in range(4)]
    assert np.array_equal(later.is_shown, direct.is_shown)
    assert later.steps == direct.steps
    assert showing(later, how) is later


def test_what_stands_for_an_image_enters_no_scale(tmp_path: Path) -> None:
    scores = _scores(tmp_path, "full")
    patches = scores.trace.layout.patch_positions(0)
    assert not scores.is_shown[patches].any()
    assert scores.is_shown[: scores.trace.n_prompt].sum() == scores.trace.n_prompt - patches.size
    assert np.isfinite(scores.shown.weights(scores.frame(3), "text")[0]).all()
