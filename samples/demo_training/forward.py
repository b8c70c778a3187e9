"""The training forward: Qwen2-VL's own parameters, batched for images of one size and several questions per image.

transformers runs the vision tower image by image and the decoder on one padded row per conversation. Here all images go
through together, and the questions about one scene share its image prefix: every question attends to the prefix and to
itself, never to another question. The result is the same as transformers' (tests compare logits), at a fraction of the
cost. Nothing is copied: the functions read the parameters of the Hugging Face model itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from demo_scenes import CELLS_PER_SIDE, IMAGE_SIZE
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen2VLForConditionalGeneration

PATCH = 14
PATCHES_PER_SIDE = IMAGE_SIZE // PATCH
CELLS = CELLS_PER_SIDE**2
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Group:
    """Shapes of a batch: ``scenes`` prefixes of ``prefix`` tokens, each followed by ``slots`` (how many, how long)."""

    scenes: int
    prefix: int
    slots: tuple[tuple[int, int], ...]

    @property
    def prefix_tokens(self) -> int:
        return self.scenes * self.prefix

    @property
    def slot_tokens(self) -> int:
        return self.scenes * sum(number * length for number, length in self.slots)


def extract_patches(images: Tensor) -> Tensor:
    """Normalised patches ``(B, 256, 588)`` of uint8 images ``(B, 224, 224, 3)``, in Qwen2-VL's order: cell by cell."""
    batch = images.shape[0]
    pixels = images.to(torch.float32) / 255
    pixels = (pixels - torch.tensor(_MEAN)) / torch.tensor(_STD)
    cells = pixels.view(batch, CELLS_PER_SIDE, 2, PATCH, CELLS_PER_SIDE, 2, PATCH, 3)
    return cells.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(batch, PATCHES_PER_SIDE**2, 3 * PATCH * PATCH)


