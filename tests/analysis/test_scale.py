"""The scale: its top, its laws, and the frames that a scale per frame cannot tell apart (T6, T7, T21)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attnviz_video.analysis.scale import (
    COVERED,
    SMALLEST_TOP,
    ScaleTally,
    ShownPositions,
    WeightHistogram,
    frame_scale,
    level,
)
from attnviz_video.core.scores import ColorScale, FrameWeights

WEIGHTS = st.floats(0, 1, width=32)
N_TEXT, N_PATCHES = 10, 12
SINGLE = np.stack([np.arange(N_TEXT), np.arange(1, N_TEXT + 1)], axis=1)
NOWHERE = ShownPositions(SINGLE, np.zeros(N_TEXT, bool), (np.zeros(N_PATCHES, bool),), N_TEXT)


def frame(text: float | list[float], image: float | list[float]) -> FrameWeights:
    return FrameWeights(
        0,
        np.broadcast_to(np.array(text, np.float32), (N_TEXT,)).copy(),
        (np.broadcast_to(np.array(image, np.float32), (N_PATCHES,)).copy(),),
    )


def shown(*, text_sink: int | None = None, image_sink: int | None = None, first_shown: int = 0) -> ShownPositions:
    text, image = np.zeros(N_TEXT, bool), np.zeros(N_PATCHES, bool)
    text[[] if text_sink is None else [text_sink]] = True
    image[[] if image_sink is None else [image_sink]] = True
    return ShownPositions(SINGLE[first_shown:], text[first_shown:], (image,), N_TEXT)


def shared(
    *frames: FrameWeights, where: ShownPositions = NOWHERE, joint: bool = False, covered: float = 1.0
) -> ColorScale:
    tally = ScaleTally(where)
    for one in frames:
        tally.add(one)
    return tally.scale(covered=covered, joint=joint, gamma=1.0)


@given(weights=st.lists(arrays(np.float32, st.integers(1, 60), elements=WEIGHTS), min_size=1, max_size=5))
def test_the_histogram_is_exact_to_half_precision(weights: list[np.ndarray]) -> None:
    histogram = WeightHistogram()
    for part in weights:
        histogram.add(part)
    flat = np.sort(np.concatenate(weights).astype(np.float16))
    for share in (0.0, 0.5, COVERED, 1.0):
        exact = flat[max(int(np.ceil(share * flat.size)), 1) - 1]
        assert histogram.quantile(share) == float(exact)


def test_t21_the_histogram_does_not_grow() -> None:
    histogram = WeightHistogram()
    for seed in range(20):
        histogram.add(np.random.default_rng(seed).random(100_000, dtype=np.float32))
    assert sum(value.nbytes for value in vars(histogram).values()) < 300_000
    assert abs(histogram.quantile(COVERED) - 0.995) < 0.001


def test_the_histogram_leaves_out_what_is_no_weight() -> None:
    histogram = WeightHistogram()
    histogram.add(np.array([np.nan, np.inf, -np.inf, -1.0, -0.0, 0.25], np.float32))
    assert histogram.quantile(1.0) == 0.25
    assert histogram.quantile(0.5) == 0.0
    histogram.add(np.array([1e9], np.float32))
    assert histogram.quantile(1.0) == float(np.finfo(np.float16).max)
    assert WeightHistogram().quantile(0.5) == 0.0


def test_the_shared_top_covers_the_video_and_says_what_it_clips() -> None:
    tally = ScaleTally(NOWHERE)
    for _ in range(199):
        tally.add(frame(0.125, 0.25))
    tally.add(frame([0.125] * 9 + [0.5], [0.25] * 11 + [1.0]))
    scale = tally.scale(covered=COVERED, joint=False, gamma=0.5)
    assert scale == ColorScale(0.125, 0.25, 0.5, text_clipped=True, image_clipped=True)
    assert level(np.array([1.0], np.float32), scale, "image").tolist() == [1.0]


def test_t06_a_small_share_and_a_large_one_do_not_look_alike() -> None:
    pattern = np.linspace(0.0, 1.0, N_PATCHES)
    pattern /= pattern.sum()
    faint, strong = frame(0.0, list(0.001 * pattern)), frame(0.0, list(0.6 * pattern))
    scale = shared(faint, strong, covered=COVERED)
    painted = [level(one.images[0], scale, "image") for one in (faint, strong)]
    assert painted[0].max() < 0.01
    assert painted[1].max() == 1.0
    # What a scale per frame makes of the same two frames: the trap.
    alike = [level(f.images[0], frame_scale(f, NOWHERE, joint=False, gamma=1.0), "image") for f in (faint, strong)]
    np.testing.assert_allclose(alike[0], alike[1], atol=2e-3)


def test_t06_one_bright_patch_of_a_large_grid_sets_the_scale() -> None:
    n_patches, noise = 1024, np.random.default_rng(0)
    where = ShownPositions(SINGLE, np.zeros(N_TEXT, bool), (np.zeros(n_patches, bool),), N_TEXT)

    def looking(number: int) -> FrameWeights:
        patches = (noise.random(n_patches) * 1e-4).astype(np.float32)
        patches[number] = 0.6 if number % 2 else 0.006
        return FrameWeights(0, np.zeros(N_TEXT, np.float32), (patches,))

    frames = [looking(number) for number in range(40)]
    scale = shared(*frames, where=where, covered=COVERED)
    faint, strong = (level(frames[number].images[0], scale, "image") for number in (0, 1))
    assert strong.max() > 0.999
    assert np.delete(strong, 1).max() < 0.001, "noise is not painted"
    assert 0.005 < faint.max() < 0.02


def test_a_rare_peak_is_clipped_and_a_common_one_is_not() -> None:
    n_frames = 100
    for n_bright, top in ((5, 0.25), (20, 0.5)):
        frames = [frame(0.125, [0.5 if number < n_bright else 0.25] + [0.0] * 11) for number in range(n_frames)]
        scale = shared(*frames, covered=COVERED)
        assert (scale.image_top, scale.image_clipped) == (top, n_bright == 5)


def test_t07_text_has_a_scale_of_its_own_without_the_sink() -> None:
    one = frame([0.85] + [0.005] * 8 + [0.01], 0.1)
    scale = shared(one, where=shown(text_sink=0))
    assert np.isclose(scale.text_top, 0.01, rtol=1e-3)
    assert np.isclose(scale.image_top, 0.1, rtol=1e-3)
    assert scale.text_clipped
    assert not scale.image_clipped
    assert level(one.text, scale, "text")[-1] > 0.99
    joint = shared(one, where=shown(text_sink=0), joint=True)
    assert joint.text_top == joint.image_top == scale.image_top
    assert joint.text_clipped
    assert not joint.image_clipped


@pytest.mark.parametrize("scope", ["shared", "per_frame"])
def test_t12_text_enters_the_scale_in_units_as_it_is_painted(scope: str) -> None:
    """Three tokens of 0.1 make one character: painted at 0.3, which must be the top or be told by "≥"."""
    units = np.array([[0, 1], [1, 4], *([k, k + 1] for k in range(4, N_TEXT))])
    where = ShownPositions(units, np.zeros(len(units), bool), NOWHERE.image_sinks, N_TEXT)
    one = frame([0.125] * N_TEXT, 0.0)
    scale = shared(one, where=where) if scope == "shared" else frame_scale(one, where, joint=False, gamma=1.0)
    assert (scale.text_top, scale.text_clipped) == (0.375, False)
    faint = [frame([0.0125] * N_TEXT, 0.0)] * 19
    assert shared(*faint, one, where=where, covered=0.5).text_clipped
    with_sink = ShownPositions(units, np.arange(len(units)) == 1, NOWHERE.image_sinks, N_TEXT)
    scale = shared(one, where=with_sink)
    assert (scale.text_top, scale.text_clipped) == (0.125, True)


def test_the_blue_token_does_not_set_the_scale() -> None:
    """`reading`: the row's own token has a weight but no colour; a unit of several tokens is blue as a whole."""
    units = np.array([*([k, k + 1] for k in range(8)), [8, 10]])
    where = ShownPositions(units, np.zeros(len(units), bool), NOWHERE.image_sinks, n_prompt=6)
    text = np.array([0.125] * 6 + [0.25, 0.5, 0.75, 0.75], np.float32)
    for step, top in ((0, 0.125), (1, 0.25), (2, 0.5), (3, 0.5)):
        one = FrameWeights(step, text, (np.zeros(N_PATCHES, np.float32),))
        assert shared(one, where=where).text_top == top


