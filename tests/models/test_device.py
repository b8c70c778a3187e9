"""Choosing device and number format."""

from __future__ import annotations

import pytest
import torch

from attnviz_video.errors import DeviceError, UsageError
from attnviz_video.models import device as device_module
from attnviz_video.models.device import available_devices, resolve_device, resolve_dtype


def _machine(monkeypatch: pytest.MonkeyPatch, **there: int) -> None:
    monkeypatch.setattr(device_module, "available_devices", lambda: {"cpu": 1, **there})


def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch)
    assert resolve_device("auto") == torch.device("cpu")
    _machine(monkeypatch, mps=1)
    assert resolve_device("auto") == torch.device("mps")
    _machine(monkeypatch, mps=1, cuda=2)
    assert resolve_device("auto") == torch.device("cuda")


def test_the_cpu_is_always_there() -> None:
    assert available_devices()["cpu"] == 1


def test_a_missing_device_lists_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    _machine(monkeypatch)
    with pytest.raises(DeviceError, match=r"device 'cuda' is not there; this machine has: cpu \(--device\)"):
        resolve_device("cuda")
    _machine(monkeypatch, cuda=2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="device 'cuda:2' is not there; this machine has: cpu, cuda:0, cuda:1"):
        resolve_device("cuda:2")


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(UsageError, match="--device: unknown device 'gpu'; this machine has: .*cpu"):
        resolve_device("gpu")


def test_dtype_follows_the_device() -> None:
    assert resolve_dtype("auto", torch.device("cpu")) is torch.float32
    assert resolve_dtype("auto", torch.device("cuda")) == "auto"
    assert resolve_dtype("bfloat16", torch.device("cpu")) is torch.bfloat16
