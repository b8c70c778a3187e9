"""Adapters: small weights trained for a model and added to it when it is loaded (LoRA, Hu et al. 2021)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnviz_video.errors import ModelError
from attnviz_video.models.foreign_errors import first_line

#: Last parts of a weight's name that are compared: "3.self_attn.q_proj.lora_A.weight" for one that the adapter adds,
#: "lm_head.weight" for one that it replaces. What stands before them differs between versions of the library.
_ADDED_PARTS, _REPLACED_PARTS = 5, 2
#: Parts that the library leaves out of the names in its files: of the adapter, and of the wrappers around modules.
_UNSTORED_PARTS = ("default", "modules_to_save", "token_adapter")
#: The magnitudes of DoRA (Liu et al. 2024): a module with a `weight` in the model, a plain tensor in the file.
_MAGNITUDE = "lora_magnitude_vector"


def add_adapter(model: Any, adapter: str) -> None:
    """Add the adapter in folder (or of hub id) `adapter` to a transformers model, in place.

    Raises:
        ModelError: peft is missing, there is no adapter of that name, or it was made for another model.
    """
    if importlib.util.find_spec("peft") is None:
        raise ModelError("--adapter needs peft; install it: pip install peft")
    folder = Path(adapter).expanduser()
    if folder.exists() and not (folder / "adapter_config.json").is_file():
        raise ModelError(f"--adapter {adapter} is not an adapter: it has no adapter_config.json")
    name = str(folder) if folder.exists() else adapter
    try:
        stored = _stored_weights(name)
        # By itself, transformers looks for the magnitudes under a name that the file does not have.
        named = {f"{key}.weight" if key.endswith(_MAGNITUDE) else key: weight for key, weight in stored.items()}
        model.load_adapter(name, **({} if named.keys() == stored.keys() else {"adapter_state_dict": named}))
    except Exception as error:
        where = "" if folder.exists() else ", which is no local folder,"
        raise ModelError(
            f"the adapter {adapter}{where} cannot be loaded; check --adapter ({first_line(error)})"
        ) from error
    refuse_unused(model, stored, adapter)


def refuse_unused(model: Any, stored: dict[str, Tensor], adapter: str) -> None:
    """Make sure that every weight of an adapter is in the model; the library only writes a line where it is not.

    Raises:
        ModelError: some are not, so that it would be another model, or the bare one, that is recorded.
    """
    taken: dict[str, list[Tensor]] = {}
    for name, weight in model.named_parameters():
        taken.setdefault(_short(name), []).append(weight)
    unused = [name for name, weight in stored.items() if not _is_among(weight, taken.get(_short(name), []))]
    if unused or not stored:
        example = f", such as {unused[0]}" if unused else ""
        raise ModelError(
            f"the adapter {adapter} does not fit the model: {len(unused)} of its {len(stored)} weights have no place "
            f"in it{example}; give the model it was trained for with --model_path"
        )


def _stored_weights(adapter: str) -> dict[str, Tensor]:
    """The weights in the adapter's file."""
    from peft.utils import load_peft_weights

    weights: dict[str, Tensor] = load_peft_weights(adapter, device="cpu")
    return weights


def _short(name: str) -> str:
    """The part of a weight's name that its file and the model agree on."""
    parts = [part for part in name.split(".") if part not in _UNSTORED_PARTS]
    if parts[-2:] == [_MAGNITUDE, "weight"]:
        parts.pop()
    added = any(part.startswith("lora_") for part in parts)
    return ".".join(parts[-(_ADDED_PARTS if added else _REPLACED_PARTS) :])


def _is_among(weight: Tensor, others: list[Tensor]) -> bool:
    return any(other.shape == weight.shape and torch.equal(weight.to(other.dtype), other.cpu()) for other in others)
