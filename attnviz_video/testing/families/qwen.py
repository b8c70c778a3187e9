"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL with attention as peaked as that of the other families here."""

from __future__ import annotations

from pathlib import Path

from attnviz_video.testing import tiny_checkpoints
from attnviz_video.testing.families.checkpoint_files import PEAKED, PEAKED_NORMS

_SHAPE = tiny_checkpoints.TinyShape(peaked=PEAKED, peaked_norms=PEAKED_NORMS)


def build_qwen2_vl(folder: Path) -> Path:
    """A tiny Qwen2-VL checkpoint in `folder`."""
    return tiny_checkpoints.build_qwen2_vl(folder, _SHAPE)


def build_qwen2_5_vl(folder: Path) -> Path:
    """A tiny Qwen2.5-VL checkpoint in `folder`."""
    return tiny_checkpoints.build_qwen2_5_vl(folder, _SHAPE)


def build_qwen3_vl(folder: Path) -> Path:
    """A tiny Qwen3-VL checkpoint in `folder`."""
    return tiny_checkpoints.build_qwen3_vl(folder, _SHAPE)
