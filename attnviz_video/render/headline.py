"""The user's own words on a frame: the title at its head, the caption at its foot."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from attnviz_video.render.brush import write
from attnviz_video.render.plan import FramePlan
from attnviz_video.render.typefaces import Faces
from attnviz_video.theme import Theme


def paint_headline(frame: UInt8[np.ndarray, "height width 3"], plan: FramePlan, look: Theme, faces: Faces) -> None:
    """Write title and caption where `plan` has them, line by line."""
    parts = ((plan.title, plan.title_lines, faces.title), (plan.caption, plan.caption_lines, faces.caption))
    for (left, top, _, _), lines, face in parts:
        for number, line in enumerate(lines):
            write(frame, left, top + number * face.height, line, face, look.color("ink"))
