"""Loads a model's processor, also where torchvision is absent.

Processors of video-capable families need a video processor, and transformers has those for torchvision only, so that
plain `AutoProcessor` fails without it although no video is ever given. Then the processor is put together from its
parts, with an empty stand-in for the video processor.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from attnviz_video.errors import AttnVizError, ModelError
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.hub_library import HAS_TORCHVISION, transformers

#: Files that may name the processor class, in the order transformers looks.
_CLASS_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")


class VideoProcessorStandIn:
    """Takes the place of a video processor that is never called; unknown attributes read as None."""

    model_input_names: tuple[str, ...] = ()
    merge_size = 2
    patch_size = 14
    temporal_patch_size = 2

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def load_processor(checkpoint: Checkpoint, min_pixels: int | None = None, max_pixels: int | None = None) -> Any:
    """The checkpoint's processor, with its image area limits replaced where they are given (in pixels).

    Raises:
        ModelError: files are missing or damaged, or the family needs torchvision.
    """
    try:
        if HAS_TORCHVISION:
            processor = transformers.AutoProcessor.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
        else:
            processor = _without_torchvision(checkpoint)
    except AttnVizError:
        raise
    except Exception as error:
        raise ModelError(f"the processor of {checkpoint.source} cannot be loaded: {first_line(error)}") from error
    if getattr(processor, "tokenizer", None) is None or getattr(processor, "image_processor", None) is None:
        raise ModelError(f"the processor of {checkpoint.source} lacks a tokenizer or an image processor")
    _check_vocabulary(processor.tokenizer, checkpoint)
    if getattr(processor, "chat_template", None) is None:
        processor.chat_template = processor.tokenizer.chat_template
    if min_pixels is not None or max_pixels is not None:
        limit_pixels(processor.image_processor, min_pixels, max_pixels)
    return processor


def limit_pixels(image_processor: Any, min_pixels: int | None, max_pixels: int | None) -> None:
    """Set the smallest and largest area, in pixels, that images are resized to.

    transformers 5 keeps them as `size["shortest_edge"]` and `size["longest_edge"]`, 4.57 as attributes as well.

    Raises:
        ModelError: this image processor has no such limits, or they contradict each other.
    """
    size = dict(getattr(image_processor, "size", None) or {})
    if "shortest_edge" not in size or "longest_edge" not in size:
        raise ModelError(
            f"--min_pixels and --max_pixels do not apply: {type(image_processor).__name__} has no area limits"
        )
    low = size["shortest_edge"] if min_pixels is None else min_pixels
    high = size["longest_edge"] if max_pixels is None else max_pixels
    if not 0 < low <= high:
        raise ModelError(f"--min_pixels {low} and --max_pixels {high} leave no size for an image")
    image_processor.size = type(image_processor.size)(**{**size, "shortest_edge": low, "longest_edge": high})
    for name, value in (("min_pixels", low), ("max_pixels", high)):
        if getattr(image_processor, name, None) is not None:
            setattr(image_processor, name, value)


def _check_vocabulary(tokenizer: Any, checkpoint: Checkpoint) -> None:
    """transformers makes an empty tokenizer where its files are missing: the image placeholder must have a name."""
    token = checkpoint.config.get("image_token_id", checkpoint.config.get("image_token_index"))
    if isinstance(token, int) and tokenizer.convert_ids_to_tokens(token) is None:
        raise ModelError(
            f"the tokenizer of {checkpoint.source} does not know token {token}, the model's image placeholder; "
            "are tokenizer files missing?"
        )


def _without_torchvision(checkpoint: Checkpoint) -> Any:
    cls = _processor_class(checkpoint)
    attributes = list(getattr(cls, "attributes", None) or cls.get_attributes())
    if "video_processor" not in attributes:
        return cls.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
    parts = [_part(name, checkpoint) for name in attributes]
    settings, _ = cls.get_processor_dict(checkpoint.source, **checkpoint.load_arguments())
    settings = {key: value for key, value in settings.items() if key not in checkpoint.load_arguments()}
    return _accepting_stand_ins(cls).from_args_and_dict(parts, settings)


def _part(name: str, checkpoint: Checkpoint) -> Any:
    if name == "video_processor":
        return VideoProcessorStandIn()
    loader = {"tokenizer": transformers.AutoTokenizer, "image_processor": transformers.AutoImageProcessor}.get(name)
    if loader is None:
        raise ModelError(f"{checkpoint.source} needs torchvision for its {name}; install it: pip install torchvision")
    return loader.from_pretrained(checkpoint.source, **checkpoint.load_arguments())


def _accepting_stand_ins(cls: Any) -> Any:
    """`cls` with a type check that lets the stand-in pass, and a description that leaves it out."""

    class ImageOnly(cls):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if isinstance(argument, VideoProcessorStandIn):
                return VideoProcessorStandIn
            return super().check_argument_for_proper_class(argument_name, argument)

        def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {
                name: value for name, value in super().to_dict(*args, **kwargs).items() if name != "video_processor"
            }

    ImageOnly.__name__ = cls.__name__
    ImageOnly.__qualname__ = cls.__qualname__
    return ImageOnly


def _processor_class(checkpoint: Checkpoint) -> Any:
    """The processor class the checkpoint names, or the one of its model type; the real one, not a placeholder."""
    auto = transformers.models.auto.processing_auto
    name = _named_class(checkpoint) or auto.PROCESSOR_MAPPING_NAMES.get(checkpoint.model_type)
    if name is None:
        raise ModelError(
            f"{checkpoint.source} names no processor class, and its model_type {checkpoint.model_type!r} has none"
        )
    if isinstance(name, tuple | list):
        name = name[-1]
    found = auto.processor_class_from_name(name)
    if found is not None and found.__module__.startswith("transformers.models."):
        return found
    return _real_class(name, checkpoint)


def _real_class(name: str, checkpoint: Checkpoint) -> Any:
    """The class behind a placeholder that stands for a class with a missing dependency."""
    folder = checkpoint.model_type.replace("-", "_")
    try:
        return getattr(importlib.import_module(f"transformers.models.{folder}.processing_{folder}"), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(
            f"{checkpoint.source} needs torchvision for its {name}; install it: pip install torchvision"
        ) from error


def _named_class(checkpoint: Checkpoint) -> str | None:
    for file_name in (*_CLASS_FILES, "tokenizer_config.json"):
        file = _file_of(checkpoint, file_name)
        if file is None:
            continue
        named = json.loads(file.read_text(encoding="utf-8")).get("processor_class")
        if named:
            return str(named)
    return None


def _file_of(checkpoint: Checkpoint, name: str) -> Path | None:
    """A file of the checkpoint, downloaded if need be; None where it has none of that name."""
    found = transformers.utils.cached_file(
        checkpoint.source,
        name,
        revision=checkpoint.revision,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if found is None else Path(found)
