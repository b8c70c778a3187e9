"""Gemma 3: every image is squashed to one square of g x g tokens; with pan and scan, crops of it follow.

Pan and scan (off unless the processor is told otherwise) cuts a long image into strips along its longer side: after
the whole image come its crops in order, each squashed to the same square. All but the last have the same size, which
is rounded up, so that the last may be narrower. The numbers of tokens are checked against the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attnviz_video.core.layout import Box, ImageInfo, PatchGrid, TokenLayout
from attnviz_video.models.layouts.adapter import image_positions, number_patches, prompt_ids
from attnviz_video.models.layouts.square_grid import square_side
from attnviz_video.models.layouts.whole_images import whole_image


@dataclass(frozen=True)
class PanAndScan:
    """When an image is cut up, and into how many crops; the defaults are those of the library."""

    #: Smallest side of a crop, in pixels.
    min_crop_size: int = 256
    max_num_crops: int = 4
    #: Longer side / shorter side from which an image is cut up.
    min_ratio_to_activate: float = 1.2


class PanAndScanLayout:
    """Layout rule for a square of the whole image and, where there are more tokens, of its crops."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per image, and one per crop where the processor made crops; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the number of image tokens fits neither the images nor the images with their crops.
        """
        side = square_side(int(processor.image_seq_length))
        positions = image_positions(config, outputs)
        boxes: list[list[Box]] = [[whole_image(image)] for image in images]
        if positions.size > len(images) * side * side:
            settings = pan_and_scan_settings(processor)
            for own, image in zip(boxes, images, strict=True):
                own.extend(crop_boxes(image.width, image.height, settings))
        counts = [len(own) * side * side for own in boxes]
        image_of, patch_of = number_patches(prompt_ids(outputs).size, positions, counts)
        grids = []
        for index, own in enumerate(boxes):
            for number, box in enumerate(own):
                area = "tile" if number else "thumbnail" if len(own) > 1 else "image"
                grids.append(PatchGrid(index, side, side, box, number * side * side, area))
        return TokenLayout(tuple(images), tuple(grids), image_of, patch_of)


def pan_and_scan_settings(processor: Any) -> PanAndScan:
    """What the image processor cuts by; what it leaves open is the processor's own, or else the library's default."""
    given = dict(getattr(processor, "images_kwargs", None) or {})
    default = PanAndScan()

    def of(name: str, otherwise: float) -> Any:
        key = f"pan_and_scan_{name}"
        own = given.get(key)
        own = getattr(processor.image_processor, key, None) if own is None else own
        return otherwise if own is None else own

    return PanAndScan(
        int(of("min_crop_size", default.min_crop_size)),
        int(of("max_num_crops", default.max_num_crops)),
        float(of("min_ratio_to_activate", default.min_ratio_to_activate)),
    )


def crop_boxes(width: int, height: int, settings: PanAndScan) -> list[Box]:
    """The crops of an image of `width` x `height` pixels, in order; empty for one that is not cut up."""
    longer, shorter = max(width, height), min(width, height)
    if longer / shorter < settings.min_ratio_to_activate:
        return []
    count = min(longer // settings.min_crop_size, math.floor(longer / shorter + 0.5))
    count = min(settings.max_num_crops, max(2, count))
    step = math.ceil(longer / count)
    if min(step, shorter) < settings.min_crop_size:
        return []
    edges = np.minimum(np.arange(count + 1) * step, longer).tolist()
    strips = zip(edges[:-1], edges[1:], strict=True)
    if width >= height:
        return [(float(start), 0.0, float(stop), float(height)) for start, stop in strips]
    return [(0.0, float(start), float(width), float(stop)) for start, stop in strips]
