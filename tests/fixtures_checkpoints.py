"""Tiny checkpoints for tests, built once per worker and loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

#: Families with a tiny checkpoint.
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function from the family's name to the folder of its tiny checkpoint."""
    from attnviz_video.testing import tiny_checkpoints

    folders: dict[str, Path] = {}

    def folder_of(family: str) -> Path:
        if family not in folders:
            build = getattr(tiny_checkpoints, f"build_{family}")
            folders[family] = build(tmp_path_factory.mktemp("checkpoints") / family)
        return folders[family]

    return folder_of


@pytest.fixture(scope="session")
def tiny_model(tiny_checkpoint: Any) -> Any:
    """A function from the family's name to its `LoadedModel` on the CPU (shared: leave it as it is)."""
    from attnviz_video.models.load import load_model
    from attnviz_video.models.settings import ModelSettings

    loaded: dict[str, Any] = {}

    def model_of(family: str) -> Any:
        if family not in loaded:
            loaded[family] = load_model(ModelSettings(model_path=str(tiny_checkpoint(family)), device="cpu"))
        return loaded[family]

    return model_of
