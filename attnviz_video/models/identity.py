"""Fingerprints of a model's configuration, processor and chat template, as kept in a trace."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.decoder import declared_kinds, head_counts, text_value
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.hub_library import transformers

#: Keys that tell where or by which version a file was written, not what the model is.
_VOLATILE = ("_name_or_path", "_commit_hash", "transformers_version", "image_processor_type", "processor_class")


def config_hash(config: Mapping[str, Any]) -> str:
    """SHA-256 of the checkpoint's configuration as sorted JSON."""
    return _json_hash(config)


def processor_hash(processor: Any) -> str:
    """SHA-256 of what the processor does to images: sizes, patches, normalisation."""
    image_processor = getattr(processor, "image_processor", None)
    settings = image_processor.to_dict() if image_processor is not None else {}
    return _json_hash({"class": type(processor).__name__, "image_processor": settings})


def template_hash(processor: Any) -> str:
    """SHA-256 of the chat template; of the empty text where there is none."""
    template = getattr(processor, "chat_template", None) or ""
    text = template if isinstance(template, str) else json.dumps(template, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def expected_identity(checkpoint: Checkpoint) -> ModelIdentity | None:
    """What the configuration alone says about a model, so that a wrong layer is refused before weights are read.

    None where only the checkpoint's own code knows its configuration. Layers of undeclared kind count as "full".

    Raises:
        ModelError: the configuration contradicts itself, or is of a model without attention.
    """
    if checkpoint.model_type not in transformers.CONFIG_MAPPING:
        return None
    try:
        # A copy of all of it: transformers writes into the nested tables.
        config: Any = transformers.CONFIG_MAPPING[checkpoint.model_type].from_dict(deepcopy(checkpoint.config))
        text: Any = config.get_text_config()
        n_layers = int(text.num_hidden_layers)
    except Exception as error:
        raise ModelError(f"the configuration of {checkpoint.source} cannot be read: {first_line(error)}") from error
    n_heads, n_kv_heads = head_counts(text)
    declared = [kind or "full_attention" for kind in declared_kinds(text)]
    window = text_value(text, "sliding_window")
    names = {"full_attention": "full", "sliding_attention": f"window {window}", "chunked_attention": "chunk"}
    return ModelIdentity(
        id=checkpoint.source,
        revision=checkpoint.revision or "",
        model_type=checkpoint.model_type,
        config_hash=config_hash(checkpoint.config),
        processor_hash="",
        template_hash="",
        n_layers=n_layers,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        layer_kinds=tuple(names.get(kind, kind.removesuffix("_attention")) for kind in declared),
        dtype="",
        device="",
        attention="",
    )


def _json_hash(value: Mapping[str, Any]) -> str:
    text = json.dumps(_without_volatile(value), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _without_volatile(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {str(key): _without_volatile(item) for key, item in value.items() if key not in _VOLATILE}
