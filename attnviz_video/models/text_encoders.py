"""Encoders that read a text in one pass, every query seeing every key (BERT): which they are, and how they load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz_video.models.hub_library import transformers

#: Ends of the names of architectures whose output head predicts masked words.
_WITH_HEAD = ("ForMaskedLM", "ForPreTraining")
#: Parts of a model that come after the last attention layer, and that checkpoints without a use for them leave out.
_AFTER_ATTENTION = ("pooler.",)


def is_encoder(model_type: str) -> bool:
    """Whether models of this type are text encoders: trained to fill masked words, with no decoder and no images."""
    names = transformers.models.auto.modeling_auto
    others = (
        names.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
        names.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
        names.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES,
        names.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES,
    )
    return model_type in names.MODEL_FOR_MASKED_LM_MAPPING_NAMES and not any(model_type in other for other in others)


def encoder_class(config: Mapping[str, Any]) -> Any:
    """The auto class that loads an encoder: with its head for masked words where its checkpoint has one, else without.

    `config` is config.json. ELECTRA's discriminator was pretrained without such a head.
    """
    named = [str(name) for name in config.get("architectures") or ()]
    has_head = any(name.endswith(_WITH_HEAD) for name in named) and "ElectraForPreTraining" not in named
    return transformers.AutoModelForMaskedLM if has_head or not named else transformers.AutoModel


def without_late_parts(missing: Sequence[str]) -> list[str]:
    """Those of the `missing` tensors that attention, or the prediction of masked words, depends on."""
    return [name for name in missing if not any(part in name for part in _AFTER_ATTENTION)]


def longest_text(model: Any, tokenizer: Any) -> int | None:
    """How many tokens an encoder reads at most; None where its positions have no end.

    RoBERTa's position table begins behind the padding: two of its 514 rows are no position of a text.
    """
    table = getattr(model.config, "max_position_embeddings", None)
    limits = [int(tokenizer.model_max_length)]
    if isinstance(table, int) and table > 0:
        embedding = next(
            (module for name, module in model.named_modules() if name.endswith("embeddings.position_embeddings")), None
        )
        padding = getattr(embedding, "padding_idx", None)
        limits.append(table if padding is None else table - int(padding) - 1)
    longest = min(limits)
    return longest if longest < 10**9 else None
