"""Models that read text only, decoders and encoders: a prompt without images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attnviz_video.core.layout import ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import prompt_ids


class TextOnlyLayout:
    """Layout rule for a model without images."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """Text at every position; see `LayoutAdapter.layout`.

        Raises:
            ModelError: there are images.
        """
        if images:
            raise ModelError(f"model_type {config.model_type!r} reads text only, {len(images)} images were given")
        nothing = np.full(prompt_ids(outputs).size, -1, dtype=np.int64)
        return TokenLayout((), (), nothing, nothing.copy())
