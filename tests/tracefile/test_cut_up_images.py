"""The layout of images that were cut up, on its way through the trace's tables."""

from __future__ import annotations

import json

import numpy as np

from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout
from attnviz_video.testing.planted import planted_tokens
from attnviz_video.tracefile.format import LayoutPart
from attnviz_video.tracefile.tables import decode_tokens, encode_tokens, rebuild_layout

GRIDS = (
    PatchGrid(0, 1, 1, (0.0, 0.0, 60.0, 40.0), 0, "thumbnail"),
    PatchGrid(0, 2, 1, (-10.0, -20.0, 30.0, 60.0), 1, "tile"),
    PatchGrid(0, 2, 1, (30.0, 0.0, 60.0, 40.0), 3, "tile"),
)


def test_scattered_patches_padding_and_separators_come_back() -> None:
    patch_of = [-1, -1, -1, 0, 1, 3, -1, 2, 4, -1, -1, -1, -1, -1, -1]
    image_of = [-1, -1, -1, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1]
    info = ImageInfo("image0.png", 60, 40, "0")
    layout = TokenLayout((info,), GRIDS, np.array(image_of), np.array(patch_of))
    data = encode_tokens(planted_tokens(layout, ("a",)), layout)
    boxes = [json.loads(line)["box"] for line in data.decode().splitlines()]
    assert boxes[3:10] == [
        [0, 0, 60, 40],
        [0, 0, 30, 20],
        [30, 0, 60, 20],
        None,
        [0, 20, 30, 40],
        [30, 20, 60, 40],
        None,
    ]
    part = LayoutPart(layout.n_prompt, layout.images, layout.grids, False)
    back = rebuild_layout(part, decode_tokens(data, "tokens"), "manifest")
    assert back.grids == GRIDS
    assert back.patch_of.tolist() == patch_of
    assert back.image_of.tolist() == image_of
