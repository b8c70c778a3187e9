"""The image field of an item to a file on this machine, and to no other place."""

from __future__ import annotations

import re
from pathlib import Path

from attnviz_video.errors import ImageError, UsageError
from attnviz_video.files import inside

#: Where Reason-RFT keeps images beside its JSON files.
BESIDE_JSON = ("", "images", "images/test_images", "images/train_images")
#: The same folders, where `image_dir` is the one that holds them.
INSIDE_IMAGE_DIR = ("", "test_images", "train_images")

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://|(data|file|https?|ftp):", re.IGNORECASE)


def image_roots(json_file: Path, image_dir: Path | None) -> tuple[Path, ...]:
    """The folders an item's image paths may be relative to, in the order they are tried.

    Raises:
        UsageError: `image_dir` is given but no folder.
    """
    if image_dir is not None and not image_dir.is_dir():
        raise UsageError(f"--image_dir {image_dir} is not a folder")
    beside = tuple(json_file.parent / name for name in BESIDE_JSON)
    return beside if image_dir is None else (*(image_dir / name for name in INSIDE_IMAGE_DIR), *beside)


def resolve_image(name: str, roots: tuple[Path, ...], *, allow_outside: bool) -> Path:
    """The first file called `name` in one of `roots`.

    Raises:
        ImageError: an address instead of a file name, a path that leads out of the roots, or no such file.
    """
    refuse_address(name)
    candidates = [(root, root / name) for root in roots]
    # A link that leads out is refused even where a later folder holds a file of the same name.
    for root, candidate in candidates:
        if _is_file(candidate) and (allow_outside or _inside(root, candidate)):
            return candidate
        if not allow_outside and _exists(candidate) and not _inside(root, candidate):
            raise _outside(name, roots)
    if not allow_outside and not any(_inside(root, candidate) for root, candidate in candidates):
        raise _outside(name, roots)
    raise ImageError(f"image {candidates[0][1]} not found ({_where(roots)}); check --image_dir")


def refuse_address(name: str) -> None:
    """Accept file names only: nothing is ever fetched, and no name may hide a second one.

    Raises:
        ImageError: `name` is empty, an address (http:, file:, data: …), or holds a NUL character.
    """
    if not name.strip():
        raise ImageError("an image path is empty; expected the name of an image file")
    if "\0" in name:
        raise ImageError(f"image path {name[:80]!r} holds a NUL character; expected the name of an image file")
    if _ADDRESS.match(name.strip()):
        raise ImageError(
            f"image {name[:80]!r} is an address, not a file; nothing is downloaded: save the image in --image_dir"
        )


def _outside(name: str, roots: tuple[Path, ...]) -> ImageError:
    return ImageError(f"image {name!r} points outside {roots[0]}; use --allow_outside_images if that is intended")


def _where(roots: tuple[Path, ...]) -> str:
    first, *others = roots
    return f"looked in {first}" + (f" and {len(others)} folders in it and beside the JSON file" if others else "")


def _inside(root: Path, candidate: Path) -> bool:
    try:
        return inside(root, candidate)
    except (OSError, RuntimeError):  # a loop of links, a name too long
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
