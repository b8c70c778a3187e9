"""Make shapes as loud as colours in the image features.

After vision pretraining every cell's shape can be read off the image features, but it accounts for only about 6 % of
their variance (colour 25 %, row and column about 30 % each), and searching an object by its shape alone was the last
thing the decoder learned. Once during the language stage the component of the features that tells the shapes apart is
stretched by a constant factor, by multiplying the merger's last matrix. The map is linear and the same for every cell,
so it says nothing about any question or about where to look.
"""

from __future__ import annotations

import torch
from demo_scenes import SHAPES

from demo_training.batches import picture_batch
from demo_training.forward import BatchedForward

STRETCH = 3.0


@torch.no_grad()
def sharpen_shapes(forward: BatchedForward, pictures: int = 256) -> None:
    """Stretch the span of the shapes' mean features by ``STRETCH`` around the mean feature of object cells."""
    features, labels = [], []
    for first in range(0, pictures, 64):
        images, cells = picture_batch("train", 5_000_000 + first, 64)
        occupied = cells[..., 1] > 0
        features.append(forward.encode_images(images)[occupied])
        labels.append(cells[..., 1][occupied])
    seen, shape = torch.cat(features), torch.cat(labels)
    means = torch.stack([seen[shape == index + 1].mean(0) for index in range(len(SHAPES))])
    middle = means.mean(0)
    span = torch.linalg.svd(means - middle, full_matrices=False).Vh[: len(SHAPES) - 1]
    stretch = torch.eye(span.shape[1]) + (STRETCH - 1) * span.T @ span
    last = forward.vision.merger.mlp[2]
    last.weight.copy_(stretch @ last.weight)
    last.bias.copy_(stretch @ (last.bias - middle) + middle)
