"""Small random vision-language models with a tokenizer and inputs, all in memory: no file is read or written."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from attnviz_video.capture.plan import RecordingPlan
from attnviz_video.core.layout import ImageInfo, PatchGrid, TokenLayout
from attnviz_video.core.prepared import Prepared
from attnviz_video.core.tokens import Role, Token
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.load import LoadedModel
from attnviz_video.models.token_text import TokenText

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
           "<|video_pad|>")  # fmt: skip
ENDOFTEXT, IM_START, IM_END, VISION_START, VISION_END, IMAGE_PAD, VIDEO_PAD = range(256, 256 + len(SPECIAL))
VOCABULARY = 256 + len(SPECIAL)
N_LAYERS, N_HEADS, PATCH = 3, 4, 4

TEXT: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": N_LAYERS, "num_attention_heads": N_HEADS,
    "num_key_value_heads": 2, "head_dim": 8, "vocab_size": VOCABULARY, "max_position_embeddings": 512,
    "tie_word_embeddings": False, "pad_token_id": ENDOFTEXT, "bos_token_id": ENDOFTEXT, "eos_token_id": IM_END,
}  # fmt: skip
SHARED: dict[str, Any] = {
    "image_token_id": IMAGE_PAD, "video_token_id": VIDEO_PAD, "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END, "tie_word_embeddings": False,
}  # fmt: skip
#: transformers 5 renamed the rotary settings.
VERSION_5 = int(transformers.__version__.split(".")[0]) >= 5
#: Since transformers 5.4 processors return the kind of every token, and models take it.
KINDS_OF_TOKENS = (
    "mm_token_type_ids" in inspect.signature(transformers.Qwen2VLForConditionalGeneration.forward).parameters
)
#: Whether models that run eager attention can be recorded: since transformers 5.1.
EAGER_CAN_BE_WATCHED = hasattr(transformers.modeling_utils.ALL_ATTENTION_FUNCTIONS, "get_interface")


def rope(**more: object) -> dict[str, object]:
    settings = {"rope_type": "default", "mrope_section": [2, 1, 1], **more}
    if VERSION_5:
        return {"rope_parameters": {**settings, "rope_theta": 10000.0}}
    return {"rope_scaling": settings, "rope_theta": 10000.0}


def tokenizer() -> Any:
    """One token per byte, spelled by the GPT-2 table, and Qwen's special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>")


def model(kind: str = "qwen2_vl", attention: str = "sdpa", seed: int = 0, **text: Any) -> Any:
    """A random model whose attention is peaked, in float32 and eval mode."""
    torch.manual_seed(seed)
    made = BUILDERS[kind]({**TEXT, **text})
    made.set_attn_implementation({"text_config": attention})
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "language_model" in name and ("q_proj.weight" in name or "k_proj.weight" in name):
                weight.mul_(20)
            elif "embed_tokens" in name or "lm_head" in name:
                weight.mul_(30)
    made.generation_config.eos_token_id = IM_END
    made.generation_config.pad_token_id = ENDOFTEXT
    return made.eval().requires_grad_(False)


def _qwen2_vl(text: dict[str, Any]) -> Any:
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2, "patch_size": PATCH}
    config = transformers.Qwen2VLConfig(text_config={**text, **rope()}, vision_config=vision, **SHARED)
    return transformers.Qwen2VLForConditionalGeneration(config)


def _qwen2_5_vl(text: dict[str, Any]) -> Any:
    vision = {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": PATCH, "window_size": 16, "fullatt_block_indexes": [1],
    }  # fmt: skip
    text = {**text, **rope()}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision, **SHARED)
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def _qwen3_vl(text: dict[str, Any]) -> Any:
    vision = {
        "depth": 2, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": PATCH, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    text = {**text, **rope(mrope_interleaved=True)}
    config = transformers.Qwen3VLConfig(text_config=text, vision_config=vision, **SHARED)
    return transformers.Qwen3VLForConditionalGeneration(config)


BUILDERS = {"qwen2_vl": _qwen2_vl, "qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl}


class _NoLayoutRule:
    """Stands in for a family's rule: the inputs here come with their layout."""

    def layout(self, config: Any, processor: Any, outputs: Any, images: Any) -> TokenLayout:
        raise NotImplementedError


def loaded(made: Any) -> LoadedModel:
    """The model as `load_model` returns it; it has no processor, since inputs are made here."""
    return LoadedModel(
        model=made, processor=tokenizer(), tokenizer=tokenizer(), id="in-memory", revision="",
        device=torch.device("cpu"), adapter=_NoLayoutRule(),
        checkpoint=Checkpoint("in-memory", None, False, {"model_type": made.config.model_type}),
    )  # fmt: skip


def prepared(grids: Sequence[tuple[int, int]] = ((2, 3),), question: str = "What is it?", seed: int = 0) -> Prepared:
    """A system turn, images of `grids` (rows, columns of merged patches) and `question`, as Qwen's template writes."""
    ids: list[int] = []
    roles: list[Role] = []

    def write(role: Role, *some: int) -> None:
        ids.extend(some)
        roles.extend([role] * len(some))

    text = tokenizer()
    write("template", IM_START)
    write("system", *text.encode("be brief", add_special_tokens=False))
    write("template", IM_END, IM_START)
    for rows, columns in grids:
        write("template", VISION_START)
        write("image", *[IMAGE_PAD] * (rows * columns))
        write("template", VISION_END)
    write("user", *text.encode(question, add_special_tokens=False))
    write("template", IM_END, IM_START)
    layout = _layout(np.array(ids), grids)
    noise = torch.Generator().manual_seed(seed)
    n_patches = sum(4 * rows * columns for rows, columns in grids)
    input_ids = torch.tensor([ids])
    inputs: dict[str, Any] = {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
    }
    if KINDS_OF_TOKENS:
        inputs["mm_token_type_ids"] = (input_ids == IMAGE_PAD).long()
    if grids:
        inputs["pixel_values"] = torch.randn(n_patches, 3 * 2 * PATCH * PATCH, generator=noise)
        inputs["image_grid_thw"] = torch.tensor([[1, 2 * rows, 2 * columns] for rows, columns in grids])
    tokens = tuple(
        Token(position, token, piece.raw, piece.piece, role, "prompt", piece.special,
              int(layout.image_of[position]), int(layout.patch_of[position]))
        for position, (token, role, piece) in enumerate(zip(ids, roles, TokenText(text).describe(ids), strict=True))
    )  # fmt: skip
    return Prepared(inputs, layout, tokens, "".join(token.piece for token in tokens))


def _layout(ids: np.ndarray, grids: Sequence[tuple[int, int]]) -> TokenLayout:
    image_of, patch_of = np.full(ids.shape, -1), np.full(ids.shape, -1)
    positions, start = np.flatnonzero(ids == IMAGE_PAD), 0
    for image, (rows, columns) in enumerate(grids):
        own = positions[start : start + rows * columns]
        image_of[own], patch_of[own] = image, np.arange(rows * columns)
        start += rows * columns
    return TokenLayout(
        images=tuple(ImageInfo(f"{index}.png", 80, 60, "0") for index in range(len(grids))),
        grids=tuple(PatchGrid(index, *grid, (0.0, 0.0, 80.0, 60.0)) for index, grid in enumerate(grids)),
        image_of=image_of.astype(np.int64),
        patch_of=patch_of.astype(np.int64),
    )


ALL_LAYERS = tuple(range(N_LAYERS))
EVERYTHING = RecordingPlan(ALL_LAYERS, ALL_LAYERS, tuple(range(N_HEADS)), ALL_LAYERS, ALL_LAYERS)
