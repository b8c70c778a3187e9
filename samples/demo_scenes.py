"""Synthetic scenes with known truth for the demo model: what is in a picture, where, and how it is drawn.

A scene holds two to five objects on a 3x3 raster of places, at most one per place. Everything that training, evaluation
and the demo data need to know (colour, shape, place, box, which cells an object covers) follows from the scene, so the
truth never has to be labelled by hand. Every random choice comes from ``(split, seed)``; splits are separated twice: by
disjoint random streams, and by layout (which coloured shape stands at which place): a layout belongs to exactly one
split, decided by a checksum, so that no held-out layout is ever seen in training.

The background carries a pastel shading, warm at the left, cool at the right and darker towards the bottom. It is there
on purpose: the vision tower of Qwen2-VL knows only relative positions, and the shading lets it see where in the
picture a patch is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

IMAGE_SIZE = 224
PLACES_PER_SIDE = 3
CELL_SIZE = 28
CELLS_PER_SIDE = IMAGE_SIZE // CELL_SIZE

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (219, 46, 48),
    "orange": (244, 132, 26),
    "yellow": (246, 208, 37),
    "green": (44, 163, 74),
    "blue": (40, 98, 219),
    "purple": (147, 66, 186),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "star")
COLOR_NAMES: tuple[str, ...] = tuple(COLORS)
SPLITS: tuple[str, ...] = ("train", "dev", "test")

MIN_SIZE, MAX_SIZE = 44, 66
_SUPERSAMPLING = 4
_SHADOW_SHIFT = 3
_LAYOUT_CLASSES = 20

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class SceneObject:
    """One coloured shape: ``row`` and ``col`` name its place; ``left``, ``top``, ``size`` its square box in pixels."""

    color: str
    shape: str
    row: int
    col: int
    left: int
    top: int
    size: int

    @property
    def box(self) -> Box:
        """The tight box ``(x0, y0, x1, y1)`` in pixels, right and bottom edge exclusive."""
        return (self.left, self.top, self.left + self.size, self.top + self.size)

    @property
    def place(self) -> tuple[int, int]:
        return (self.row, self.col)


@dataclass(frozen=True)
class Scene:
    """Objects in raster order (row by row, then left to right) and the seed of the picture's noise."""

    objects: tuple[SceneObject, ...]
    noise_seed: int

    def layout(self) -> str:
        """The discrete content of the scene as text; two scenes with equal layouts differ in size and jitter only."""
        return ";".join(f"{o.color} {o.shape} {o.row}{o.col}" for o in self.objects)


@dataclass(frozen=True)
class ScenePair:
    """Two pictures of one scene between which exactly one object changed.

    ``change`` is ``moved``, ``recolored`` or ``removed``; ``index`` is the changed one's index in ``before.objects``.
    """

    before: Scene
    after: Scene
    change: str
    index: int


CHANGES: tuple[str, ...] = ("moved", "recolored", "removed")


def layout_split(layout: str) -> str:
    """The one split a layout belongs to: a twentieth of all layouts is ``dev``, a twentieth ``test``."""
    bucket = zlib.crc32(layout.encode()) % _LAYOUT_CLASSES
    return {0: "test", 1: "dev"}.get(bucket, "train")


def random_generator(split: str, seed: int, stream: int = 0) -> np.random.Generator:
    """The random stream of one item: split, seed and a stream number (scene, pair, questions) never share numbers."""
    return np.random.default_rng([SPLITS.index(split), stream, seed])


def _place_object(rng: np.random.Generator, color: str, shape: str, row: int, col: int) -> SceneObject:
    """Draw size and position so that the object stays inside its place with a small margin."""
    size = int(rng.integers(MIN_SIZE, MAX_SIZE + 1))
    pitch = IMAGE_SIZE / PLACES_PER_SIDE
    slack = pitch - size - 4
    left = round(col * pitch + 2 + rng.random() * slack)
    top = round(row * pitch + 2 + rng.random() * slack)
    return SceneObject(color, shape, row, col, left, top, size)


