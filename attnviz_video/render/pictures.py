"""Which pictures the image panel shows: one per image, or one per area of an image that was cut up."""

from __future__ import annotations

from dataclasses import dataclass

from attnviz_video.core.layout import Areas, ImageInfo, PatchGrid, PixelBox, TokenLayout, grid_groups


@dataclass(frozen=True)
class Picture:
    """One picture of the panel."""

    image: int
    #: What is painted on it; none where the model has no patch of the image.
    grids: tuple[PatchGrid, ...]
    #: The part of the image that it shows, in original pixels.
    crop: PixelBox
    #: Which area of the image it is: "", "tiles", "tile 3", "thumbnail".
    area: str = ""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in original pixels."""
        return self.crop[2] - self.crop[0], self.crop[3] - self.crop[1]


def pictures_of(layout: TokenLayout, areas: Areas) -> tuple[Picture, ...]:
    """The pictures of all images, in order; those of one image follow each other, its thumbnail last."""
    found = []
    for image, info in enumerate(layout.images):
        groups = grid_groups(layout.grids_of(image), areas)
        for number, grids in enumerate(groups):
            whole = (0, 0, info.width, info.height)
            if len(groups) == 1:
                found.append(Picture(image, grids, whole))
            elif grids[0].area == "thumbnail":
                found.append(Picture(image, grids, whole, "thumbnail"))
            elif areas == "separate":
                found.append(Picture(image, grids, part_of(info, grids[0]), f"tile {number + 1}"))
            else:
                found.append(Picture(image, grids, whole, "tiles"))
    return tuple(found)


def part_of(info: ImageInfo, grid: PatchGrid) -> PixelBox:
    """The pixels of the image that `grid` covers, at least one; padding beyond the image is cut off."""
    x, y = grid.x_edges(), grid.y_edges()
    left = min(max(int(x[0]), 0), info.width - 1)
    top = min(max(int(y[0]), 0), info.height - 1)
    return left, top, max(left + 1, min(int(x[-1]), info.width)), max(top + 1, min(int(y[-1]), info.height))
