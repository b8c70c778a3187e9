"""Files that come with the program: the demo model, its data and its configuration."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(relative: str) -> Path:
    """The path of a shipped file or folder, e.g. `samples/demo.json`.

    An installed wheel has it in `attnviz_video/_shipped` (pyproject.toml, `package-dir`), a source
    checkout beside the package.

    Raises:
        FileNotFoundError: it is in neither place.
    """
    for root in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (root / relative).exists():
            return root / relative
    raise FileNotFoundError(f"{relative} does not come with this installation of attnviz_video; install it again")