def _sample_layout(rng: np.random.Generator, number: int, distinct: bool) -> list[tuple[str, str, int, int]]:
    """Colours, shapes and places of ``number`` objects in raster order.

    Half of the scenes use few colours or shapes, so that counting has something to count. ``distinct`` forbids two
    objects of the same colour and shape.
    """
    places = sorted(rng.choice(PLACES_PER_SIDE**2, size=number, replace=False).tolist())
    colors = rng.permutation(COLOR_NAMES)[: 6 if rng.random() < 0.5 else int(rng.integers(2, 4))]
    shapes = rng.permutation(SHAPES)[: 4 if rng.random() < 0.6 else int(rng.integers(2, 4))]
    while True:
        kinds = [(str(rng.choice(colors)), str(rng.choice(shapes))) for _ in places]
        if not distinct or len(set(kinds)) == number:
            break
        if len(colors) * len(shapes) < number:
            colors, shapes = np.array(COLOR_NAMES), np.array(SHAPES)
    return [
        (color, shape, *divmod(place, PLACES_PER_SIDE)) for (color, shape), place in zip(kinds, places, strict=True)
    ]


def sample_scene(split: str, seed: int, *, distinct: bool = False, most: int = 5, stream: int = 0) -> Scene:
    """The scene of one seed, with two to ``most`` objects; its layout belongs to ``split``."""
    rng = random_generator(split, seed, stream)
    number = min(int(rng.choice([2, 3, 4, 5], p=[0.2, 0.3, 0.3, 0.2])), most)
    for _ in count():
        layout = _sample_layout(rng, number, distinct)
        if layout_split(";".join(f"{c} {s} {row}{col}" for c, s, row, col in layout)) == split:
            break
    objects = tuple(_place_object(rng, *item) for item in layout)
    return Scene(objects, int(rng.integers(2**31)))


def sample_pair(split: str, seed: int, change: str | None = None) -> ScenePair:
    """Two scenes that differ in one object. All objects of the first are distinct and stay so in the second."""
    rng = random_generator(split, seed, stream=1)
    before = sample_scene(split, seed, distinct=True, most=4, stream=2)
    objects = before.objects
    kind = change or str(rng.choice(CHANGES))
    index = int(rng.integers(len(objects)))
    changed = objects[index]
    others = objects[:index] + objects[index + 1 :]
    if kind == "moved":
        taken = {o.place for o in objects}
        free = [p for p in np.ndindex(PLACES_PER_SIDE, PLACES_PER_SIDE) if p not in taken]
        row, col = free[int(rng.integers(len(free)))]
        others += (_place_object(rng, changed.color, changed.shape, row, col),)
    elif kind == "recolored":
        taken_kinds = {(o.color, o.shape) for o in objects}
        colors = [c for c in COLOR_NAMES if (c, changed.shape) not in taken_kinds]
        others += (replace(changed, color=colors[int(rng.integers(len(colors)))]),)
    after = Scene(tuple(sorted(others, key=lambda o: o.place)), int(rng.integers(2**31)))
    return ScenePair(before, after, kind, index)


@cache
def background() -> NDArray[np.float32]:
    """The pastel shading of every picture: warm to cool from left to right, light to darker from top to bottom."""
    across = np.linspace(0.0, 1.0, IMAGE_SIZE, dtype=np.float32)[None, :, None]
    down = np.linspace(0.0, 1.0, IMAGE_SIZE, dtype=np.float32)[:, None, None]
    warm, cool = np.float32([255, 240, 222]), np.float32([219, 236, 255])
    return np.asarray((warm * (1 - across) + cool * across) * (1 - 0.16 * down), np.float32)


def _outline(shape: str, size: float, inset: float) -> list[tuple[float, float]]:
    """Corner points of a polygon that fills a square box of ``size``, shrunk towards its centre by ``inset``."""
    if shape == "square":
        points = np.array([(0.06, 0.06), (0.94, 0.06), (0.94, 0.94), (0.06, 0.94)])
    elif shape == "triangle":
        points = np.array([(0.5, 0.02), (1.0, 0.96), (0.0, 0.96)])
    else:
        angles = np.pi * (np.arange(10) / 5 - 0.5)
        radius = np.where(np.arange(10) % 2 == 0, 0.54, 0.235)
        points = np.stack([0.5 + radius * np.cos(angles), 0.545 + radius * np.sin(angles)], 1)
    middle = points.mean(0)
    shrink = 1 - inset / (size * 0.4)
    return [(float(x * size), float(y * size)) for x, y in middle + (points - middle) * shrink]


