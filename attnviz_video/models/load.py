"""Loads a vision-language model, a text decoder or an encoder, with everything that is needed to ask it something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnviz_video.core.trace import ModelIdentity
from attnviz_video.errors import AttnVizError, DeviceError, ModelError
from attnviz_video.models.checkpoint import Checkpoint, find_checkpoint
from attnviz_video.models.decoder import head_counts, layer_kinds, text_config, text_value
from attnviz_video.models.device import resolve_device, resolve_dtype
from attnviz_video.models.families import adapter_for
from attnviz_video.models.foreign_errors import first_line
from attnviz_video.models.hub_library import quiet_transformers, transformers
from attnviz_video.models.identity import config_hash, processor_hash, template_hash
from attnviz_video.models.layouts.adapter import LayoutAdapter
from attnviz_video.models.lora import add_adapter
from attnviz_video.models.placement import Placement, devices_of, first_device, placement_of
from attnviz_video.models.processor import load_processor
from attnviz_video.models.settings import ModelSettings
from attnviz_video.models.text_decoders import reads_text_only
from attnviz_video.models.text_encoders import encoder_class, is_encoder, without_late_parts


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model in eval mode on its device, its processor, and the layout rule of its family."""

    #: A transformers `PreTrainedModel`.
    model: Any
    processor: Any
    tokenizer: Any
    #: What the user gave: a folder or a hub id.
    id: str
    revision: str
    device: torch.device
    adapter: LayoutAdapter
    checkpoint: Checkpoint
    #: Folder or hub id of the LoRA adapter that was added to it.
    lora: str = ""

    @property
    def is_encoder(self) -> bool:
        """Whether it reads a text in one pass and writes none."""
        return is_encoder(self.checkpoint.model_type)

    def identity(self) -> ModelIdentity:
        """Who this model is, as a trace says it."""
        config = text_config(self.model)
        n_heads, n_kv_heads = head_counts(config)
        return ModelIdentity(
            id=self.id,
            revision=self.revision,
            model_type=str(self.model.config.model_type),
            config_hash=config_hash(self.checkpoint.config),
            processor_hash=processor_hash(self.processor),
            template_hash=template_hash(self.processor),
            n_layers=int(config.num_hidden_layers),
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            layer_kinds=layer_kinds(self.model),
            dtype=str(self.model.dtype).removeprefix("torch."),
            device=devices_of(self.model, self.device),
            attention=str(getattr(config, "_attn_implementation", None) or "eager"),
            vocab_size=int(text_value(config, "vocab_size") or 0),
            tokenizer_class=type(self.tokenizer).__name__,
            tokenizer_size=len(self.tokenizer),
        )


def load_model(settings: ModelSettings) -> LoadedModel:
    """Load the model, processor and tokenizer that `settings` name; gradients are off.

    Raises:
        ModelError: it cannot be found, is no model that answers, needs remote code, or is damaged.
        DeviceError: the device is not there or too small.
    """
    device = resolve_device(settings.device)
    checkpoint = find_checkpoint(settings)
    placement = placement_of(settings, checkpoint, device)
    with quiet_transformers():
        processor = load_processor(checkpoint, settings.min_pixels, settings.max_pixels)
        model = _load_weights(checkpoint, resolve_dtype(settings.dtype, placement.device), placement)
        if settings.adapter is not None:
            add_adapter(model, settings.adapter)
        model.eval()
        model.requires_grad_(False)
        if placement.device_map is None:
            model = _on_device(model, placement.device, settings)
    commit = getattr(model.config, "_commit_hash", None)
    return LoadedModel(
        model=model,
        processor=processor,
        tokenizer=processor.tokenizer,
        id=str(settings.model_path),
        revision=str(commit or settings.revision or ""),
        device=first_device(model, placement.device),
        adapter=adapter_for(model.config),
        checkpoint=checkpoint,
        lora=settings.adapter or "",
    )


def _load_weights(checkpoint: Checkpoint, dtype: Any, placement: Placement) -> Any:
    """The model, on the CPU unless it has a map; every weight it has must come from the checkpoint."""
    auto = transformers.AutoModelForImageTextToText
    if reads_text_only(checkpoint.model_type):
        auto = transformers.AutoModelForCausalLM
    elif is_encoder(checkpoint.model_type):
        auto = encoder_class(checkpoint.config)
    try:
        model, report = auto.from_pretrained(
            checkpoint.source,
            dtype=dtype,
            output_loading_info=True,
            **checkpoint.load_arguments(),
            **placement.load_arguments(),
        )
    except AttnVizError:
        raise
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{checkpoint.source} does not fit on {placement.device}: its weights need more memory than is free; "
            "use a larger device, --device_map auto, --dtype bfloat16 or --device cpu"
        ) from error
    except Exception as error:
        raise ModelError(f"the weights of {checkpoint.source} cannot be loaded: {first_line(error)}") from error
    missing = sorted(report["missing_keys"])
    if is_encoder(checkpoint.model_type):
        missing = without_late_parts(missing)
    if missing:
        raise ModelError(
            f"the weights of {checkpoint.source} are incomplete: {len(missing)} tensors are missing, "
            f"such as {missing[0]}"
        )
    return model


def _on_device(model: nn.Module, device: torch.device, settings: ModelSettings) -> nn.Module:
    if getattr(model, "hf_quantizer", None) is not None:
        return model  # it was packed for its device when it was read, and many kinds refuse to be moved
    try:
        moved: nn.Module = model.to(device)
    except torch.OutOfMemoryError as error:
        size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        raise DeviceError(
            f"{settings.model_path} does not fit on {device}: its weights need {size / 1e9:.1f} GB; "
            "use a larger device, --dtype bfloat16 or --device cpu"
        ) from error
    return moved
