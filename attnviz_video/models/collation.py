"""Inputs of several prompts as one batch: text padded on its left to one length, pictures one after the other.

Every processor call prepares one prompt, so that its layout is known on its own; put together here, the batch holds the
same numbers. What is padded is hidden by the attention mask (text), by the sizes that go with the pictures, or is
recognised by the model as no picture because it is all zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from attnviz_video.errors import ModelError
from attnviz_video.models.layouts.adapter import image_token_id
from attnviz_video.models.teacher_forcing import ANSWER_ENTRY, LAST_ENTRY_REPEATED

#: Families whose batches equal single runs, proven by `tests/families` (variants with experts take the same inputs).
#: Their pictures are joined along the first axis, whatever it counts: pictures, tiles, patches, prompts.
BATCHED_FAMILIES = frozenset(
    {
        "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe", "glm4v", "glm4v_moe", "llava",
        "llava_next", "llava_onevision", "mistral3", "internvl", "aya_vision", "idefics3", "smolvlm", "gemma3",
        "gemma4", "paligemma", "mllama",
    }
)  # fmt: skip
#: Families whose picture inputs have one entry per prompt, so that a prompt without pictures has no place among others.
_ONE_ENTRY_PER_PROMPT = frozenset({"idefics3", "smolvlm", "mllama"})
#: Families in which pictures that pad a batch change the numbers: text before the first picture of Mllama attends to
#: all picture features alike, those of the padding among them.
_SAME_NUMBER_OF_PICTURES = frozenset({"mllama"})
#: What stands for "no picture here" in inputs where 0 means something.
_FILLER = {"image_position_ids": -1}


def collate(samples: Sequence[Mapping[str, Any]], config: Any) -> dict[str, Any]:
    """Inputs of batch size 1 as one batch; no position of the text sees the padding before it.

    Raises:
        ModelError: the family's batches are not known to be right, or the prompts do not go together.
    """
    refuse_unknown(config, samples)
    longest = max(sample["input_ids"].shape[1] for sample in samples)
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    batch: dict[str, Any] = {}
    for name in names:
        values = [sample[name] for sample in samples if name in sample]
        if name == "input_ids":
            fillers = [filler_id(value[0], config) for value in values]
        elif name in ANSWER_ENTRY or name in LAST_ENTRY_REPEATED:
            fillers = [0] * len(values)
        else:
            batch[name] = joined(values, _FILLER.get(name, 0))
            continue
        if len(values) < len(samples):
            raise ModelError(f"some prompts of the batch come with {name} and some without; run them one by one")
        padded = [padded_to(value, longest, filler) for value, filler in zip(values, fillers, strict=True)]
        batch[name] = joined(padded, 0)
    return batch


def refuse_unknown(config: Any, samples: Sequence[Mapping[str, Any]]) -> None:
    """Refuse batches of which it is not known that they equal single runs.

    Raises:
        ModelError: the family is not among those known, or prompts with and without pictures do not go together.
    """
    has_pictures = ["pixel_values" in sample for sample in samples]
    if config.model_type not in BATCHED_FAMILIES and image_token_id(config) is not None:
        raise ModelError(
            f"batches of model_type {config.model_type!r} are not known to equal single runs; run its samples one by "
            f"one (batches work for {', '.join(sorted(BATCHED_FAMILIES))})"
        )
    if config.model_type in _ONE_ENTRY_PER_PROMPT and any(has_pictures) and not all(has_pictures):
        raise ModelError(
            f"model_type {config.model_type!r} takes no batch of prompts with and without pictures; run them apart"
        )
    if config.model_type in _SAME_NUMBER_OF_PICTURES:
        counts = {sample["pixel_values"].shape[1] for sample in samples if "pixel_values" in sample}
        if len(counts) > 1:
            raise ModelError(
                f"in a batch of model_type {config.model_type!r} all prompts must have the same number of pictures, "
                f"these have {', '.join(map(str, sorted(counts)))}; run them apart"
            )


def filler_id(ids: Tensor, config: Any) -> int:
    """The id that pads one prompt: its own last token that is no picture's.

    Nobody attends to it. A token of the prompt, since a repetition penalty looks at all ids: a padding token of its own
    would be held back in the answer, which it is not when the prompt runs alone.
    """
    image = image_token_id(config)
    return next(int(token) for token in reversed(ids.tolist()) if token != image)


def padded_to(value: Tensor, length: int, filler: int) -> Tensor:
    """[1, positions, …] with `filler` before it up to `length`."""
    return pad(value, (*(0, 0) * (value.ndim - 2), length - value.shape[1], 0), value=filler)


def joined(values: Sequence[Any], filler: int) -> Any:
    """Tensors one after the other along the first axis, their other axes padded at the end to the largest."""
    if not all(isinstance(value, Tensor) for value in values):
        raise ModelError(f"a picture input of the processor is a {type(values[0]).__name__}, which no batch can hold")
    largest = [max(sizes) for sizes in zip(*(value.shape[1:] for value in values), strict=True)]
    padded = []
    for value in values:
        missing = [size - own for size, own in zip(largest, value.shape[1:], strict=True)]
        padded.append(pad(value, [amount for size in reversed(missing) for amount in (0, size)], value=filler))
    return torch.cat(padded)
