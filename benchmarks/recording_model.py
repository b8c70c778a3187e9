"""Random models of the shapes that recording is measured on, and prompts for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image

from attnviz_video.core.prepared import Prepared
from attnviz_video.core.sample import Sample
from attnviz_video.models.load import LoadedModel, load_model
from attnviz_video.models.prompt import prepare
from attnviz_video.models.settings import ModelSettings
from attnviz_video.testing.tiny_checkpoints import TinyShape, build_qwen2_vl


@dataclass(frozen=True)
class Size:
    """Shape of a text decoder."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    #: None: the small vocabulary of the test tokenizer.
    vocabulary: int | None = None


#: "mid" is between a laptop's patience and a real model; "7b" has the shape of Qwen2-VL-7B.
SIZES: Mapping[str, Size] = {
    "tiny": Size(64, 4, 4, 2, 128),
    "mid": Size(512, 12, 8, 2, 2048),
    "7b": Size(3584, 28, 28, 4, 18944, 152064),
}


def random_model(size: Size, device: str, dtype: torch.dtype) -> LoadedModel:
    """A random Qwen2-VL of that size around the tokenizer and processor of the tiny checkpoint; it never ends early."""
    with TemporaryDirectory() as folder:
        build_qwen2_vl(Path(folder), TinyShape(max_pixels=28 * 28 * 1024))
        loaded = load_model(ModelSettings(model_path=folder, device="cpu"))
    config = loaded.model.config
    text = config.get_text_config()
    half = size.hidden // size.heads // 2
    text.hidden_size, text.num_hidden_layers, text.intermediate_size = size.hidden, size.layers, size.intermediate
    text.num_attention_heads, text.num_key_value_heads = size.heads, size.kv_heads
    text.vocab_size = size.vocabulary or text.vocab_size
    text.layer_types = ["full_attention"] * size.layers
    text.max_position_embeddings = 32768
    _set_rotary_sections(text, [half - 2 * (half * 3 // 8), half * 3 // 8, half * 3 // 8])
    config.vision_config.hidden_size = size.hidden
    torch.manual_seed(0)
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            model = type(loaded.model)(config)
    finally:
        torch.set_default_dtype(default)
    model.eval().requires_grad_(False)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return replace(loaded, model=model, device=torch.device(device))


def _set_rotary_sections(text: Any, sections: list[int]) -> None:
    """Frequencies for time, height and width; transformers 5 renamed where they stand."""
    name = "rope_parameters" if hasattr(text, "rope_parameters") else "rope_scaling"
    setattr(text, name, {**getattr(text, name), "mrope_section": sections})


def prompt_of(loaded: LoadedModel, n_tokens: int) -> Prepared:
    """An image of 900 patches (fewer in a short prompt) and enough words for about `n_tokens` positions in all."""
    side = 840 if n_tokens >= 1000 else 280
    image = Image.effect_noise((side, side), 80).convert("RGB")

    def asked(n_words: int) -> Prepared:
        return prepare(loaded, Sample(0, "benchmark", "word" + " word" * n_words, (), None), [image], "{problem}")

    short, long = asked(0).n_prompt, asked(100).n_prompt
    prepared = asked(max(0, n_tokens - short) * 100 // (long - short))
    if loaded.model.dtype == torch.float32:
        return prepared
    inputs = {
        name: value.to(loaded.model.dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in prepared.inputs.items()
    }
    return replace(prepared, inputs=inputs)
