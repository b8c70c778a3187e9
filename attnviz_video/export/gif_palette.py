"""The 255 colours of a GIF: the colour ramp as painted, the flat colours of the frame, and what the images need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int, UInt8

Frame = UInt8[np.ndarray, "height width 3"]
#: One of 256 stays free: it means "as before".
MOST_COLORS = 255
#: Steps kept exactly of the ramp of tokens and of that of images. A level in between is off by half a step at most.
RAMP_STEPS = (64, 32)
#: The commonest colours of the frames, kept exactly: grounds, panels, ink.
FLAT_COLORS = 40
#: Colours that agree in so many upper bits of red, green and blue share an index.
BITS = 7
_AT_ONCE = 8192


@dataclass(frozen=True)
class GifPalette:
    """One palette for all frames: colours never change their meaning within a video."""

    #: Red, green, blue of 256 colours; those beyond `n_colors` are black and not used.
    colors: bytes
    n_colors: int

    @property
    def transparent(self) -> int:
        """Index that means "as before"."""
        return MOST_COLORS


def gif_palette(ramps: Sequence[UInt8[np.ndarray, "256 3"]], frames: Sequence[Frame]) -> GifPalette:
    """The palette for frames like `frames`, in which levels have the colours of `ramps` (of tokens, of images)."""
    from PIL import Image

    pixels = np.concatenate([frame.reshape(-1, 3) for frame in frames])
    values, counts = np.unique(_packed(pixels, 8), return_counts=True)
    common = values[np.argsort(counts, kind="stable")[::-1][:FLAT_COLORS]]
    # Colours that would share an index are kept once, the more important one.
    chosen: dict[int, tuple[int, int, int]] = {}
    for ramp, n_steps in zip(ramps, RAMP_STEPS, strict=False):
        for color in ramp[np.linspace(0, 255, n_steps).round().astype(int)].tolist():
            chosen.setdefault(_bin(color), tuple(color))
    for value in common.tolist():
        color = (value >> 16, value >> 8 & 255, value & 255)
        chosen.setdefault(_bin(color), color)
    # The rest by median cut over what is left; rare colours count for more than their pixels, or a bright patch on a
    # large dull picture would get none.
    bins, which, sizes = np.unique(_packed(pixels, BITS), return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(which, pixels[:, channel]) / sizes for channel in range(3)], axis=1)
    left = ~np.isin(bins, list(chosen))
    if left.any():
        weighted = np.repeat(means[left].round().astype(np.uint8), np.sqrt(sizes[left]).round().astype(int), axis=0)
        picture = Image.fromarray(weighted[None])
        room = MOST_COLORS - len(chosen)
        reduced = picture.quantize(room, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).getpalette() or []
        for color in np.array(reduced, dtype=int).reshape(-1, 3)[:room].tolist():
            chosen.setdefault(_bin(color), tuple(color))
    colors = np.zeros((256, 3), dtype=np.uint8)
    colors[: len(chosen)] = list(chosen.values())
    return GifPalette(colors.tobytes(), len(chosen))


class IndexTable:
    """From any colour to that of a palette which is nearest to it, or to the colours it shares an index with.

    Filled as colours turn up; the result does not depend on their order.
    """

    def __init__(self, palette: GifPalette) -> None:
        colors = np.frombuffer(palette.colors, dtype=np.uint8).reshape(256, 3)[: palette.n_colors]
        self._colors = colors.astype(np.float32)
        self._index = np.zeros(1 << 3 * BITS, dtype=np.uint8)
        self._known = np.zeros(1 << 3 * BITS, dtype=bool)
        # What stands in the palette is shown as itself.
        own = _packed(colors, BITS)
        self._index[own], self._known[own] = np.arange(palette.n_colors), True

    def indices(self, picture: Frame) -> UInt8[np.ndarray, "height width"]:
        """Palette index of every pixel."""
        packed = _packed(picture, BITS)
        unknown = packed[~self._known[packed]]
        if unknown.size:
            self._known[unknown] = True
            self._fill(np.unique(unknown))
        found: UInt8[np.ndarray, "height width"] = self._index[packed]
        return found

    def _fill(self, bins: Int[np.ndarray, "bins"]) -> None:
        width, mask = 8 - BITS, (1 << BITS) - 1
        for part in np.array_split(bins, bins.size // _AT_ONCE + 1):
            channels = [part >> 2 * BITS, part >> BITS & mask, part & mask]
            middles = np.stack(channels, axis=1).astype(np.float32) * (1 << width) + (1 << width) // 2
            # Whole numbers below 2^24, so that the result is exact on every machine; the lower of equals is taken.
            distance = np.square(self._colors).sum(axis=1) - 2 * middles @ self._colors.T
            self._index[part] = distance.argmin(axis=1)


@lru_cache(maxsize=1)
def index_table(palette: GifPalette) -> IndexTable:
    """The table of `palette`; the last one is kept, since all frames of a video share it."""
    return IndexTable(palette)


def _packed(pixels: UInt8[np.ndarray, "*shape 3"], bits: int) -> Int[np.ndarray, "*shape"]:
    """The upper `bits` of red, green and blue as one number."""
    upper = (pixels >> (8 - bits)).astype(np.int32)
    packed: Int[np.ndarray, "*shape"] = upper[..., 0] << 2 * bits | upper[..., 1] << bits | upper[..., 2]
    return packed


def _bin(color: Sequence[int]) -> int:
    red, green, blue = (channel >> 8 - BITS for channel in color)
    return red << 2 * BITS | green << BITS | blue
