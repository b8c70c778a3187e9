"""Where the parts of a model go: one device, or several by accelerate's map; how weights are read follows from it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from attnviz_video.errors import ModelError, UsageError
from attnviz_video.models.checkpoint import Checkpoint
from attnviz_video.models.settings import ModelSettings


@dataclass(frozen=True)
class Placement:
    """Where a model goes while it is read."""

    #: Where inputs start; the model's only device unless it is spread.
    device: torch.device
    #: accelerate's map, None where the model is read on the CPU and moved afterwards.
    device_map: str | Mapping[str, str] | None = None

    def load_arguments(self) -> dict[str, Any]:
        """Arguments of `from_pretrained`."""
        return {} if self.device_map is None else {"device_map": self.device_map}


def placement_of(settings: ModelSettings, checkpoint: Checkpoint, device: torch.device) -> Placement:
    """Where the model that `settings` name goes; `device` is the one they name.

    Raises:
        UsageError: one device and a map over several were asked for.
        ModelError: a package is missing.
    """
    if settings.device_map is not None:
        if settings.device != "auto":
            raise UsageError(
                f"--device {settings.device} and --device_map {settings.device_map}: a model on one device is not "
                "spread; leave one of them out (CUDA_VISIBLE_DEVICES chooses among GPUs)"
            )
        require_accelerate(f"--device_map {settings.device_map}")
        return Placement(device, settings.device_map)
    if is_quantised(checkpoint) and device.type != "cpu":
        # Quantised weights are packed for their device when they are read; many kinds cannot be moved afterwards.
        require_accelerate("a quantised model")
        return Placement(device, {"": str(device)})
    return Placement(device)


def is_quantised(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint's configuration says that its weights are quantised."""
    text = checkpoint.config.get("text_config")
    parts = [checkpoint.config, text if isinstance(text, dict) else {}]
    return any(part.get("quantization_config") for part in parts)


def require_accelerate(what: str) -> None:
    """Refuse `what` where accelerate is not installed.

    Raises:
        ModelError: it is not.
    """
    if importlib.util.find_spec("accelerate") is None:
        raise ModelError(f"{what} needs accelerate; install it: pip install accelerate")


def devices_of(model: Any, device: torch.device) -> str:
    """The devices a model runs on, as a trace says it: "cuda:0", or "cuda:0, cuda:1" where it is spread."""
    return ", ".join(sorted(set(_places(model) or [str(device)])))


def first_device(model: Any, device: torch.device) -> torch.device:
    """Where the inputs of a model go: the first device of its map that computes, or `device` where it has no map."""
    places = _places(model)
    computing = [place for place in places if place not in ("cpu", "disk")]
    return torch.device(computing[0] if computing else "cpu") if places else device


def _places(model: Any) -> list[str]:
    """What accelerate's map names: devices, and "disk" for what is read when it is needed."""
    spread = getattr(model, "hf_device_map", None) or {}
    return [f"cuda:{place}" if isinstance(place, int) else str(place) for place in spread.values()]
