"""Whether two recordings are of the same thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnviz_video.core.step import Step

#: Of what is kept in float32.
EXACT = 1e-5
#: Half a unit in the last place of what is stored as float16.
HALF_UNIT = 2.0**-11


def assert_same_steps(want: Sequence[Step], got: Sequence[Step]) -> None:
    """Tokens and candidates are the same, scalars to 1e-5, rows to that and their rounding to float16."""
    assert [step.info.token_id for step in got] == [step.info.token_id for step in want]
    assert [step.info.index for step in got] == [step.info.index for step in want]
    for one, other in zip(want, got, strict=True):
        assert_same_info(one, other)
        assert one.rows is not None
        assert other.rows is not None
        for mine, theirs in ((one.rows.heads, other.rows.heads), (one.rows.mean, other.rows.mean)):
            assert mine.keys() == theirs.keys()
            for layer, row in mine.items():
                assert theirs[layer].dtype == np.float16
                assert theirs[layer].shape == row.shape
                wide = row.astype(np.float64)
                assert (np.abs(theirs[layer] - wide) <= EXACT + 2 * HALF_UNIT * wide).all(), (one.info.index, layer)


def assert_same_info(one: Step, other: Step) -> None:
    """The light part of two steps is the same."""
    assert abs(one.info.log_probability - other.info.log_probability) < EXACT
    ours, theirs = one.info.candidates, other.info.candidates
    assert [(item.id, item.piece) for item in ours] == [(item.id, item.piece) for item in theirs]
    np.testing.assert_allclose([item.probability for item in theirs], [item.probability for item in ours], atol=EXACT)
    assert one.info.scalars is not None
    assert other.info.scalars is not None
    for name in ("image_share", "first_token", "maximum"):
        np.testing.assert_allclose(getattr(other.info.scalars, name), getattr(one.info.scalars, name), atol=EXACT)
    np.testing.assert_allclose(other.info.scalars.entropy, one.info.scalars.entropy, atol=1e-4)
