"""Splitting a row into text and images: nothing is lost, nothing is merged (T9, T10)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from attnviz_video.analysis.regions import regions_of, split_row
from attnviz_video.core.layout import TokenLayout
from attnviz_video.testing.planted import planted_layout, planted_tokens

GRIDS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=4)


@given(grids=GRIDS, seen=st.integers(0, 5), more=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_splitting_loses_no_weight(grids: list[tuple[int, int]], seen: int, more: int, seed: int) -> None:
    layout = planted_layout([(60, 40)] * len(grids), grids)
    regions = regions_of(layout, layout.n_prompt + seen + more)
    row = np.random.default_rng(seed).random(layout.n_prompt + seen, dtype=np.float32)
    frame = split_row(row, regions, seen)
    total = float(np.nansum(frame.text, dtype=np.float64)) + sum(float(p.sum(dtype=np.float64)) for p in frame.images)
    assert np.isclose(total, float(row.sum(dtype=np.float64)), rtol=1e-9)
    assert frame.text.shape == (layout.n_prompt + seen + more,)
    assert [patches.size for patches in frame.images] == [rows * columns for rows, columns in grids]


@given(grids=GRIDS, seen=st.integers(0, 3))
def test_text_has_no_number_where_there_is_a_patch_or_nothing_seen(grids: list[tuple[int, int]], seen: int) -> None:
    layout = planted_layout([(60, 40)] * len(grids), grids)
    n_positions = layout.n_prompt + 4
    frame = split_row(np.ones(layout.n_prompt + seen, dtype=np.float32), regions_of(layout, n_positions), seen)
    absent = np.isnan(frame.text)
    assert (absent[: layout.n_prompt] == (layout.patch_of >= 0)).all()
    assert absent[layout.n_prompt :].tolist() == [False] * seen + [True] * (4 - seen)


def test_t09_each_weight_lands_on_its_own_image_and_patch() -> None:
    grids = [(2, 3), (4, 1), (1, 1), (3, 5)]
    layout = planted_layout([(60, 40), (20, 80), (10, 10), (50, 30)], grids)
    regions = regions_of(layout, layout.n_prompt)
    for image in range(4):
        for patch, position in enumerate(layout.patch_positions(image)):
            row = np.zeros(layout.n_prompt, dtype=np.float32)
            row[position] = 1.0
            frame = split_row(row, regions, 0)
            assert [int(patches.sum()) for patches in frame.images] == [int(other == image) for other in range(4)]
            assert int(frame.images[image].argmax()) == patch
            assert np.nansum(frame.text) == 0


def test_patches_are_ordered_by_their_number_and_not_by_their_position() -> None:
    plain = planted_layout([(60, 40)], [(2, 3)])
    order = np.array([5, 3, 1, 0, 2, 4])
    patch_of = plain.patch_of.copy()
    patch_of[plain.patch_positions(0)] = order
    mixed = replace(plain, patch_of=patch_of)
    row = np.zeros(mixed.n_prompt, dtype=np.float32)
    row[plain.patch_positions(0)] = order
    assert split_row(row, regions_of(mixed, mixed.n_prompt), 0).images[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_image_tokens_that_are_no_patch_are_text() -> None:
    """Some families end every row of patches with a separator: an image token without a rectangle."""
    plain = planted_layout([(60, 40)], [(2, 2)])
    image_of, patch_of = np.insert(plain.image_of, 5, 0), np.insert(plain.patch_of, 5, -1)
    layout = TokenLayout(plain.images, plain.grids, image_of, patch_of)
    frame = split_row(np.arange(layout.n_prompt, dtype=np.float32), regions_of(layout, layout.n_prompt), 0)
    assert frame.text[5] == 5
    assert frame.images[0].tolist() == [3, 4, 6, 7]


def test_t10_equal_words_keep_their_own_weights() -> None:
    layout = planted_layout([(60, 40)], [(2, 2)])
    tokens = planted_tokens(layout, (" red", " and", " red"))
    row = np.zeros(layout.n_prompt + 3, dtype=np.float32)
    first, second = (token.position for token in tokens if token.piece == " red")
    row[first], row[second] = 0.25, 0.5
    text = split_row(row, regions_of(layout, len(tokens)), 3).text
    assert (text[first], text[second]) == (0.25, 0.5)


def test_a_frame_without_a_row_has_no_weights(tmp_path: Path) -> None:
    layout = planted_layout([(60, 40), (30, 30)], [(2, 2), (3, 3)])
    frame = split_row(None, regions_of(layout, layout.n_prompt + 2), 1)
    assert not frame.has_row
    assert np.isnan(frame.text).all()
    assert [np.isnan(patches).all() for patches in frame.images] == [True, True]
    assert [patches.size for patches in frame.images] == [4, 9]
