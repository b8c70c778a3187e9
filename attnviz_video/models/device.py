"""Where a model runs and in which number format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from attnviz_video.errors import DeviceError, UsageError


def resolve_device(wanted: str) -> torch.device:
    """The device `wanted` names; "auto" takes cuda, then mps, then cpu.

    Raises:
        UsageError: there is no kind of device of that name.
        DeviceError: that device is not there.
    """
    there = available_devices()
    if wanted == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if kind in there))
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise UsageError(f"--device: unknown device {wanted!r}; this machine has: {_listed(there)}") from error
    if device.type not in there or (device.index or 0) >= there[device.type]:
        raise DeviceError(f"device {wanted!r} is not there; this machine has: {_listed(there)} (--device)")
    return device


def available_devices() -> dict[str, int]:
    """Kind of device to how many of it this machine has."""
    there = {"cpu": 1}
    if torch.cuda.is_available():
        there["cuda"] = torch.cuda.device_count()
    if torch.backends.mps.is_available():
        there["mps"] = 1
    return there


def resolve_dtype(wanted: str, device: torch.device) -> Any:
    """The `dtype` argument of `from_pretrained`: "auto" is the checkpoint's own on a GPU and float32 on a CPU."""
    if wanted == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    return getattr(torch, wanted)


def on_device(inputs: Mapping[str, Any], device: torch.device) -> dict[str, Any]:
    """Model inputs with their tensors on `device`; what is no tensor stays as it is."""
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in inputs.items()}


def _listed(there: dict[str, int]) -> str:
    names = [
        kind if kind != "cuda" else ", ".join(f"cuda:{index}" for index in range(count))
        for kind, count in there.items()
    ]
    return ", ".join(names)
