"""How many processes render where nothing is said, and where something is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attnviz_video.batch.run import MOST_RENDERERS, n_renderers
from attnviz_video.batch.settings import BatchSettings
from tests.batch.running import settings_of


@pytest.mark.parametrize(
    ("cores", "n_record", "asked", "n_render"),
    [
        (8, 1, None, 7), (8, 4, None, 4), (2, 1, None, 1), (1, 1, None, 1), (4, 8, None, 1),
        (128, 1, None, MOST_RENDERERS), (8, 1, 1, 1), (8, 1, 3, 3), (8, 1, 0, 8), (128, 1, 0, 128), (2, 1, 40, 40),
    ],
)  # fmt: skip
def test_cores_that_recording_leaves_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: int, n_record: int, asked: int | None, n_render: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    config = settings_of(tmp_path / "data.json", tmp_path, render_workers=asked)
    assert n_renderers(config, BatchSettings(), n_record) == n_render


def test_the_cores_of_a_cluster_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    config = settings_of(tmp_path / "data.json", tmp_path)
    assert n_renderers(config, BatchSettings(engine="ray", ray_address="auto"), 1) == 1
    assert n_renderers(config, BatchSettings(engine="ray"), 1) == MOST_RENDERERS
