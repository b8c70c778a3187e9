"""Loads a model's processor, also where torchvision is absent.

Processors of video-capable families need a video processor, and transformers has those for torchvision only, so that
plain `AutoProcessor` fails without it although no video is ever given. Then the processor is put together from its
parts, with an empty stand-in for what takes video or sound.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attnviz_video.errors import AttnVizError, ModelError
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.families import PREFIX_TEMPLATES
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.hub_library import HAS_TORCHVISION, transformers
from attnviz_video.models.text_decoders import TextProcessor, reads_text_only
from attnviz_video.models.text_encoders import is_encoder

#: Files that may name the processor class, in the order transformers looks.
_CLASS_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")


class PartStandIn:
    """Takes the place of a part of a processor that is never called; unknown attributes read as None."""

    model_input_names: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


class VideoProcessorStandIn(PartStandIn):
    """Takes the place of a video processor."""

    merge_size = 2
    patch_size = 14
    temporal_patch_size = 2


class FeatureExtractorStandIn(PartStandIn):
    """Takes the place of what turns sound into features (Gemma 4)."""


#: Parts of a processor that images and text never reach.
_STAND_INS: dict[str, type[PartStandIn]] = {
    "video_processor": VideoProcessorStandIn,
    "feature_extractor": FeatureExtractorStandIn,
}


def load_processor(checkpoint: Checkpoint, min_pixels: int | None = None, max_pixels: int | None = None) -> Any:
    """The checkpoint's processor, with its image area limits replaced where they are given (in pixels).

    Raises:
        ModelError: files are missing or damaged, or the family needs torchvision.
    """
    _spare_num2words(checkpoint)
    try:
        if reads_text_only(checkpoint.model_type) or is_encoder(checkpoint.model_type):
            processor: Any = TextProcessor(
                transformers.AutoTokenizer.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
            )
        elif HAS_TORCHVISION:
            processor = transformers.AutoProcessor.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
        else:
            processor = _without_torchvision(checkpoint)
    except AttnVizError:
        raise
    except Exception as error:
        _refuse_torchvision_only(checkpoint, error)
        raise ModelError(f"the processor of {checkpoint.source} cannot be loaded: {first_line(error)}") from error
    if isinstance(processor, TextProcessor):
        if min_pixels is not None or max_pixels is not None:
            raise ModelError(f"--min_pixels and --max_pixels do not apply: {checkpoint.source} reads text only")
        return processor
    if getattr(processor, "tokenizer", None) is None or getattr(processor, "image_processor", None) is None:
        raise ModelError(f"the processor of {checkpoint.source} lacks a tokenizer or an image processor")
    _check_vocabulary(processor.tokenizer, checkpoint)
    if getattr(processor, "chat_template", None) is None:
        processor.chat_template = processor.tokenizer.chat_template or PREFIX_TEMPLATES.get(checkpoint.model_type)
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


def area_limits(processor: Any) -> dict[str, int | None]:
    """The smallest and largest area, in pixels, that images are resized to; None where there are no such limits."""
    try:
        edges = dict(getattr(getattr(processor, "image_processor", None), "size", None) or {})
    except (TypeError, ValueError):  # a checkpoint's own processor may keep one number
        edges = {}
    known = edges.get("shortest_edge") and edges.get("longest_edge")
    return {
        "min_pixels": int(edges["shortest_edge"]) if known else None,
        "max_pixels": int(edges["longest_edge"]) if known else None,
    }


def _refuse_torchvision_only(checkpoint: Checkpoint, error: Exception) -> None:
    """Say it where the family's image processor exists for torchvision only, such as Cohere2 Vision's."""
    name = str(error).strip().partition(" ")[0]
    if not HAS_TORCHVISION and isinstance(error, ImportError) and "torchvision" in str(error).lower():
        raise ModelError(
            f"{checkpoint.source} needs torchvision for its {name}; install it: pip install torchvision"
        ) from error


def _spare_num2words(checkpoint: Checkpoint) -> None:
    """SmolVLM's processor wants the package num2words, to write out the number of a video's frames; digits do."""
    if checkpoint.model_type == "smolvlm":
        module: Any = importlib.import_module("transformers.models.smolvlm.processing_smolvlm")
        module.num2words = module.num2words or str


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
    if not any(name in _STAND_INS for name in attributes):
        return cls.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
    parts = [_part(name, checkpoint) for name in attributes]
    settings, _ = cls.get_processor_dict(checkpoint.source, **checkpoint.load_arguments())
    settings = {key: value for key, value in settings.items() if key not in checkpoint.load_arguments()}
    return _accepting_stand_ins(cls).from_args_and_dict(parts, settings)


def _part(name: str, checkpoint: Checkpoint) -> Any:
    if name in _STAND_INS:
        return _STAND_INS[name]()
    loader = {"tokenizer": transformers.AutoTokenizer, "image_processor": transformers.AutoImageProcessor}.get(name)
    if loader is None:
        raise ModelError(f"{checkpoint.source} needs torchvision for its {name}; install it: pip install torchvision")
    return loader.from_pretrained(checkpoint.source, **checkpoint.load_arguments())


def _accepting_stand_ins(cls: Any) -> Any:
    """`cls` with a type check that lets the stand-in pass, and a description that leaves it out."""

    class ImageOnly(cls):
        def check_argument_for_proper_class(self, argument_name: str, argument: Any) -> Any:
            if isinstance(argument, PartStandIn):
                return type(argument)
            return super().check_argument_for_proper_class(argument_name, argument)

        def to_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
            return {name: value for name, value in super().to_dict(*args, **kwargs).items() if name not in _STAND_INS}

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
    """The class behind a placeholder that stands for a class with a missing dependency.

    It is in the folder of the model type, or in that of the family it is named after (Mistral 3 uses Pixtral's).
    """
    folders = dict.fromkeys([checkpoint.model_type.replace("-", "_"), name.removesuffix("Processor").lower()])
    for folder in folders:
        with suppress(ImportError, AttributeError), _pillow_images(folder):
            return getattr(importlib.import_module(f"transformers.models.{folder}.processing_{folder}"), name)
    raise ModelError(f"{checkpoint.source} needs torchvision for its {name}; install it: pip install torchvision")


@contextmanager
def _pillow_images(folder: str) -> Iterator[None]:
    """Inside the block, a family's image processing with Pillow stands for the one that needs torchvision.

    The module of Pixtral's processor takes a function from the latter that both have.
    """
    wanted = f"transformers.models.{folder}.image_processing_{folder}"
    try:
        importlib.import_module(wanted)
    except ImportError:
        with suppress(ImportError):
            sys.modules[wanted] = importlib.import_module(f"transformers.models.{folder}.image_processing_pil_{folder}")
    else:
        yield
        return
    try:
        yield
    finally:
        sys.modules.pop(wanted, None)


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
