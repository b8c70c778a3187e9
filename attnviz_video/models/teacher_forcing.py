"""Model inputs for a prompt and an answer in one pass: what every input that counts positions says about the answer.

A processor prepares the prompt only. While a model generates, transformers extends these inputs by one entry per token;
for a forward pass over the finished text (teacher forcing) the same entries are written at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from attnviz_video.errors import ModelError, TooLongError
from attnviz_video.models.decoder import text_config
from attnviz_video.models.layouts.adapter import image_token_id

#: The entry of an answer token: it is attended to, is text and no image, and in Gemma 3 belongs to no image block.
ANSWER_ENTRY = {"attention_mask": 1, "mm_token_type_ids": 0, "token_type_ids": 0}
#: PaliGemma's prompt (0) attends in both directions; its answer (1), the suffix of the paper, is causal.
ANSWER_ENTRY_OF_FAMILY = {("paligemma", "token_type_ids"): 1}
#: Inputs whose last entry holds for the answer too: which images a text position of Mllama attends to.
LAST_ENTRY_REPEATED = ("cross_attention_mask",)


def with_answer(inputs: Mapping[str, Any], answer_ids: Sequence[int], model_type: str) -> dict[str, Any]:
    """`inputs` of a prompt (batch size 1), extended by the tokens of an answer; pictures stay as they are.

    Raises:
        ModelError: an input counts the prompt's positions, and what it says of an answer is not known.
    """
    prompt: Tensor = inputs["input_ids"]
    n_prompt, n_answer = prompt.shape[1], len(answer_ids)
    extended = dict(inputs)
    extended["input_ids"] = torch.cat([prompt, torch.tensor([list(answer_ids)], dtype=prompt.dtype)], dim=1)
    for name, value in inputs.items():
        if name == "input_ids" or not counts_positions(name, value, n_prompt):
            continue
        if name in LAST_ENTRY_REPEATED:
            more = value[:, -1:].repeat_interleave(n_answer, dim=1)
        else:
            more = value.new_full((1, n_answer), answer_entry(name, model_type))
        extended[name] = torch.cat([value, more], dim=1)
    return extended


def counts_positions(name: str, value: Any, n_prompt: int) -> bool:
    """Whether an input has one entry for every prompt position.

    Raises:
        ModelError: its shape says so, but its name is not known.
    """
    if name in ANSWER_ENTRY or name in LAST_ENTRY_REPEATED:
        return True
    if isinstance(value, Tensor) and value.ndim == 2 and value.shape == (1, n_prompt):
        raise ModelError(
            f"the processor returned {name} with one entry for each of the {n_prompt} prompt tokens; what it says of "
            "an answer is not known, so a stored response cannot be replayed with this model; use --answer generate"
        )
    return False


def answer_entry(name: str, model_type: str) -> int:
    """What input `name` says at every position of the answer."""
    return ANSWER_ENTRY_OF_FAMILY.get((model_type, name), ANSWER_ENTRY[name])


def check_answer(model: Any, answer_ids: Sequence[int], n_prompt: int) -> None:
    """Refuse an answer that the model cannot read, before it runs; `n_prompt` counts the tokens it reads before.

    Raises:
        ModelError: the answer is too long, holds unknown ids, or placeholders of images.
    """
    limit = getattr(text_config(model), "max_position_embeddings", None)
    if isinstance(limit, int) and n_prompt + len(answer_ids) > limit:
        raise TooLongError(
            f"the prompt has {n_prompt} tokens and the response {len(answer_ids)}, together more than the {limit} the "
            "model reads; lower --max_pixels or shorten the response",
            n_prompt=n_prompt, n_answer=len(answer_ids), limit=limit,
        )  # fmt: skip
    n_known = int(model.get_input_embeddings().weight.shape[0])
    unknown = next((token for token in answer_ids if not 0 <= token < n_known), None)
    if unknown is not None:
        raise ModelError(
            f"the response holds token {unknown}, the model knows 0 to {n_known - 1}; was it written by another model?"
        )
    placeholder = image_token_id(model.config)
    if placeholder in answer_ids:
        raise ModelError(
            f"the response holds token {placeholder}, the model's image placeholder: it stands for features of a "
            "picture, and a response has none; take it out of the response"
        )


@contextmanager
def positions_computed_anew(model: Any) -> Iterator[None]:
    """No position offset of an earlier run inside the block; afterwards it is what it was.

    The Qwen families keep `rope_deltas` on the model from one forward pass to the next.
    """
    kept = [(module, module.rope_deltas) for module in model.modules() if "rope_deltas" in vars(module)]
    for module, _ in kept:
        module.rope_deltas = None
    try:
        yield
    finally:
        for module, deltas in kept:
            module.rope_deltas = deltas
