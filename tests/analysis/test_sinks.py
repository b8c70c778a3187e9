"""T8: sinks are found, the object under attention is not one, and they are treated as asked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.regions import Regions, regions_of
from attnviz_video.analysis.sinks import MIN_STEPS, SinkTally, find_sinks, masked, relative
from attnviz_video.core.scores import Sink
from attnviz_video.testing.planted import planted_layout

LAYOUT = planted_layout([(320, 200), (200, 200)], [(8, 8), (5, 5)])
N_STEPS = 30
REGIONS = regions_of(LAYOUT, LAYOUT.n_prompt + N_STEPS)
FIRST, SECOND = LAYOUT.patch_positions(0), LAYOUT.patch_positions(1)


def noisy_rows(
    n_steps: int = N_STEPS, *, bos: float = 0.0, patch: tuple[int, float] | None = None, seed: int = 0
) -> Iterator[np.ndarray]:
    """Diffuse rows that sum to 1; the first token and one position may take a share of their own."""
    rng = np.random.default_rng(seed)
    for step in range(n_steps):
        row = rng.gamma(2.0, size=LAYOUT.n_prompt + step).astype(np.float32)
        taken = bos + (patch[1] if patch else 0.0)
        row *= (1 - taken) / row.sum()
        row[0] += bos
        if patch:
            row[patch[0]] += patch[1]
        yield row


def test_t08_the_first_token_is_found() -> None:
    sinks = find_sinks(noisy_rows(bos=0.5), REGIONS)
    assert [sink.position for sink in sinks] == [0]
    assert 0.5 < sinks[0].weight < 0.52
    assert (sinks[0].image, sinks[0].patch) == (-1, -1)


def test_t08_a_patch_that_is_always_high_is_found() -> None:
    sinks = find_sinks(noisy_rows(bos=0.5, patch=(int(SECOND[7]), 0.1)), REGIONS)
    assert [(sink.position, sink.image, sink.patch) for sink in sinks] == [(0, -1, -1), (int(SECOND[7]), 1, 7)]
    assert np.isclose(sinks[1].weight, 0.1, atol=0.01)


def test_t08_the_object_looked_at_during_one_phrase_is_not_a_sink() -> None:
    for share in (1 / 3, 0.8):
        rows = []
        for step, row in enumerate(noisy_rows(bos=0.3)):
            if step < share * N_STEPS:
                row[FIRST[[20, 21, 28]]] += 0.2
            rows.append(row)
        assert [sink.position for sink in find_sinks(rows, REGIONS)] == [0]


def test_a_sink_may_rest_now_and_then() -> None:
    rows = list(noisy_rows(patch=(int(FIRST[3]), 0.2)))
    for step in (4, 15, 22):
        rows[step][FIRST[3]] = 0.0
    assert [sink.patch for sink in find_sinks(rows, REGIONS)] == [3]
    rows[9][FIRST[3]] = 0.0
    assert find_sinks(rows, REGIONS) == ()


def test_diffuse_and_uniform_rows_have_no_sinks() -> None:
    assert find_sinks(noisy_rows(), REGIONS) == ()
    assert find_sinks((np.full(LAYOUT.n_prompt, 0.01, np.float32) for _ in range(20)), REGIONS) == ()
    assert find_sinks((np.zeros(LAYOUT.n_prompt, np.float32) for _ in range(20)), REGIONS) == ()
    assert find_sinks([], REGIONS) == ()


def test_in_a_short_video_only_the_first_token_can_be_a_sink() -> None:
    patch = int(FIRST[9])
    for n_steps in (1, 3, MIN_STEPS - 1):
        rows = list(noisy_rows(n_steps, bos=0.4, patch=(patch, 0.2)))
        assert [sink.position for sink in find_sinks(rows, REGIONS)] == [0]
    rows = list(noisy_rows(MIN_STEPS, bos=0.4, patch=(patch, 0.2)))
    assert [sink.position for sink in find_sinks(rows, REGIONS)] == [0, patch]


def test_an_answer_token_seen_in_few_steps_is_not_a_sink() -> None:
    rows = list(noisy_rows(bos=0.2))
    late = LAYOUT.n_prompt + 10
    for row in rows[11:]:
        row[late] = 0.4
    assert [sink.position for sink in find_sinks(rows, REGIONS)] == [0]


def test_values_that_are_no_weights_do_not_count() -> None:
    rows = list(noisy_rows(bos=0.5))
    for row in rows[:2]:
        row[:] = np.nan
    rows[2][5] = np.inf
    rows[2][6] = -3.0
    sinks = find_sinks(rows, REGIONS)
    assert [sink.position for sink in sinks] == [0]
    assert 0.5 < sinks[0].weight < 0.52


def test_masked_sinks_have_no_value() -> None:
    row = np.linspace(0, 1, 10, dtype=np.float32)
    result = masked(row, (Sink(2, 0.5), Sink(7, 0.5), Sink(40, 0.5)))
    assert np.flatnonzero(np.isnan(result)).tolist() == [2, 7]
    assert not np.isnan(row).any()
    assert masked(row, ()).tolist() == row.tolist()


@given(seed=st.integers(0, 1000), bos=st.floats(0, 0.9))
def test_relative_weights_are_one_on_average(seed: int, bos: float) -> None:
    tally = SinkTally(REGIONS)
    rows = list(noisy_rows(12, bos=bos, seed=seed))
    for row in rows:
        tally.add(row)
    quotients = np.stack([relative(row, tally.position_mean())[: LAYOUT.n_prompt] for row in rows])
    heavy = tally.position_mean()[: LAYOUT.n_prompt] > 1e-4
    np.testing.assert_allclose(quotients.mean(axis=0)[heavy], 1.0, rtol=1e-4)


def test_relative_does_not_magnify_what_is_nothing() -> None:
    row = np.array([0.0, 1e-7, 0.5], dtype=np.float32)
    result = relative(row, np.array([0.0, 1e-8, 0.25, 0.1]))
    assert result[0] == 0
    assert result[1] < 0.01
    assert result[2] == 2.0


def test_the_tally_keeps_nothing_per_step() -> None:
    small: Regions = REGIONS
    tally = SinkTally(small)
    for row in noisy_rows():
        tally.add(row)
    kept = sum(value.nbytes for value in vars(tally).values() if isinstance(value, np.ndarray))
    assert kept == 3 * 8 * small.n_positions
