"""The transformers package, imported once a broken torchvision is out of its way, and its chatter turned down.

Every module of this program that needs transformers at import time takes it from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attnviz_video.models.torchvision_guard import torchvision_works

#: Decided before transformers is imported, since transformers asks only whether torchvision is installed.
HAS_TORCHVISION = torchvision_works()

import transformers  # noqa: E402

__all__ = ["HAS_TORCHVISION", "quiet_transformers", "transformers"]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no notices of transformers inside the block; errors still reach stderr."""
    log = transformers.utils.logging
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
