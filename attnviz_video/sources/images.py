"""Image files to upright RGB pictures; whatever is not plainly a picture of a known kind is refused."""

from __future__ import annotations

import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from attnviz_video.errors import ImageError

#: The only formats that are opened: decoders of others (EPS, PDF …) start programs or interpret code.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
#: Larger images are refused before they are decoded.
MAX_PIXELS = 100_000_000

_OPENED = f"only {', '.join(FORMATS[:-1])} and {FORMATS[-1]} files are opened"


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An upright RGB picture, and what the user should be told about how it was read."""

    image: Image.Image
    notices: tuple[str, ...] = ()


def open_image(path: Path) -> Image.Image:
    """The picture in `path`, upright and RGB; see `decode_image`.

    Raises:
        ImageError: not a readable image, or too large.
    """
    return decode_image(path).image


def decode_image(path: Path) -> DecodedImage:
    """The picture in `path`, with its EXIF orientation applied, as RGB without metadata.

    Transparent pixels are put on white, 16-bit values are scaled to 8, of several pictures the first is taken.

    Raises:
        ImageError: not a readable image, or more than `MAX_PIXELS`.
    """
    try:
        # Pillow warns from 89 million pixels on and raises from 179; here one limit holds, checked below.
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as opened:
                _check_size(path, opened.width, opened.height)
                several = bool(getattr(opened, "is_animated", False))
                opened.seek(0)
                upright = ImageOps.exif_transpose(opened)
                image = _to_rgb(upright)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"image {path} not found") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not a readable image ({_OPENED})") from error
    except Image.DecompressionBombError as error:
        raise _too_large(path, _pixels_named(str(error))) from error
    except Exception as error:
        # Decoders raise nearly anything on hostile bytes: OSError, SyntaxError, struct.error, IndexError …
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path}: not a readable image ({reason})") from error
    notices = (f"{path}: holds several pictures; the first is used",) if several else ()
    return DecodedImage(image, notices)


def upright_rgb(image: Image.Image) -> Image.Image:
    """A picture that is already in memory, with its EXIF orientation applied, as RGB without metadata."""
    return _to_rgb(ImageOps.exif_transpose(image))


def png_bytes(image: Image.Image) -> bytes:
    """`image` as a PNG of its RGB pixels and nothing else; the same pixels give the same bytes."""
    buffer = io.BytesIO()
    _plain(image.convert("RGB")).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def thumbnail_bytes(image: Image.Image, side: int) -> bytes:
    """`image` as a JPEG whose longer side has at most `side` pixels."""
    small = image.convert("RGB")
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()


def _check_size(path: Path, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{path}: not a readable image (it has {width} x {height} pixels)")
    if width * height > MAX_PIXELS:
        raise _too_large(path, f"{width} x {height} pixels")


def _too_large(path: Path, size: str) -> ImageError:
    return ImageError(f"{path}: {size}; the limit is {MAX_PIXELS // 10**6} million pixels: make the image smaller")


def _pixels_named(message: str) -> str:
    """The size in Pillow's message, which is all that it tells of a file it does not open."""
    found = re.search(r"\((\d+) pixels\)", message)
    return f"{int(found[1]) / 1e6:.0f} million pixels" if found else "too many pixels"


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
        return _plain(Image.alpha_composite(white, colours).convert("RGB"))
    return _plain(image.convert("RGB"))


def _eight_bits(image: Image.Image) -> UInt8[np.ndarray, "height width"]:
    """Grey levels of 16 bits or more, or floats, scaled (never clipped) to 0..255.

    The scale is that of the format: 65535 for integers, 1 or 255 for floats; larger values scale by their maximum.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    values -= min(float(values.min()), 0.0)
    largest = float(values.max())
    usual = (1.0, 255.0) if image.mode == "F" else (65535.0,)
    full = next((limit for limit in usual if largest <= limit), largest)
    return np.round(values * (255.0 / full)).astype(np.uint8)


def _plain(image: Image.Image) -> Image.Image:
    """The pixels alone: metadata such as colour profiles would end up in written files."""
    return Image.frombytes("RGB", image.size, image.tobytes())
