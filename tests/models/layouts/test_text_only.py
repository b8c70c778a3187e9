"""A prompt without images."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from attnviz_video.core.layout import ImageInfo
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.text_only import TextOnlyLayout

CONFIG = SimpleNamespace(model_type="llama")
OUTPUTS = {"input_ids": np.array([[1, 2, 3]])}


def test_every_position_is_text() -> None:
    layout = TextOnlyLayout().layout(CONFIG, None, OUTPUTS, [])
    assert layout.images == layout.grids == ()
    assert layout.image_of.tolist() == layout.patch_of.tolist() == [-1, -1, -1]


def test_images_are_refused() -> None:
    with pytest.raises(ModelError, match="model_type 'llama' reads text only, 1 images were given"):
        TextOnlyLayout().layout(CONFIG, None, OUTPUTS, [ImageInfo("a.png", 1, 1, "0")])
