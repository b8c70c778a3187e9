"""A device that is out of memory, said in a way that tells what to lower."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from attnviz_video.errors import DeviceError


@contextmanager
def out_of_memory_is_told(device: torch.device, doing: str, advice: str) -> Iterator[None]:
    """Turns the library's out-of-memory errors into one that says what was done and what to lower.

    Raises:
        DeviceError: the device is out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        words = str(error)
        if not isinstance(error, torch.OutOfMemoryError) and not (
            "out of memory" in words or "can't allocate memory" in words
        ):
            raise
        raise DeviceError(f"{device} is out of memory while {doing}; {advice}") from error


def release_memory() -> None:
    """Give back what a recording that failed still holds on the devices, so that the next one has room."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
