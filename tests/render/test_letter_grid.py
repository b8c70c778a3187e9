"""T3–T5, T9: the lit cell of a frame holds the letter that was planted, whatever the image's shape and number.

Every patch of the images carries its own letter. The test finds the lit cell in the frame's colours and reads the
letter in it; it knows nothing of where the program thinks that its cells are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

import attnviz_video.render
from attnviz_video.core.layout import TokenLayout
from attnviz_video.render.frame import FramePainter
from attnviz_video.render.settings import RenderSettings
from tests.round_trip import planted_scores, through_video

LETTERS = "ABCDEFGHJKLMNPRSTUVXYZ234679"
FONT = Path(attnviz_video.render.__file__).parent / "fonts" / "DejaVuSans-Bold.ttf"
SETTINGS = RenderSettings(width=1280, height=720)
#: Side of the pictures that letters are compared in.
SIDE = 24


@dataclass(frozen=True)
class Lettered:
    """A picture with a letter in every cell of its grid."""

    size: tuple[int, int]
    grid: tuple[int, int]
    letters: str

    def picture(self) -> Image.Image:
        picture = Image.new("RGB", self.size, (225, 225, 225))
        draw = ImageDraw.Draw(picture)
        (width, height), (rows, columns) = self.size, self.grid
        font = ImageFont.truetype(str(FONT), int(0.62 * min(width / columns, height / rows)))
        for number, letter in enumerate(self.letters):
            row, column = divmod(number, columns)
            middle = ((column + 0.5) * width / columns, (row + 0.5) * height / rows)
            draw.text(middle, letter, fill=(20, 20, 20), font=font, anchor="mm")
        return picture


def lettered(number: int, size: tuple[int, int], grid: tuple[int, int]) -> Lettered:
    """Letters in an order that is another one on every image."""
    order = np.random.default_rng(number).permutation(len(LETTERS))[: grid[0] * grid[1]]
    return Lettered(size, grid, "".join(LETTERS[place] for place in order))


def one_patch_per_step(step: int, layout: TokenLayout) -> np.ndarray:
    """Step s looks at nothing but one patch of image s modulo the images, another one in every round."""
    row = np.zeros(layout.n_prompt + step, dtype=np.float32)
    patches = layout.patch_positions(step % len(layout.images))
    row[patches[place_of(step, len(layout.images), patches.size)]] = 1.0
    return row


def one_further(step: int, layout: TokenLayout) -> np.ndarray:
    """The same with every patch counted one further, the last of an image as its first."""
    row = one_patch_per_step(step, layout)
    for image in range(len(layout.images)):
        patches = layout.patch_positions(image)
        row[patches] = np.roll(row[patches], 1)
    return row


def place_of(step: int, n_images: int, n_patches: int) -> int:
    """Corners first, then a walk over the grid."""
    turn = step // n_images
    return 0 if turn == 0 else n_patches - 1 if turn == 1 else turn * 5 % n_patches


def lit_cell(frame: np.ndarray, dark: np.ndarray) -> tuple[int, int, int, int]:
    """Box of the area that is green on `frame` and red on the frame `dark` of other steps."""
    greener = (frame[..., 1].astype(int) - frame[..., 0]) - (dark[..., 1].astype(int) - dark[..., 0])
    rows, columns = np.nonzero(greener > 60)
    # The ring around the cell hides its rim; single pixels elsewhere, such as those of a legend, are no cell.
    left, right = np.percentile(columns, [2, 98])
    top, bottom = np.percentile(rows, [2, 98])
    return int(left), int(top), int(right) + 1, int(bottom) + 1


def letter_in(part: np.ndarray) -> str:
    """The letter whose shape is most like what is dark in `part`."""
    ink = letter_shape(255.0 - part @ np.array([0.2126, 0.7152, 0.0722]))
    scores = {letter: float((ink * shape).mean()) for letter, shape in SHAPES.items()}
    return max(scores, key=lambda letter: scores[letter])


def letter_shape(ink: np.ndarray) -> np.ndarray:
    """Darkness cut to what is clearly dark, in a square of one size, with mean 0 and deviation 1."""
    margin = max(3, min(ink.shape) // 8)
    core = ink[margin:-margin, margin:-margin]
    core = core - np.percentile(core, 20)
    rows, columns = np.nonzero(core > 0.6 * core.max())
    cut = core[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    wide = np.zeros((max(cut.shape),) * 2, dtype=np.float32)
    wide[: cut.shape[0], : cut.shape[1]] = cut
    small = np.asarray(Image.fromarray(wide).resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return (small - small.mean()) / small.std()


def _drawn(letter: str) -> np.ndarray:
    picture = Image.new("L", (80, 80), 0)
    draw = ImageDraw.Draw(picture)
    draw.text((40, 40), letter, fill=255, font=ImageFont.truetype(str(FONT), 48), anchor="mm")
    return letter_shape(np.asarray(picture, dtype=np.float64))


SHAPES = {letter: _drawn(letter) for letter in LETTERS}

CASES: dict[str, list[tuple[tuple[int, int], tuple[int, int]]]] = {
    "square": [((480, 480), (5, 5))],
    "wide": [((900, 300), (3, 9))],
    "tall": [((280, 840), (9, 3))],
    "odd": [((517, 389), (4, 7))],
    "two": [((640, 480), (4, 6)), ((300, 600), (6, 3))],
    "three": [((333, 333), (3, 3)), ((640, 240), (2, 6)), ((240, 400), (5, 3))],
    "four": [((400, 300), (3, 4)), ((300, 400), (4, 3)), ((512, 512), (4, 4)), ((700, 260), (2, 5))],
}


def answer(n_images: int) -> Sequence[str]:
    """Four turns over all images."""
    return [" a"] * (4 * n_images)


def read_letters(frames: Sequence[np.ndarray]) -> list[str]:
    """The lit letter of every frame; what is lit on one frame is dark on most others."""
    dark = np.median(np.stack(frames), axis=0).astype(np.uint8)
    boxes = [lit_cell(frame, dark) for frame in frames]
    return [
        letter_in(frame[top:bottom, left:right])
        for frame, (left, top, right, bottom) in zip(frames, boxes, strict=True)
    ]


def planted_letters(images: Sequence[Lettered], n_frames: int) -> list[str]:
    found = []
    for step in range(n_frames):
        letters = images[step % len(images)].letters
        found.append(letters[place_of(step, len(images), len(letters))])
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_lit_cell_holds_the_planted_letter(tmp_path: Path, name: str) -> None:
    images = [lettered(number, size, grid) for number, (size, grid) in enumerate(CASES[name])]
    pictures, grids = [image.picture() for image in images], [image.grid for image in images]
    scores = planted_scores(tmp_path, pictures, grids, one_patch_per_step, answer(len(images)))
    painter = FramePainter(scores, SETTINGS)
    frames = [image_part(painter, painter.frame(number)) for number in range(scores.n_frames)]
    assert read_letters(frames) == planted_letters(images, len(frames))


def test_the_letter_can_be_read_from_the_video(tmp_path: Path) -> None:
    images = [lettered(number, size, grid) for number, (size, grid) in enumerate(CASES["two"])]
    pictures, grids = [image.picture() for image in images], [image.grid for image in images]
    scores = planted_scores(tmp_path, pictures, grids, one_patch_per_step, answer(len(images)))
    painter = FramePainter(scores, SETTINGS)
    decoded = through_video([painter.frame(number) for number in range(scores.n_frames)], tmp_path)
    assert read_letters([image_part(painter, shown[0]) for shown in decoded]) == planted_letters(images, len(decoded))


@pytest.mark.parametrize("fault", ["rows and columns", "images", "one column"])
def test_a_wrong_geometry_is_found_out(tmp_path: Path, fault: str) -> None:
    """Grids with rows and columns swapped, images the wrong way round, patches counted one column further."""
    images = [lettered(number, size, grid) for number, (size, grid) in enumerate(CASES["two"])]
    pictures, grids = [image.picture() for image in images], [image.grid for image in images]
    if fault == "rows and columns":
        grids = [grid[::-1] for grid in grids]
    if fault == "images":
        pictures = pictures[::-1]
    row = one_further if fault == "one column" else one_patch_per_step
    scores = planted_scores(tmp_path, pictures, grids, row, answer(len(images)))
    painter = FramePainter(scores, SETTINGS)
    frames = [image_part(painter, painter.frame(number)) for number in range(2, scores.n_frames)]
    wanted = planted_letters(images, scores.n_frames)[2:]
    right = [one == other for one, other in zip(read_letters(frames), wanted, strict=True)]
    assert sum(right) <= len(right) // 2


def image_part(painter: FramePainter, frame: np.ndarray) -> np.ndarray:
    left, top, right, bottom = painter.plan.images
    return frame[top:bottom, left:right]
