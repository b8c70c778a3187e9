"""LLaVA-1.5 and models built like it: one grid over what is left of the image after the processor's crop.

The processor brings the shorter side to the size of the crop and cuts the longer one on both sides, so that the model
never sees the margins; some checkpoints pad to a square first (no margins, but patches of padding), others squash. The
class token of the vision tower, where it is kept, comes first and stands for no rectangle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.core.layout import Box, ImageInfo, TokenLayout
from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.areas import Area, ImageTokens, assemble, grid_tokens


class LlavaLayout:
    """Layout rule for one resized, cropped or padded square per image."""

    def layout(
        self, config: Any, processor: Any, outputs: Mapping[str, Any], images: Sequence[ImageInfo]
    ) -> TokenLayout:
        """One grid per image over the part of it that the model sees; see `LayoutAdapter.layout`.

        Raises:
            ModelError: the processor returned another number of pictures, or of tokens.
        """
        pixels = outputs.get("pixel_values")
        shapes = [] if pixels is None else [(int(picture.shape[-2]), int(picture.shape[-1])) for picture in pixels]
        if len(shapes) != len(images):
            raise ModelError(f"the processor returned {len(shapes)} pictures for {len(images)} images")
        patch = int(processor.patch_size)
        # The class token, where the tower has one; the strategy "default" drops the first feature.
        leading = int(getattr(processor, "num_additional_image_tokens", 0) or 0)
        leading -= processor.vision_feature_select_strategy == "default"
        if leading < 0:
            raise ModelError("the first patch of every image is dropped by this checkpoint, which no picture can show")
        parts = []
        for info, (height, width) in zip(images, shapes, strict=True):
            rows, columns = height // patch, width // patch
            box = seen_box(info, processor.image_processor, (height, width), (rows * patch, columns * patch))
            parts.append(ImageTokens(leading + rows * columns, (Area(box, grid_tokens(rows, columns, leading)),)))
        return assemble(config, outputs, images, parts)


def seen_box(info: ImageInfo, image_processor: Any, crop: tuple[int, int], patched: tuple[int, int]) -> Box:
    """What the patches cover, in original pixels.

    `crop` is (height, width) of the picture the tower is given, `patched` the part of it, from the top left, that whole
    patches cover.
    """
    width, height, left, top = float(info.width), float(info.height), 0.0, 0.0
    if getattr(image_processor, "do_pad", False):
        # To a square, centred.
        side = max(info.width, info.height)
        left, top = -float((side - info.width) // 2), -float((side - info.height) // 2)
        width = height = float(side)
    shown = resized((int(height), int(width)), image_processor)
    x_scale, y_scale = width / shown[1], height / shown[0]
    # Cut, or padded where the picture is smaller than the crop, on both sides.
    left += _margin(shown[1], crop[1]) * x_scale
    top += _margin(shown[0], crop[0]) * y_scale
    return left, top, left + patched[1] * x_scale, top + patched[0] * y_scale


def resized(size: tuple[int, int], image_processor: Any) -> tuple[int, int]:
    """(height, width) after the processor's resize, before any crop.

    With `shortest_edge`, that side takes the given length and the other is rounded down.
    """
    target = dict(image_processor.size or {})
    if not getattr(image_processor, "do_resize", True):
        return size
    edge = target.get("shortest_edge")
    if edge is None:
        return int(target["height"]), int(target["width"])
    short, long = sorted(size)
    other = int(edge * long / short)
    return (int(edge), other) if size[0] <= size[1] else (other, int(edge))


def _margin(shown: int, crop: int) -> int:
    """Pixels cut off before the crop; negative where the picture is padded up to it."""
    return (shown - crop) // 2 if shown >= crop else -((crop - shown) // 2 + (crop - shown) % 2)
