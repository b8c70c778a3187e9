"""Which layout rule a model family takes; a new family is one line here and, where needed, one file in `layouts/`."""

from __future__ import annotations

import importlib
from typing import Any

from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import LayoutAdapter, image_token_id

_IMAGE_GRID = "attnviz_video.models.layouts.image_grid:ImageGridLayout"
_GUESSED = "attnviz_video.models.layouts.guessed:GuessedLayout"

#: model_type to "module:Class" of its layout rule; loaded when a model of that family is.
FAMILIES = {
    "qwen2_vl": _IMAGE_GRID,
    "qwen2_5_vl": _IMAGE_GRID,
    "qwen3_vl": _IMAGE_GRID,
    "qwen3_vl_moe": _IMAGE_GRID,
}


def adapter_for(config: Any) -> LayoutAdapter:
    """The layout rule for a model configuration; an unknown family with image placeholders is guessed.

    Raises:
        ModelError: an unknown family whose configuration names no image placeholder.
    """
    rule = FAMILIES.get(config.model_type)
    if rule is None:
        if image_token_id(config) is None:
            raise ModelError(
                f"model_type {config.model_type!r} has no layout rule and no image_token_id to guess one from; "
                f"families with a rule: {', '.join(FAMILIES)}"
            )
        rule = _GUESSED
    module, _, name = rule.partition(":")
    adapter: LayoutAdapter = getattr(importlib.import_module(module), name)()
    return adapter
