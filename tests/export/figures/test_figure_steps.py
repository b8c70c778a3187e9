from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.scores import score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.core.layout import TokenLayout
from attnviz_video.errors import UsageError
from attnviz_video.export.figures.steps import (
    frame_of_step,
    frames_of_steps,
    frames_with_most_image,
    least_distance,
    most_attended,
    tag_positions,
)
from attnviz_video.models.segments import segments_of
from tests.render.made import Made, make_scores, make_trace


@pytest.mark.parametrize(("step", "frame"), [(1, 0), (53, 52), (-1, 52), (-53, 0)])
def test_steps_count_from_one_as_in_the_footer_and_from_the_end(step: int, frame: int) -> None:
    assert frame_of_step(step, 53) == frame


@pytest.mark.parametrize("step", [0, 54, -54])
def test_steps_that_do_not_exist_name_those_that_do(step: int) -> None:
    sentence = rf"--step {step}: this video has steps 1 to 53 \(or -53 to -1 from the end\), numbered as in its footer"
    with pytest.raises(UsageError, match=sentence):
        frame_of_step(step, 53)


def test_steps_keep_the_order_they_were_given_in() -> None:
    assert frames_of_steps((40, 3, -1), 53) == (39, 2, 52)


def test_a_step_named_twice_is_refused_also_when_counted_from_the_end() -> None:
    with pytest.raises(UsageError, match="--steps names step 53 twice; name each panel once"):
        frames_of_steps((53, 2, -1), 53)


def test_a_plateau_gives_one_panel_and_not_its_neighbours() -> None:
    shares = np.full(40, 0.01)
    shares[[10, 11, 12]] = 0.9, 0.95, 0.92
    shares[30] = 0.5
    assert most_attended(shares, range(40), 2) == (11, 30)


def test_of_equals_the_first_is_taken() -> None:
    assert most_attended(np.full(9, 0.5), range(9), 3) == (0, 2, 4)


@given(st.data())
def test_as_many_as_asked_for_are_always_found_and_they_are_apart(data: st.DataObject) -> None:
    n_steps = data.draw(st.integers(1, 60))
    count = data.draw(st.integers(1, n_steps))
    gaps = data.draw(st.lists(st.integers(1, 5), min_size=n_steps, max_size=n_steps))
    places = np.cumsum(gaps).tolist()
    shares = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n_steps, max_size=n_steps)))
    chosen = most_attended(shares, places, count)
    assert len(chosen) == count
    assert all(np.diff(chosen) >= least_distance(n_steps, count))
    assert places[int(shares.argmax())] in chosen


def test_special_tokens_and_blanks_are_passed_over_while_there_are_words(tmp_path: Path) -> None:
    scores = make_scores(tmp_path, Made(answer=("\n", " a", "  ", " b", " c")))
    frames, distance = frames_with_most_image(scores, 3)
    assert (frames, distance) == ((1, 3, 4), 1)
    assert frames_with_most_image(scores, 5)[0] == (0, 1, 2, 3, 4)


def test_a_frame_without_a_row_is_never_chosen(tmp_path: Path) -> None:
    """Under `reading` the last token has no row."""
    scores = make_scores(tmp_path, Made(analysis=AnalysisSettings(convention="reading")))
    assert frames_with_most_image(scores, 5)[0] == (0, 1, 2, 3, 4)
    with pytest.raises(UsageError, match=re.escape("--filmstrip 6: this video has 5 steps with a row; ask for fewer")):
        frames_with_most_image(scores, 6)


def test_pieces_of_tags_are_passed_over_while_there_are_words(tmp_path: Path) -> None:
    answer = ("<", "think", ">", " a", " >", ".</", "think", ">\n", " b", " c")

    def row(step: int, layout: TokenLayout) -> np.ndarray:
        """The pieces of tags look at the image most."""
        weights = np.full(layout.n_prompt + step, 0.01, dtype=np.float32)
        weights[layout.patch_positions(0)] = 1.0 if step in (0, 1, 2, 6, 7) else 0.1
        return weights / weights.sum()

    trace = make_trace(tmp_path, Made(answer=answer, row=row))
    segments = [*(token.segment for token in trace.tokens[: trace.n_prompt]), *segments_of(answer)]
    tokens = tuple(replace(token, segment=own) for token, own in zip(trace.tokens, segments, strict=True))
    scores = score(replace(trace, tokens=tokens), 0, AnalysisSettings())
    # " >" is no tag, and ".</" ends a sentence.
    assert tag_positions(tokens) == {trace.n_prompt + number for number in (0, 1, 2, 6, 7)}
    assert frames_with_most_image(scores, 5)[0] == (3, 4, 5, 8, 9)
    assert set(frames_with_most_image(scores, 2)[0]) <= {3, 4, 5, 8, 9}
    assert len(frames_with_most_image(scores, 6)[0]) == 6, "with tags, where the words are too few"
