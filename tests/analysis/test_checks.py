"""FAULTS 14: rows that are no distributions are counted, and refused by --strict. T13: rounding is no fault."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.checks import RowReport, check_rows, refuse_unclean
from attnviz_video.errors import TraceError


def distribution(keys: int, seed: int = 0, sharpness: float = 5.0) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=keys) * sharpness
    weights = np.exp(logits - logits.max())
    return (weights / weights.sum()).astype(np.float32)


def test_good_rows() -> None:
    report = check_rows(np.stack([distribution(50, seed) for seed in range(3)]))
    assert report == RowReport(rows=3)
    assert report.clean
    assert report.sentence() == ""
    refuse_unclean(report, 0)


@given(keys=st.integers(1, 40_000), sharpness=st.floats(0, 8), seed=st.integers(0, 1000))
def test_t13_rounding_to_half_precision_is_no_fault(keys: int, sharpness: float, seed: int) -> None:
    row = distribution(keys, seed, sharpness)
    stored = row.astype(np.float16).astype(np.float32)
    assert np.abs(stored - row).max() <= row.max() * 2.0**-11 + 2.0**-25
    assert check_rows(stored[np.newaxis]).clean


def test_every_fault_is_counted() -> None:
    rows = np.stack([distribution(20, seed) for seed in range(6)])
    rows[0, :2] = np.nan
    rows[1, 3] = np.inf
    rows[1, 4] = -np.inf
    rows[2, :] = 0
    rows[3] *= 0.9
    rows[4, 0], rows[4, 1] = rows[4, 0] + 0.25 + rows[4, 1], -0.25
    report = check_rows(rows)
    assert report == RowReport(rows=6, nan=2, infinite=2, negative=1, off_sum=2, worst_sum=0.0)
    assert not report.clean
    assert report.sentence() == (
        "attention rows: 2 NaN, 2 infinite, 1 negative values (drawn hatched) "
        "and 2 that do not sum to 1 (furthest: 0) among 6 rows"
    )


def test_reports_add_up() -> None:
    first, second = RowReport(2, nan=1, off_sum=1, worst_sum=0.5), RowReport(3, infinite=2, off_sum=1, worst_sum=1.9)
    assert first + second == RowReport(5, nan=1, infinite=2, off_sum=2, worst_sum=1.9)
    assert (RowReport() + first) == first
    assert RowReport(4, off_sum=1, worst_sum=0.5).sentence() == (
        "attention rows: 1 that do not sum to 1 (furthest: 0.5) among 4 rows"
    )


def test_strict_refuses() -> None:
    wanted = (
        r"--strict: layer 7: attention rows: 1 NaN values \(drawn hatched\) among 4 rows; record again .* --strict$"
    )
    with pytest.raises(TraceError, match=wanted):
        refuse_unclean(RowReport(4, nan=1), 7)
