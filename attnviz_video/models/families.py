"""Which layout rule a model family takes; a new family is one line here and, where needed, one file in `layouts/`."""

from __future__ import annotations

import importlib
from typing import Any

from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import LayoutAdapter, image_token_id
from attnviz_video.models.text_decoders import reads_text_only
from attnviz_video.models.text_encoders import is_encoder

_LAYOUTS = "attnviz_video.models.layouts"
_IMAGE_GRID = f"{_LAYOUTS}.image_grid:ImageGridLayout"
_BROKEN_ROWS = f"{_LAYOUTS}.broken_rows:BrokenRowsLayout"
_TILED_CANVAS = f"{_LAYOUTS}.tiled_canvas:TiledCanvasLayout"
_ROW_COLUMN_TILES = f"{_LAYOUTS}.row_column_tiles:RowColumnTilesLayout"
_GUESSED = f"{_LAYOUTS}.guessed:GuessedLayout"
_TEXT_ONLY = f"{_LAYOUTS}.text_only:TextOnlyLayout"

#: model_type to "module:Class" of its layout rule; loaded when a model of that family is.
#: "a+b" is family a with a vision tower of model_type b, where the tower decides.
FAMILIES = {
    "qwen2_vl": _IMAGE_GRID,
    "qwen2_5_vl": _IMAGE_GRID,
    "qwen3_vl": _IMAGE_GRID,
    "qwen3_vl_moe": _IMAGE_GRID,
    "qwen3_5": _IMAGE_GRID,
    "qwen3_5_moe": _IMAGE_GRID,
    "glm4v": _IMAGE_GRID,
    "glm4v_moe": _IMAGE_GRID,
    "gemma3": f"{_LAYOUTS}.pan_and_scan:PanAndScanLayout",
    "gemma4": f"{_LAYOUTS}.patch_positions:PatchPositionsLayout",
    "paligemma": f"{_LAYOUTS}.square_grid:SquareGridLayout",
    "llava": f"{_LAYOUTS}.llava:LlavaLayout",
    "llava+pixtral": _BROKEN_ROWS,
    "llava_next": f"{_LAYOUTS}.anyres:AnyResLayout",
    "llava_onevision": f"{_LAYOUTS}.onevision:OneVisionLayout",
    "internvl": _TILED_CANVAS,
    "aya_vision": _TILED_CANVAS,
    "cohere2_vision": _TILED_CANVAS,
    "idefics3": _ROW_COLUMN_TILES,
    "smolvlm": _ROW_COLUMN_TILES,
    "mistral3": _BROKEN_ROWS,
    "mllama": f"{_LAYOUTS}.cross_attention_tiles:CrossAttentionTilesLayout",
}

#: Families whose prompt has a fixed number of images; all others take any number, none included.
_IMAGE_COUNTS = {"paligemma": 1}

#: Chat templates of families that have none, because they were trained on the images and one bare line of text.
PREFIX_TEMPLATES = {
    "paligemma": (
        "{%- for message in messages -%}"
        "{%- if message['role'] != 'user' -%}{{ raise_exception('a base model is given one text, not turns') }}"
        "{%- endif -%}{%- for part in message['content'] -%}"
        "{%- if part['type'] == 'image' -%}<image>{%- elif 'text' in part -%}{{ part['text'] }}{%- endif -%}"
        "{%- endfor -%}{%- endfor -%}"
    )
}


def adapter_for(config: Any) -> LayoutAdapter:
    """The layout rule for a model configuration; an unknown family with image placeholders is guessed.

    Raises:
        ModelError: an unknown family whose configuration names no image placeholder.
    """
    tower = getattr(getattr(config, "vision_config", None), "model_type", None)
    rule = FAMILIES.get(f"{config.model_type}+{tower}") or FAMILIES.get(config.model_type)
    if rule is None and (reads_text_only(config.model_type) or is_encoder(config.model_type)):
        rule = _TEXT_ONLY
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


def refuse_image_count(model_type: str, n_images: int) -> None:
    """Refuse a prompt with more or fewer images than models of this type take; asked before anything long is done.

    Raises:
        ModelError: it does not take so many.
    """
    came = "1 image was given" if n_images == 1 else f"{n_images or 'no'} images were given"
    if n_images and (reads_text_only(model_type) or is_encoder(model_type)):
        raise ModelError(
            f"model_type {model_type!r} reads text only, and {came}; ask without images, "
            "or take a vision-language model (--model_path)"
        )
    wanted = _IMAGE_COUNTS.get(model_type, n_images)
    if n_images != wanted:
        raise ModelError(
            f"model_type {model_type!r} takes {wanted} image per prompt, and {came}; "
            "ask about one image, or take another model (--model_path)"
        )
