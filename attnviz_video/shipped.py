"""Files that come with the program: the demo model, its data and its configuration."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shipped(relative: str) -> Path:
    """The path of a shipped file or folder, e.g. `samples/demo.json`.

    In a source checkout it lies beside the package, in an installed wheel in `attnviz_video/_shipped`
    (pyproject.toml, `package-dir`).

    Raises:
        FileNotFoundError: it is in neither place.
    """
    for root in (_PACKAGE.parent, _PACKAGE / "_shipped"):
        if (root / "pyproject.toml").is_file() or root.name == "_shipped":
            candidate = root / relative
            if candidate.exists():
                return candidate
    raise FileNotFoundError(f"{relative} does not come with this installation of attnviz_video; install it again")
