"""A model without its weights: what its modules are can be seen in a second, however large it is."""

from __future__ import annotations

from typing import Any

import torch

from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import ModelError
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.decoder import head_counts, layer_kinds, text_config
from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.models.identity import config_hash, expected_identity
from attnviz_video.models.text_decoders import reads_text_only
from attnviz_video.models.text_encoders import encoder_class, is_encoder


def identity_without_weights(checkpoint: Checkpoint) -> ModelIdentity | None:
    """Layers and heads of a model, from its modules alone; what only a loaded model has is empty.

    None where the modules cannot be built without the weights, as code of a checkpoint's own may ask for.

    Raises:
        ModelError: the configuration contradicts itself, or is of a model without attention; weights change nothing.
    """
    expected_identity(checkpoint)
    try:
        with quiet_transformers():
            model = _empty_model(checkpoint)
            config = text_config(model)
            n_heads, n_kv_heads = head_counts(config)
            kinds = layer_kinds(model)
    except ModelError:
        raise
    except Exception:
        return None
    return ModelIdentity(
        id=checkpoint.source,
        revision=checkpoint.revision or "",
        model_type=checkpoint.model_type,
        config_hash=config_hash(checkpoint.config),
        processor_hash="",
        template_hash="",
        n_layers=len(kinds),
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        layer_kinds=kinds,
        dtype="",
        device="",
        attention="",
    )


def _empty_model(checkpoint: Checkpoint) -> Any:
    """The model on the meta device, where tensors have a shape and nothing else."""
    auto = transformers.AutoModelForImageTextToText
    if reads_text_only(checkpoint.model_type):
        auto = transformers.AutoModelForCausalLM
    elif is_encoder(checkpoint.model_type):
        auto = encoder_class(checkpoint.config)
    config = transformers.AutoConfig.from_pretrained(checkpoint.source, **checkpoint.load_arguments())
    with torch.device("meta"):
        return auto.from_config(config, trust_remote_code=checkpoint.trust_remote_code)