def _draw_mask(shape: str, size: int, inset: float) -> Image.Image:
    """An antialiased mask of the shape: drawn large, then reduced."""
    large = size * _SUPERSAMPLING
    mask = Image.new("L", (large, large))
    pen = ImageDraw.Draw(mask)
    edge = inset * _SUPERSAMPLING
    if shape == "circle":
        pen.ellipse((edge, edge, large - 1 - edge, large - 1 - edge), fill=255)
    else:
        pen.polygon(_outline(shape, large, edge), fill=255)
    return mask.resize((size, size), Image.Resampling.LANCZOS)


@cache
def sprite(shape: str, size: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """``(alpha, shade, shadow)`` of a shape: coverage, brightness inside it, a soft shadow with a 6 pixel margin."""
    alpha = np.asarray(_draw_mask(shape, size, 0), np.float32) / 255
    inner = np.asarray(_draw_mask(shape, size, 2.2), np.float32) / 255
    light = np.linspace(1.07, 0.93, size, dtype=np.float32)[:, None]
    shade = np.asarray(inner * light + (1 - inner) * 0.72, np.float32)
    margin = Image.new("L", (size + 12, size + 12))
    margin.paste(_draw_mask(shape, size, 0), (6, 6))
    shadow = np.asarray(margin.filter(ImageFilter.GaussianBlur(3)), np.float32) / 255 * 0.22
    return alpha[..., None], shade[..., None], shadow[..., None]


def render_scene(scene: Scene) -> NDArray[np.uint8]:
    """The picture of a scene, ``(224, 224, 3)`` RGB."""
    rng = np.random.default_rng([9, scene.noise_seed])
    picture = background().copy()
    for item in scene.objects:
        alpha, shade, shadow = sprite(item.shape, item.size)
        x0, y0 = item.left - 6 + _SHADOW_SHIFT, item.top - 6 + _SHADOW_SHIFT
        left, top = max(x0, 0), max(y0, 0)
        right, bottom = min(x0 + item.size + 12, IMAGE_SIZE), min(y0 + item.size + 12, IMAGE_SIZE)
        picture[top:bottom, left:right] *= 1 - shadow[top - y0 : bottom - y0, left - x0 : right - x0]
        color = np.float32(COLORS[item.color]) * np.float32(rng.uniform(0.94, 1.04, 3))
        window = picture[item.top : item.top + item.size, item.left : item.left + item.size]
        window += alpha * (color * shade - window)
    grain = rng.standard_normal((IMAGE_SIZE // 4, IMAGE_SIZE // 4, 1), dtype=np.float32) * 1.5
    picture += grain.repeat(4, 0).repeat(4, 1)
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class CellLabels:
    """What each of the 8x8 merged cells shows, for the throw-away heads: ``color`` and ``shape`` are 0 where no object
    covers a third of the cell; ``row`` and ``col`` are the place (0 to 2) of the object, or else of the cell's centre.
    """

    color: NDArray[np.int64]
    shape: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]


def cell_labels(scene: Scene) -> CellLabels:
    """Labels of all cells, computed from the same masks that are drawn."""
    side = (CELLS_PER_SIDE, CELLS_PER_SIDE)
    centre = ((np.arange(CELLS_PER_SIDE) + 0.5) * PLACES_PER_SIDE / CELLS_PER_SIDE).astype(np.int64)
    row, col = np.repeat(centre[:, None], side[1], 1), np.repeat(centre[None, :], side[0], 0)
    color, shape = np.zeros(side, np.int64), np.zeros(side, np.int64)
    for item in scene.objects:
        mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.float32)
        x0, y0, x1, y1 = item.box
        mask[y0:y1, x0:x1] = sprite(item.shape, item.size)[0][..., 0]
        cells = mask.reshape(CELLS_PER_SIDE, CELL_SIZE, CELLS_PER_SIDE, CELL_SIZE).mean((1, 3)) >= 1 / 3
        color[cells] = COLOR_NAMES.index(item.color) + 1
        shape[cells] = SHAPES.index(item.shape) + 1
        row[cells], col[cells] = item.row, item.col
    return CellLabels(color, shape, row, col)
