from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attnviz_video.analysis.scores import Scores, score
from attnviz_video.analysis.settings import AnalysisSettings
from attnviz_video.analysis.timeline import Stretch, row_entropy, segment_stretches, timeline
from attnviz_video.core.tokens import Segment
from attnviz_video.testing.planted import planted_layout, planted_trace

SIZES, GRIDS = ((320, 200), (100, 100)), ((2, 3), (2, 2))
LAYOUT = planted_layout(SIZES, GRIDS)


def planted(folder: Path, settings: AnalysisSettings | None = None) -> Scores:
    """Two heads that differ, two images, scalars at every step."""

    def row(step: int, layer: int) -> np.ndarray:
        rows = np.random.default_rng(step).gamma(0.5, 1.0, (2, LAYOUT.n_prompt + step))
        return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)

    trace = planted_trace(folder, row, image_sizes=SIZES, grids=GRIDS, layers=(3, 5))
    model = replace(trace.header.model, n_layers=8, layer_kinds=("full",) * 8)
    trace = replace(trace, header=replace(trace.header, model=model))
    return score(trace, 5, settings or AnalysisSettings())


@pytest.mark.parametrize("head", ["mean", "max", "0", "1"])
@pytest.mark.parametrize("convention", ["predicting", "reading"])
def test_shares_are_those_below_the_images(tmp_path: Path, head: str, convention: str) -> None:
    scores = planted(tmp_path, AnalysisSettings(head=head, convention=convention))  # type: ignore[arg-type]
    curves = timeline(scores)
    wanted = np.stack([scores.image_share(number) for number in range(scores.n_frames)])
    assert curves.image_share.shape == (6, 2)
    np.testing.assert_allclose(curves.image_share, wanted, atol=2e-6)
    assert np.isnan(curves.entropy[-1]) == (convention == "reading")
    assert not np.isnan(curves.entropy[:-1]).any()
    assert curves.entropy_of_heads == (head in ("mean", "max"))


def test_entropy_is_the_mean_of_the_heads(tmp_path: Path) -> None:
    scores = planted(tmp_path)
    rows = [scores.trace.rows.head_rows(step, 5) for step in range(6)]
    wanted = [np.mean([row_entropy(head) for head in heads]) for heads in rows]
    np.testing.assert_allclose(timeline(scores).entropy, wanted, atol=1e-5)
    assert (np.array(wanted) < [row_entropy(heads.mean(axis=0)) for heads in rows]).all()


def test_of_one_head_it_is_that_heads(tmp_path: Path) -> None:
    scores = planted(tmp_path, AnalysisSettings(head="1"))
    wanted = [row_entropy(scores.trace.rows.head_rows(step, 5)[1]) for step in range(6)]
    np.testing.assert_allclose(timeline(scores).entropy, wanted, atol=1e-5)


def test_without_scalars_the_rows_are_read(tmp_path: Path) -> None:
    scores = planted(tmp_path)
    steps = tuple(replace(info, scalars=None if info.index == 4 else info.scalars) for info in scores.trace.steps)
    bare = replace(scores, trace=replace(scores.trace, steps=steps))
    other = replace(scores, trace=replace(scores.trace, header=replace(scores.trace.header, scalar_layers=(3, 7))))
    for changed in (bare, other):
        curves = timeline(changed)
        assert not curves.entropy_of_heads
        np.testing.assert_allclose(curves.image_share, timeline(scores).image_share, atol=2e-6)
        wanted = [row_entropy(scores.trace.rows.mean_row(step, 5)) for step in range(6)]
        np.testing.assert_allclose(curves.entropy, wanted, atol=1e-6)


def test_numbers_that_are_none_are_gaps(tmp_path: Path) -> None:
    scores = planted(tmp_path)
    infos = list(scores.trace.steps)
    assert infos[2].scalars is not None
    broken = infos[2].scalars
    infos[2] = replace(
        infos[2],
        scalars=replace(
            broken, entropy=np.full_like(broken.entropy, np.inf), image_share=np.full_like(broken.image_share, np.nan)
        ),
    )
    curves = timeline(replace(scores, trace=replace(scores.trace, steps=tuple(infos))))
    assert np.isnan(curves.entropy).tolist() == [False, False, True, False, False, False]
    assert np.isnan(curves.image_share).all(axis=1).tolist() == [False, False, True, False, False, False]


def test_entropy_of_rows() -> None:
    assert row_entropy(np.full(8, 0.125, np.float32)) == pytest.approx(np.log(8))
    assert row_entropy(np.full(8, 3.0, np.float32)) == pytest.approx(np.log(8))
    assert row_entropy(np.array([0, 1, 0], np.float32)) == 0
    for bad in ([0, 0], [np.nan, 1], [np.inf, 1], [-0.5, 1]):
        assert np.isnan(row_entropy(np.array(bad, np.float32)))


def test_segments_are_stretches_of_frames(tmp_path: Path) -> None:
    scores = planted(tmp_path)
    segments: tuple[Segment, ...] = ("think", "think", "think", "other", "answer", "answer")
    tokens = list(scores.trace.tokens)
    for step, segment in enumerate(segments):
        tokens[scores.trace.n_prompt + step] = replace(tokens[scores.trace.n_prompt + step], segment=segment)
    scores = replace(scores, trace=replace(scores.trace, tokens=tuple(tokens)))
    assert segment_stretches(scores) == (Stretch("think", 0, 3), Stretch("other", 3, 4), Stretch("answer", 4, 6))
    filling = {0: (" ", "other", False), 3: ("\n", "other", False), 5: ("<|im_end|>", "other", True)}
    for step, (piece, segment, special) in filling.items():
        place = scores.trace.n_prompt + step
        tokens[place] = replace(tokens[place], piece=piece, segment=segment, special=special)
    blank = replace(scores, trace=replace(scores.trace, tokens=tuple(tokens)))
    assert segment_stretches(blank) == (Stretch("think", 0, 4), Stretch("answer", 4, 6))
    later = replace(scores, steps=(2, 4, 5))
    assert segment_stretches(later) == (Stretch("think", 0, 1), Stretch("answer", 1, 3))
