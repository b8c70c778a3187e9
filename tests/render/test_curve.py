from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.render.brush import canvas
from attnviz_video.render.curve import (
    columns_of,
    highest,
    lowest,
    mean,
    paint_areas,
    paint_line,
    rounded_up,
)

NAN = float("nan")
WHITE, DARK, BLUE = (255, 255, 255), (40, 40, 40), (0, 0, 200)


def painted(frame: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return (frame == color).all(axis=2)


@given(st.integers(1, 5000), st.integers(1, 2000))
def test_every_frame_has_a_column_and_every_column_a_frame(n_frames: int, width: int) -> None:
    columns = columns_of(n_frames, width)
    assert columns.starts.size == width
    assert columns.starts[0] == 0
    assert columns.stops[-1] == n_frames
    assert (columns.stops > columns.starts).all()
    # No frame is skipped: a column begins where the one before it stops, or within the same frame.
    assert (columns.starts[1:] <= columns.stops[:-1]).all()


@given(st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), min_size=1, max_size=300), st.integers(1, 90))
def test_columns_hold_least_mean_and_greatest_of_their_frames(values: list[float], width: int) -> None:
    array, columns = np.array(values), columns_of(len(values), width)
    low, middle, high = lowest(array, columns), mean(array, columns), highest(array, columns)
    for column in range(width):
        known = [value for value in values[columns.starts[column] : columns.stops[column]] if not np.isnan(value)]
        wanted = (min(known), sum(known) / len(known), max(known)) if known else (NAN,) * 3
        assert (low[column], middle[column], high[column]) == pytest.approx(wanted, nan_ok=True)


@pytest.mark.parametrize(
    ("value", "least", "edge"),
    [(0.37, 0.01, 0.4), (0.0, 0.01, 0.01), (6.22, 0.1, 8.0), (1.0, 0.1, 1.0), (0.0731, 0.01, 0.08), (12.0, 1.0, 15.0)],
)
def test_axes_end_at_round_numbers(value: float, least: float, edge: float) -> None:
    assert rounded_up(value, least) == edge


@given(st.floats(1e-6, 1e6))
def test_the_axis_holds_its_values_and_is_used(value: float) -> None:
    edge = rounded_up(value, 1e-9)
    assert value * (1 - 1e-6) <= edge <= value * 1.5 * (1 + 1e-6)


def test_areas_stand_on_one_another_and_gaps_stay_bare() -> None:
    frame = canvas(40, 20, WHITE)
    values = np.array([[0.25, 0.25], [0.5, 0.5], [NAN, NAN], [0.0, 1.0]])
    paint_areas(frame, (0, 0, 40, 20), values, columns_of(4, 40), 1.0, [DARK, BLUE])
    dark, blue = painted(frame, DARK).sum(axis=0), painted(frame, BLUE).sum(axis=0)
    assert set(dark[:10]) == set(blue[:10]) == {5}
    assert set(dark[10:20]) == set(blue[10:20]) == {10}
    assert not dark[20:30].any()
    assert not blue[20:30].any()
    assert set(blue[30:]) == {20}
    assert painted(frame, DARK)[15:, :10].all()
    assert painted(frame, BLUE)[10:15, :10].all()


def test_a_share_of_nothing_is_told_from_no_share() -> None:
    frame = canvas(20, 20, WHITE)
    paint_areas(frame, (0, 0, 20, 20), np.array([[0.0], [NAN]]), columns_of(2, 20), 1.0, [DARK], least=2)
    assert painted(frame, DARK)[18:, :10].all()
    assert not painted(frame, DARK)[:, 10:].any()


def test_many_frames_become_means_with_their_greatest_above() -> None:
    frame = canvas(10, 20, WHITE)
    values = np.tile([0.0, 1.0, 0.5, 0.5], 100)[:, None]
    paint_areas(frame, (0, 0, 10, 20), values, columns_of(400, 10), 1.0, [DARK])
    pale = tuple((255 + channel) // 2 for channel in DARK)
    assert set(painted(frame, DARK).sum(axis=0)) == {10}
    assert set(painted(frame, pale).sum(axis=0)) == {10}


def test_a_line_is_as_thick_as_asked_for_and_steps_hang_together() -> None:
    frame = canvas(30, 23, WHITE)
    paint_line(frame, (0, 0, 30, 23), np.array([0.0, 1.0, 0.5]), columns_of(3, 30), 1.0, DARK, 3)
    on = painted(frame, DARK)
    heights = on.sum(axis=0).tolist()
    assert heights == [3] * 10 + [23] + [3] * 9 + [13] + [3] * 9
    assert on[20:, :10].all()
    assert on[:3, 10:20].all()
    assert on[10:13, 20:].all()


def test_a_line_has_gaps_where_there_is_no_value() -> None:
    frame = canvas(30, 20, WHITE)
    paint_line(frame, (0, 0, 30, 20), np.array([0.5, NAN, 0.5]), columns_of(3, 30), 1.0, DARK, 2)
    assert painted(frame, DARK).sum(axis=0).tolist() == [2] * 10 + [0] * 10 + [2] * 10


def test_many_frames_become_a_band_from_least_to_greatest() -> None:
    frame = canvas(10, 22, WHITE)
    paint_line(frame, (0, 0, 10, 22), np.tile([0.25, 0.75], 500), columns_of(1000, 10), 1.0, DARK, 2)
    assert set(painted(frame, DARK).sum(axis=0)) == {12}


@given(st.lists(st.one_of(st.floats(0, 2), st.just(NAN)), min_size=1, max_size=50), st.integers(1, 60))
def test_nothing_is_painted_outside_the_box(values: list[float], width: int) -> None:
    frame = canvas(80, 40, WHITE)
    box = (10, 10, 10 + width, 30)
    columns = columns_of(len(values), width)
    paint_line(frame, box, np.array(values), columns, 1.0, DARK, 3)
    paint_areas(frame, box, np.array(values)[:, None], columns, 1.0, [BLUE])
    frame[10:30, 10 : 10 + width] = WHITE
    assert (frame == WHITE).all()