@cache
def vision_rotary(head_dim: int, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``(256, head_dim)`` of the vision tower's two-axis rotary positions."""
    side = torch.arange(PATCHES_PER_SIDE).view(CELLS_PER_SIDE, 2)
    rows = side[:, None, :, None].expand(-1, CELLS_PER_SIDE, -1, 2).reshape(-1)
    cols = side[None, :, None, :].expand(CELLS_PER_SIDE, -1, 2, -1).reshape(-1)
    half = head_dim // 2
    frequencies = 1.0 / theta ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
    angles = torch.cat([rows[:, None] * frequencies, cols[:, None] * frequencies], 1)
    angles = torch.cat([angles, angles], 1)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def _vision_block(x: Tensor, weights: Sequence[Tensor], cos: Tensor, sin: Tensor, heads: int) -> Tensor:
    """One block of the vision tower on ``(B, 256, D)``; ``weights`` in the order of ``named_parameters``."""
    n1w, n1b, n2w, n2b, qkv_w, qkv_b, proj_w, proj_b, fc1_w, fc1_b, fc2_w, fc2_b = weights
    batch, tokens, width = x.shape
    normed = functional.layer_norm(x, (width,), n1w, n1b, 1e-6)
    qkv = functional.linear(normed, qkv_w, qkv_b).view(batch, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
    query, key = _rotate(qkv[0], cos, sin), _rotate(qkv[1], cos, sin)
    mixed = functional.scaled_dot_product_attention(query, key, qkv[2])
    x = x + functional.linear(mixed.transpose(1, 2).reshape(batch, tokens, width), proj_w, proj_b)
    hidden = functional.linear(functional.layer_norm(x, (width,), n2w, n2b, 1e-6), fc1_w, fc1_b)
    return x + functional.linear(hidden * torch.sigmoid(1.702 * hidden), fc2_w, fc2_b)


def _rms_norm(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight


def _attend(query: Tensor, key: Tensor, value: Tensor, group: Group, masks: Sequence[Tensor], repeat: int) -> Tensor:
    """Prefix attends to itself; every slot attends to its scene's prefix and to itself. Rows are flat tokens."""
    width = query.shape[-1]
    cut = group.prefix_tokens

    def heads(x: Tensor, rows: int, length: int) -> Tensor:
        return x.view(rows, length, -1, width).transpose(1, 2)

    q, k, v = (heads(x[:cut], group.scenes, group.prefix) for x in (query, key, value))
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    parts = [mixed.transpose(1, 2).reshape(cut, -1)]
    for (number, length), mask in zip(group.slots, masks, strict=True):
        end = cut + group.scenes * number * length
        rows = group.scenes * number
        own_q, own_k, own_v = (heads(x[cut:end], rows, length) for x in (query, key, value))
        shared_k = k.repeat_interleave(number, 0)
        shared_v = v.repeat_interleave(number, 0)
        full_k = torch.cat([shared_k, own_k.repeat_interleave(repeat, 1)], 2)
        full_v = torch.cat([shared_v, own_v.repeat_interleave(repeat, 1)], 2)
        mixed = functional.scaled_dot_product_attention(own_q, full_k, full_v, attn_mask=mask)
        parts.append(mixed.transpose(1, 2).reshape(rows * length, -1))
        cut = end
    return torch.cat(parts)


def _decoder_layer(
    x: Tensor,
    weights: Sequence[Tensor],
    cos: Tensor,
    sin: Tensor,
    masks: Sequence[Tensor],
    group: Group,
    head_dim: int,
) -> Tensor:
    """One decoder layer on flat tokens ``(N, D)``; ``weights`` in the order of ``named_parameters``."""
    q_w, q_b, k_w, k_b, v_w, v_b, o_w, gate_w, up_w, down_w, norm1, norm2 = weights
    normed = _rms_norm(x, norm1)
    query = functional.linear(normed, q_w, q_b).view(x.shape[0], -1, head_dim)
    key = functional.linear(normed, k_w, k_b).view(x.shape[0], -1, head_dim)
    value = functional.linear(normed, v_w, v_b).view(x.shape[0], -1, head_dim)
    repeat = query.shape[1] // key.shape[1]
    mixed = _attend(_rotate(query, cos, sin), _rotate(key, cos, sin), value, group, masks, repeat)
    x = x + functional.linear(mixed, o_w)
    normed = _rms_norm(x, norm2)
    hidden = functional.silu(functional.linear(normed, gate_w)) * functional.linear(normed, up_w)
    return x + functional.linear(hidden, down_w)


_VISION_ORDER = (
    "norm1.weight norm1.bias norm2.weight norm2.bias attn.qkv.weight attn.qkv.bias attn.proj.weight attn.proj.bias "
    "mlp.fc1.weight mlp.fc1.bias mlp.fc2.weight mlp.fc2.bias"
)
_DECODER_ORDER = (
    "self_attn.q_proj.weight self_attn.q_proj.bias self_attn.k_proj.weight self_attn.k_proj.bias "
    "self_attn.v_proj.weight self_attn.v_proj.bias self_attn.o_proj.weight mlp.gate_proj.weight mlp.up_proj.weight "
    "mlp.down_proj.weight input_layernorm.weight post_attention_layernorm.weight"
)


def _weights(block: nn.Module, order: str) -> tuple[Tensor, ...]:
    return tuple(block.get_parameter(name) for name in order.split())


class BatchedForward:
    """Runs a Hugging Face Qwen2-VL on batches of equal shape; ``compiled`` fuses each layer with ``torch.compile``."""

    def __init__(self, model: Qwen2VLForConditionalGeneration, compiled: bool = False) -> None:
        self.model = model
        self.vision = model.model.visual
        self.text = model.model.language_model
        config = model.config.text_config
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.sections = config.rope_parameters["mrope_section"]
        self.frequencies = self.text.rotary_emb.inv_freq.float()
        self._vision_block = torch.compile(_vision_block, dynamic=False) if compiled else _vision_block
        self._decoder_layer = torch.compile(_decoder_layer, dynamic=False) if compiled else _decoder_layer

    def encode_images(self, images: Tensor) -> Tensor:
        """Image features ``(B, 64, D)`` as the decoder receives them."""
        projection = self.vision.patch_embed.proj.weight.sum(2).flatten(1)
        x = functional.linear(extract_patches(images), projection)
        heads = self.vision.config.num_heads
        cos, sin = vision_rotary(x.shape[-1] // heads)
        for block in self.vision.blocks:
            x = self._vision_block(x, _weights(block, _VISION_ORDER), cos, sin, heads)
        merged = self.vision.merger.ln_q(x).reshape(x.shape[0], CELLS, -1)
        features: Tensor = self.vision.merger.mlp(merged)
        return features

    def rotary(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine ``(N, 1, head_dim)`` for positions ``(N, 3)``: time, height, width."""
        angles = positions[:, :, None].float() * self.frequencies
        parts = angles.split(self.sections, -1)
        mixed = torch.cat([part[:, axis] for axis, part in enumerate(parts)], -1)
        mixed = torch.cat([mixed, mixed], -1)[:, None]
        return mixed.cos(), mixed.sin()

    def hidden_states(
        self, group: Group, ids: Tensor, positions: Tensor, images: Tensor, image_at: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Final hidden states ``(N, D)`` of flat tokens, and the image features.

        ``ids`` and ``positions`` hold the prefixes first, then each slot shape; ``image_at`` lists the flat positions
        of all image tokens, image by image.
        """
        features = self.encode_images(images)
        x = self.text.embed_tokens(ids)
        x = x.index_copy(0, image_at, features.reshape(-1, features.shape[-1]))
        cos, sin = self.rotary(positions)
        masks = tuple(slot_mask(group.prefix, length) for _, length in group.slots)
        for layer in self.text.layers:
            x = self._decoder_layer(x, _weights(layer, _DECODER_ORDER), cos, sin, masks, group, self.head_dim)
        return _rms_norm(x, self.text.norm.weight), features

    def logits(self, hidden: Tensor) -> Tensor:
        """Vocabulary scores of the given hidden states."""
        return functional.linear(hidden, self.model.lm_head.weight)


@cache
def slot_mask(prefix: int, length: int) -> Tensor:
    """Additive mask ``(length, prefix + length)``: the whole prefix is visible, the slot itself causally."""
    own = torch.full((length, length), float("-inf")).triu(1)
    return torch.cat([torch.zeros(length, prefix), own], 1)
