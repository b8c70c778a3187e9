"""What a page is told of a recording: the prompt once, then every step as it comes."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from attnviz_video.core.layout import PatchGrid, TokenLayout, painted_grids
from attnviz_video.core.step import Step
from attnviz_video.core.tokens import Token
from attnviz_video.core.units import display_units
from attnviz_video.export.report.text import piece_text, plain_text
from attnviz_video.models.token_text import TokenText
from attnviz_video.render.escape import special_tag
from attnviz_video.serve.answer_sections import AnswerSections

if TYPE_CHECKING:
    from attnviz_video.pipeline import Announced


def prompt_event(announced: Announced, image_addresses: Sequence[str]) -> dict[str, Any]:
    """The prompt as the page shows it: its tokens column by column, and its pictures with their grids."""
    prepared, header, layout = announced.prepared, announced.header, announced.prepared.layout
    return {
        "tokens": _columns(prepared.tokens),
        "units": _units(prepared.tokens),
        "n_prompt": prepared.n_prompt,
        "n_prefix": announced.capture.n_given,
        "images": [_image(layout, number, address) for number, address in enumerate(image_addresses)],
        "shown_from": header.start.first_shown,
        "layer": announced.plan.shown_layers[0],
        "n_layers": header.model.n_layers,
        "heads": header.model.n_heads,
    }


def _columns(tokens: Sequence[Token]) -> dict[str, list[Any]]:
    return {
        "id": [token.id for token in tokens],
        "text": ["" if token.patch >= 0 else _shown(piece_text(token), special=token.special) for token in tokens],
        "kind": ["patch" if token.patch >= 0 else "special" if token.special else "text" for token in tokens],
        "role": [token.role for token in tokens],
        "image": [token.image for token in tokens],
        "patch": [token.patch for token in tokens],
    }


def _units(tokens: Sequence[Token]) -> list[list[Any]]:
    """Display units as [first, stop, text, special, image]; every image stands where its first patch does."""
    units = [
        [unit.first, unit.stop, _shown(plain_text(unit.text), special=unit.special), int(unit.special), -1]
        for unit in display_units(tokens)
    ]
    places: dict[int, list[int]] = {}
    for token in tokens:
        if token.role == "image" and token.image >= 0:
            places.setdefault(token.image, []).append(token.position)
    pictures = [[at[0], at[-1] + 1, "", 0, image] for image, at in places.items()]
    return sorted([*units, *pictures], key=lambda unit: int(unit[0]))


def _shown(text: str, *, special: bool) -> str:
    return special_tag(text) if special else text


def _image(layout: TokenLayout, number: int, address: str) -> dict[str, Any]:
    info = layout.images[number]
    return {
        "name": plain_text(info.name),
        "width": info.width,
        "height": info.height,
        "src": address,
        "grids": [_grid(grid) for grid in painted_grids(layout.grids_of(number))],
        "positions": layout.patch_positions(number).tolist(),
    }


def _grid(grid: PatchGrid) -> dict[str, Any]:
    x, y = grid.x_edges().tolist(), grid.y_edges().tolist()
    return {
        "rows": grid.rows, "columns": grid.columns, "first": grid.first_patch, "area": grid.area, "x": x, "y": y,
    }  # fmt: skip


class StepTeller:
    """Turns steps, in order, into what the page is told of them; reads the answer's text as it grows."""

    def __init__(self, text: TokenText, layer: int, scalar_layers: Sequence[int]) -> None:
        self._text = text
        self._stream = text.stream()
        self._sections = AnswerSections()
        self._layer = layer
        self._number = scalar_layers.index(layer)
        #: Ids of all steps so far.
        self.ids: list[int] = []

    def tell(self, step: Step) -> dict[str, Any]:
        """One step; its weights are the mean over the heads of the layer that is shown."""
        info = step.info
        self.ids.append(info.token_id)
        late, now = self._stream.push(info.token_id)
        special = self._text.describe([info.token_id])[0].special
        told: dict[str, Any] = {
            "step": info.index,
            "id": info.token_id,
            "text": _shown(plain_text(now), special=special),
            "special": special,
            "probability": number(math.exp(info.log_probability)),
            "logprob": number(info.log_probability),
            "ms": number(info.milliseconds),
            "top": [[one.id, plain_text(one.piece), number(one.probability)] for one in info.candidates],
            "weights": None if step.rows is None else packed(step.rows.mean[self._layer]),
            "sections": self._sections.push(now, special=special, late=late),
            **self._scalars(step),
        }
        return told | ({"late": plain_text(late)} if late else {})

    def _scalars(self, step: Step) -> Mapping[str, Any]:
        scalars = step.info.scalars
        if scalars is None:
            return {"image_share": None, "image_shares": [], "entropy": None}
        shares = scalars.image_share[self._number].astype(np.float64).mean(axis=0)
        return {
            "image_share": number(float(shares.sum())),
            "image_shares": [number(float(share)) for share in shares],
            "entropy": number(float(scalars.entropy[self._number].astype(np.float64).mean())),
        }


def packed(row: Float[np.ndarray, "keys"]) -> str:
    """Weights as base64 of float16, the low byte first."""
    return base64.b64encode(row.astype("<f2").tobytes()).decode("ascii")


def number(value: float) -> float | None:
    """A number as JSON can hold it."""
    return float(value) if math.isfinite(value) else None
