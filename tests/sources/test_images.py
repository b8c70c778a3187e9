"""FAULTS 9 to 12: files that are no pictures, bombs, other formats, and pictures in every mode."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attnviz_video.errors import ImageError
from attnviz_video.sources.images import MAX_PIXELS, decode_image, open_image, png_bytes


def corner_picture() -> Image.Image:
    """30 x 20, white, its top left corner red: whichever way it is turned, one can tell."""
    picture = Image.new("RGB", (30, 20), (255, 255, 255))
    picture.paste((255, 0, 0), (0, 0, 10, 10))
    return picture


def saved(folder: Path, image: Image.Image, name: str, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_the_six_formats_are_opened(tmp_path: Path, extension: str) -> None:
    image = open_image(saved(tmp_path, corner_picture(), f"a.{extension}"))
    assert (image.mode, image.size) == ("RGB", (30, 20))
    pixel = np.array(image.getpixel((3, 3)), dtype=int)
    assert np.abs(pixel - (255, 0, 0)).max() < 30


@pytest.mark.parametrize("extension", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize(
    ("orientation", "corner"), [(1, (3, 3)), (3, (26, 16)), (6, (16, 3)), (8, (3, 26)), (2, (26, 3))]
)
def test_exif_orientation_is_applied_once(
    tmp_path: Path, extension: str, orientation: int, corner: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = open_image(saved(tmp_path, corner_picture(), f"a.{extension}", exif=exif))
    assert image.size == ((20, 30) if orientation in (6, 8) else (30, 20))
    pixel = np.array(image.getpixel(corner), dtype=int)
    assert np.abs(pixel - (255, 0, 0)).max() < 60
    again = open_image(saved(tmp_path, image, "again.png"))
    assert again.tobytes() == image.tobytes()


def test_transparency_is_put_on_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 1), (0, 0, 0, 0))
    picture.putpixel((1, 0), (255, 0, 0, 255))
    picture.putpixel((2, 0), (0, 0, 0, 128))
    image = open_image(saved(tmp_path, picture, "a.png"))
    assert [image.getpixel((x, 0)) for x in range(3)] == [(255, 255, 255), (255, 0, 0), (127, 127, 127)]
    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.info["transparency"] = palette.getpixel((0, 0))
    path = saved(tmp_path, palette, "p.png", transparency=palette.getpixel((0, 0)))
    assert open_image(path).getpixel((0, 0)) == (255, 255, 255)
    assert open_image(saved(tmp_path, picture.convert("LA"), "la.png")).getpixel((0, 0)) == (255, 255, 255)


def test_palette_grey_bilevel_and_cmyk(tmp_path: Path) -> None:
    for mode, name in (("P", "p.png"), ("L", "l.png"), ("1", "one.png"), ("CMYK", "c.jpg"), ("CMYK", "c.tiff")):
        image = open_image(saved(tmp_path, corner_picture().convert(mode), name))
        assert image.mode == "RGB"
        assert image.getpixel((25, 15)) == (255, 255, 255)
        assert min(image.getpixel((3, 3))) < 128  # type: ignore[type-var,arg-type]


@pytest.mark.parametrize("extension", ["png", "tiff"])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, extension: str) -> None:
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    image = open_image(saved(tmp_path, Image.fromarray(values), f"a.{extension}"))
    assert [image.getpixel((x, 0)) for x in range(4)] == [(0, 0, 0), (1, 1, 1), (128, 128, 128), (255, 255, 255)]
    dark = open_image(saved(tmp_path, Image.fromarray(values[:, :3].copy()), f"dark.{extension}"))
    assert [dark.getpixel((x, 0)) for x in range(3)] == [(0, 0, 0), (1, 1, 1), (128, 128, 128)]


def test_wider_grey_levels_and_floats(tmp_path: Path) -> None:
    def levels(values: list[float], kind: type) -> list[int]:
        path = saved(tmp_path, Image.fromarray(np.array([values], dtype=kind)), "a.tiff")
        return np.asarray(open_image(path))[0, :, 0].tolist()  # type: ignore[no-any-return]

    assert levels([0, 70_000, 140_000], np.int32) == [0, 128, 255]
    assert levels([0.0, 0.5, 1.0], np.float32) == [0, 128, 255]
    assert levels([0.0, 100.0, 255.0], np.float32) == [0, 100, 255]
    assert levels([-1.0, 0.0, float("nan")], np.float32)[:2] == [0, 255]
    assert levels([0.0, 0.0, 0.0], np.float32) == [0, 0, 0]


@pytest.mark.parametrize("extension", ["gif", "webp", "png", "tiff"])
def test_of_several_pictures_the_first_with_a_notice(tmp_path: Path, extension: str) -> None:
    pictures = [Image.new("RGB", (9, 9), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    path = saved(tmp_path, pictures[0], f"a.{extension}", save_all=True, append_images=pictures[1:])
    decoded = decode_image(path)
    pixel = decoded.image.getpixel((4, 4))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 200
    assert max(pixel[1:]) < 60
    assert decoded.notices == (f"{path}: holds several pictures; the first is used",)
    assert decode_image(saved(tmp_path, pictures[0], f"one.{extension}")).notices == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("page.jpg", b"<!DOCTYPE html><html><body>404</body></html>"), ("empty.png", b""), ("zeros.png", bytes(200)),
        ("a.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n"),
        ("eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>'), ("a.pdf", b"%PDF-1.7\n%%EOF"),
        ("a.ppm", b"P6 1 1 255\n\0\0\0"),
    ],
)  # fmt: skip
def test_what_is_no_picture_of_a_known_format(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    wanted = rf"{name}: not a readable image \(only PNG, JPEG, WEBP, GIF, BMP and TIFF files are opened\)"
    with pytest.raises(ImageError, match=wanted):
        open_image(tmp_path / name)


@pytest.mark.parametrize("extension", ["png", "jpg", "gif", "bmp", "tiff", "webp"])
def test_truncated_pictures(tmp_path: Path, extension: str) -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8))
    whole = saved(tmp_path, picture, f"a.{extension}").read_bytes()
    for share in (0.1, 0.5, 0.9):
        path = tmp_path / f"cut.{extension}"
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(ImageError, match=r"cut\.\w+: not a readable image \(.+\)"):
            open_image(path)


def test_damaged_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for extension in ("png", "jpg", "gif", "tiff", "webp"):
        whole = np.frombuffer(saved(tmp_path, corner_picture(), f"a.{extension}").read_bytes(), dtype=np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 6)] = rng.integers(0, 256, 6)
            path = tmp_path / f"damaged.{extension}"
            path.write_bytes(damaged.tobytes())
            # Whatever else is raised fails the test.
            with contextlib.suppress(ImageError):
                assert open_image(path).mode == "RGB"


def test_pictures_without_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_header(0, 10))
    with pytest.raises(ImageError, match=r"a\.png: not a readable image \(.+\)"):
        open_image(tmp_path / "a.png")


def test_bombs_are_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*_: object) -> None:
        raise AssertionError("the image was decoded")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", decoded)
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000))
    assert path.stat().st_size < 200
    with pytest.raises(ImageError, match=r"bomb\.png: 3600 million pixels; the limit is 100 million pixels: make the"):
        open_image(path)
    path.write_bytes(png_header(12_000, 10_000))
    with pytest.raises(ImageError, match=r"bomb\.png: 12000 x 10000 pixels; the limit is 100 million pixels: make the"):
        open_image(path)
    assert MAX_PIXELS == 100_000_000


def test_a_large_picture_below_the_limit_is_opened_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    # Its 270 MB of RGB are not what is tested here.
    monkeypatch.setattr("attnviz_video.sources.images._to_rgb", lambda image: image.crop((0, 0, 1, 1)))
    path = saved(tmp_path, Image.new("1", (9_500, 9_500)), "large.png")
    assert open_image(path).size == (1, 1)
    assert not recwarn.list


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"image .*absent\.png not found"):
        open_image(tmp_path / "absent.png")
    with pytest.raises(ImageError, match=r"not a readable image \(.*Is a directory"):
        open_image(tmp_path)


def test_png_bytes_depend_on_the_pixels_alone(tmp_path: Path) -> None:
    picture = corner_picture()
    noted = saved(tmp_path, picture, "a.png", dpi=(72, 72), icc_profile=b"profile", pnginfo=None)
    assert png_bytes(open_image(noted)) == png_bytes(picture) == png_bytes(picture.copy())
    with Image.open(noted) as raw:
        assert png_bytes(raw) == png_bytes(picture)
    with Image.open(io.BytesIO(png_bytes(picture))) as back:
        assert back.tobytes() == picture.tobytes()
        assert not back.info