def test_sinks_of_the_image_and_hidden_text_are_left_out() -> None:
    one = frame([0.9] * 4 + [0.25] * 6, [0.75] + [0.125] * 11)
    scale = shared(one, where=shown(image_sink=0, first_shown=4))
    assert (scale.text_top, scale.image_top) == (0.25, 0.125)
    assert (scale.text_clipped, scale.image_clipped) == (False, True)


def test_per_frame_goes_up_to_the_maximum_of_the_frame() -> None:
    one = frame([0.0] * 9 + [0.5], [0.75] + [0.125] * 11)
    assert frame_scale(one, NOWHERE, joint=False, gamma=0.4) == ColorScale(0.5, 0.75, 0.4)
    assert frame_scale(one, NOWHERE, joint=True, gamma=0.4) == ColorScale(0.75, 0.75, 0.4)
    without = frame_scale(one, shown(image_sink=0), joint=False, gamma=1.0)
    assert without == ColorScale(0.5, 0.125, 1.0, image_clipped=True)


@pytest.mark.parametrize("joint", [False, True])
def test_a_scale_is_defined_for_zero_constant_and_missing_weights(joint: bool) -> None:
    zero = shared(frame(0.0, 0.0), joint=joint)
    assert zero == ColorScale(SMALLEST_TOP, SMALLEST_TOP, 1.0)
    assert level(np.zeros(3, np.float32), zero, "text").tolist() == [0, 0, 0]
    assert shared(joint=joint) == zero
    assert shared(frame(np.nan, np.nan), joint=joint) == zero
    constant = shared(frame(0.25, 0.25), joint=joint, covered=COVERED)
    assert level(np.full(3, 0.25, np.float32), constant, "image").tolist() == [1, 1, 1]
    assert not constant.image_clipped


