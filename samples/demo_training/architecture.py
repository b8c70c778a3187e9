"""The demo model's architecture: a small Qwen2-VL, and all the files that make a folder a Hugging Face checkpoint.

Only sizes differ from the real Qwen2-VL. ``rope_theta`` is 100 instead of a million, because the longest prompt has a
few hundred positions and an image is 8x8 cells: with the stock value, height and width would turn the rotary angles by
almost nothing. ``mrope_section`` keeps its three entries (time, height, width).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from demo_scenes import IMAGE_SIZE
from transformers import AutoModelForImageTextToText, Qwen2VLConfig, Qwen2VLForConditionalGeneration

from demo_training.tokenizer import SPECIAL_TOKENS, VOCAB_SIZE, save_tokenizer

EARLY_LAYERS = 6
FINAL_LAYERS = 22

_TEXT_SETTINGS = (
    "vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads hidden_act "
    "max_position_embeddings rms_norm_eps bos_token_id eos_token_id pad_token_id attention_dropout "
    "initializer_range use_sliding_window sliding_window max_window_layers use_cache"
)
_VISION_SETTINGS = (
    "depth embed_dim hidden_size num_heads mlp_ratio in_channels patch_size spatial_merge_size temporal_patch_size "
    "hidden_act"
)

CHAT_TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}"
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "{% set image_count.value = image_count.value + 1 %}"
    "{% if add_vision_id %}Picture {{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "{% set video_count.value = video_count.value + 1 %}"
    "{% if add_vision_id %}Video {{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def token_id(token: str) -> int:
    """The id of a special token: they follow the byte-pair vocabulary in order."""
    return VOCAB_SIZE - len(SPECIAL_TOKENS) + SPECIAL_TOKENS.index(token)


def make_config(layers: int) -> Qwen2VLConfig:
    """The configuration with the given number of decoder layers."""
    return Qwen2VLConfig(
        text_config={
            "model_type": "qwen2_vl_text",
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "hidden_act": "silu",
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "bos_token_id": token_id("<|endoftext|>"),
            "eos_token_id": token_id("<|im_end|>"),
            "pad_token_id": token_id("<|endoftext|>"),
            "rope_theta": 100.0,
            "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        },
        vision_config={
            "depth": 3,
            "embed_dim": 96,
            "hidden_size": 128,
            "num_heads": 4,
            "mlp_ratio": 2,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=token_id("<|image_pad|>"),
        video_token_id=token_id("<|video_pad|>"),
        vision_start_token_id=token_id("<|vision_start|>"),
        vision_end_token_id=token_id("<|vision_end|>"),
        tie_word_embeddings=False,
    )


def config_json(layers: int) -> dict[str, object]:
    """config.json in the layout of the published Qwen2-VL checkpoints, which transformers 4 and 5 both read."""
    text = make_config(layers).text_config
    names = _TEXT_SETTINGS.split()
    vision = make_config(layers).vision_config
    vision_names = _VISION_SETTINGS.split()
    config = make_config(layers)
    return {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "model_type": "qwen2_vl",
        **{name: getattr(text, name) for name in names},
        "rope_theta": 100.0,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "vision_config": {"model_type": "qwen2_vl", **{name: getattr(vision, name) for name in vision_names}},
        "image_token_id": config.image_token_id,
        "video_token_id": config.video_token_id,
        "vision_start_token_id": config.vision_start_token_id,
        "vision_end_token_id": config.vision_end_token_id,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }


def new_model(layers: int, seed: int = 0) -> Qwen2VLForConditionalGeneration:
    """A freshly initialised fp32 model: matrices with variance 1 / fan-in, residual outputs at zero."""
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(make_config(layers), dtype=torch.float32)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim < 2:
                continue
            if name.endswith(("o_proj.weight", "down_proj.weight", "attn.proj.weight", "fc2.weight")):
                weight.mul_(0.0)
            elif "embed_tokens" in name:
                weight.normal_(std=0.5)
            elif "lm_head" in name:
                weight.normal_(std=0.02)
            else:
                weight.normal_(std=(weight[0].numel()) ** -0.5)
    return model


def save_checkpoint(model: Qwen2VLForConditionalGeneration, folder: Path) -> None:
    """Write the model in bfloat16 with its configuration, tokenizer, processor files and chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.detach().to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()}
    layers = model.config.text_config.num_hidden_layers
    _saved_through_transformers(state, layers, folder)
    _write_json(folder / "config.json", config_json(layers))
    stop, pad = token_id("<|im_end|>"), token_id("<|endoftext|>")
    generation = {"do_sample": False, "bos_token_id": pad, "eos_token_id": [stop, pad], "pad_token_id": pad}
    _write_json(folder / "generation_config.json", {**generation, "max_new_tokens": 256})
    pixels = IMAGE_SIZE * IMAGE_SIZE
    images = {
        "min_pixels": pixels,
        "max_pixels": pixels,
        "size": {"shortest_edge": pixels, "longest_edge": pixels},
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "do_convert_rgb": True,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "processor_class": "Qwen2VLProcessor",
    }
    kind = {"image_processor_type": "Qwen2VLImageProcessor"}
    _write_json(folder / "preprocessor_config.json", {**kind, **images})
    _write_json(folder / "video_preprocessor_config.json", {"video_processor_type": "Qwen2VLVideoProcessor", **images})
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    save_tokenizer(folder)


def _saved_through_transformers(state: dict[str, torch.Tensor], layers: int, folder: Path) -> None:
    """Let transformers name the tensors in the file, since parameter names and file names differ between versions."""
    copy = AutoModelForImageTextToText.from_config(make_config(layers), dtype=torch.bfloat16)
    copy.load_state_dict(state)
    copy.save_pretrained(folder)


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def load_checkpoint(folder: Path) -> Qwen2VLForConditionalGeneration:
    """A saved model in float32."""
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
