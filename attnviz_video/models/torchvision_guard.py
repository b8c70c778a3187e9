"""Keeps a torchvision that does not fit the installed torch from breaking transformers."""

from __future__ import annotations

import sys

_PACKAGE = "torchvision"


def torchvision_works() -> bool:
    """Whether torchvision can be imported; one that is installed but broken is hidden from all later imports.

    A torchvision built for another torch (a CUDA wheel beside a CPU torch) raises RuntimeError or OSError when it
    is imported, and transformers, which only asks whether it is installed, fails with it. Called before the first
    import of transformers (`models.hub_library`), this makes it look as if it were not installed.
    """
    try:
        __import__(_PACKAGE)
    except ImportError:
        return False
    except Exception:
        _hide()
        return False
    return True


def _hide() -> None:
    """Drop what was imported half-way and make `import torchvision` raise ImportError from now on."""
    for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]
    sys.modules[_PACKAGE] = None  # type: ignore[assignment]