def test_rare_weights_among_zeros_still_have_a_scale() -> None:
    frames = [frame(0.0, 0.0) for _ in range(200)] + [frame(0.0, [0.5] + [0.0] * 11)]
    scale = shared(*frames, covered=COVERED)
    assert scale.image_top == 0.5
    assert not scale.image_clipped
    with_sink = [frame(0.0, [0.75] + [0.0] * 11)] * 200 + [frame(0.0, [0.75, 0.25] + [0.0] * 10)]
    scale = shared(*with_sink, where=shown(image_sink=0), covered=COVERED)
    assert (scale.image_top, scale.image_clipped) == (0.25, True)


def test_a_sink_that_is_all_there_is_sets_the_top() -> None:
    scale = shared(frame([0.5] + [0.0] * 9, 0.0), where=shown(text_sink=0))
    assert scale.text_top == 0.5
    assert not scale.text_clipped


@given(
    weights=arrays(np.float32, st.integers(1, 40), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)),
    top=st.floats(SMALLEST_TOP, 1e4),
    gamma=st.floats(0.1, 4),
)
def test_levels_lie_between_0_and_1_and_grow_with_the_weight(weights: np.ndarray, top: float, gamma: float) -> None:
    levels = level(weights, ColorScale(top, 1.0, gamma), "text")
    good = np.isfinite(weights) & (weights >= 0)
    assert (np.isnan(levels) == ~good).all()
    assert ((levels[good] >= 0) & (levels[good] <= 1)).all()
    order = np.argsort(weights[good], kind="stable")
    assert (np.diff(levels[good][order]) >= 0).all()


def test_the_formula_of_a_level() -> None:
    scale = ColorScale(0.5, 0.25, 0.5)
    weights = np.array([[0.0, 0.0625], [0.25, 0.3]], np.float32)
    np.testing.assert_allclose(level(weights, scale, "image"), [[0, 0.5], [1, 1]])
    np.testing.assert_allclose(level(weights, scale, "text")[0, 1], 0.125**0.5)
