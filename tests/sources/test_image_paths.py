"""FAULTS 6, 7, 8: image fields that lead nowhere, out of the folder, or to the network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from attnviz_video.errors import ImageError, UsageError
from attnviz_video.sources.image_paths import image_roots, refuse_address, resolve_image


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, ...]:
    """data/ (the JSON's folder) with images/, and a separate image folder."""
    for name in ("data/images/test_images", "data/images/train_images", "pictures/sub", "pictures/test_images"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secret.png").write_bytes(b"x")
    return image_roots(tmp_path / "data" / "test.json", tmp_path / "pictures")


def test_the_image_folder_comes_before_those_beside_the_json(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    places = [
        "data/images/train_images", "data/images/test_images", "data/images", "data", "pictures/test_images", "pictures"
    ]  # fmt: skip
    for place in places:
        (tmp_path / place / "a.png").write_bytes(b"x")
        assert resolve_image("a.png", roots, allow_outside=False) == tmp_path / place / "a.png"


def test_a_path_may_wander_inside_the_folder(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    (tmp_path / "pictures" / "a.png").write_bytes(b"x")
    assert resolve_image("sub/../a.png", roots, allow_outside=False).samefile(tmp_path / "pictures" / "a.png")
    assert resolve_image(str(tmp_path / "pictures" / "a.png"), roots, allow_outside=False).name == "a.png"


def test_an_image_folder_that_is_a_link_is_fine(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    (tmp_path / "pictures" / "a.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "pictures")
    found = resolve_image("a.png", image_roots(tmp_path / "data" / "test.json", tmp_path / "link"), allow_outside=False)
    assert found == tmp_path / "link" / "a.png"


def test_a_missing_image_names_the_path_tried_and_the_folder(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    wanted = (
        r"image .*pictures/b\.png not found \(looked in .*pictures and 6 folders in it and beside the JSON file\); che"
    )
    with pytest.raises(ImageError, match=wanted):
        resolve_image("b.png", roots, allow_outside=False)
    (tmp_path / "pictures" / "c.png").mkdir()
    for name in ("c.png", "x" * 5000):
        with pytest.raises(ImageError, match="not found"):
            resolve_image(name, roots, allow_outside=False)


@pytest.mark.parametrize("name", ["../secret.png", "../../etc/passwd", "/etc/passwd", "sub/../../secret.png", "../no"])
def test_paths_that_lead_out_are_refused(roots: tuple[Path, ...], name: str) -> None:
    with pytest.raises(ImageError, match=r"points outside .*pictures; use --allow_outside_images if that is intended"):
        resolve_image(name, roots, allow_outside=False)


def test_links_that_lead_out_are_refused(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    (tmp_path / "pictures" / "link.png").symlink_to(tmp_path / "secret.png")
    (tmp_path / "data" / "link.png").write_bytes(b"x")
    with pytest.raises(ImageError, match="points outside"):
        resolve_image("link.png", roots, allow_outside=False)
    (tmp_path / "pictures" / "loop.png").symlink_to(tmp_path / "pictures" / "loop.png")
    with pytest.raises(ImageError, match="not found"):
        resolve_image("loop.png", roots, allow_outside=False)


def test_paths_that_lead_out_can_be_allowed(tmp_path: Path, roots: tuple[Path, ...]) -> None:
    (tmp_path / "pictures" / "link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "link.png"):
        assert resolve_image(name, roots, allow_outside=True).samefile(tmp_path / "secret.png")


@pytest.mark.parametrize(
    "name",
    ["http://host/a.png", "HTTPS://host/a", "file:///etc/passwd", "file:a.png", "data:image/png;base64,AA", "s3://b/a"],
)
@pytest.mark.parametrize("allow", [False, True])
def test_addresses_are_refused_without_touching_the_network(
    roots: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch, name: str, allow: bool
) -> None:
    def no_network(*_: object) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "socket", no_network)
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(ImageError, match="is an address, not a file; nothing is downloaded: save the image in --image"):
        resolve_image(name, roots, allow_outside=allow)


def test_names_that_are_no_names() -> None:
    with pytest.raises(ImageError, match="holds a NUL character; expected the name of an image file"):
        refuse_address("a.png\0/etc/passwd")
    with pytest.raises(ImageError, match="an image path is empty; expected the name of an image file"):
        refuse_address("  ")
    refuse_address("12:30 photo: sea.png")


def test_an_image_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--image_dir .*/absent is not a folder"):
        image_roots(tmp_path / "a.json", tmp_path / "absent")
