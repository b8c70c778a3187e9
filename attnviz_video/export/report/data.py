"""What a report knows besides the rows: tokens, steps, pictures, colours, scalars, and the scale shown first."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt16

from attnviz_video.analysis.scores import Scores
from attnviz_video.core.layout import PatchGrid
from attnviz_video.core.sample import Sample, TruthBox, second_text
from attnviz_video.core.tokens import SEGMENT_NAMES
from attnviz_video.core.trace import TraceData
from attnviz_video.export.report.blocks import Held
from attnviz_video.export.report.facts import trace_facts
from attnviz_video.export.report.images import image_sources
from attnviz_video.export.report.looks import color_looks, series_colors
from attnviz_video.export.report.rollout import missing_rollout
from attnviz_video.export.report.rows import packed
from attnviz_video.export.report.text import plain_text, token_columns, unit_lists
from attnviz_video.render.pictures import Picture, pictures_of
from attnviz_video.render.settings import RenderSettings

#: Scalars are kept as whole numbers: shares and weights in units of 1/10,000, entropies in 1/1,000 nat.
SHARE_UNITS, ENTROPY_UNITS = 10_000, 1_000
#: Stands for a scalar that is no number.
NO_SCALAR = 0xFFFF


def report_data(scores: Scores, render: RenderSettings, held: Held) -> dict[str, object]:
    """Everything but the rows, as JSON can hold it; `scores` are those of the layer and settings shown first."""
    trace = scores.trace
    header = trace.header
    return {
        "version": 1,
        "model": plain_text(header.model.short_name),
        "sample": plain_text(header.sample.id),
        "question": plain_text(asked_text(header.sample)),
        "title": None if render.title is None else plain_text(render.title),
        "status": trace.status,
        "kind": header.kind,
        "queryRows": header.query_rows,
        "facts": trace_facts(trace),
        "nPrompt": trace.n_prompt,
        "nPositions": len(trace.tokens),
        "nLayers": header.model.n_layers,
        "nHeads": header.model.n_heads,
        "layerKinds": list(header.model.layer_kinds),
        "heads": list(header.heads),
        "meanLayers": list(held.mean_layers),
        "headLayers": list(held.head_layers),
        "recordedHeadLayers": list(header.head_layers),
        "noRollout": missing_rollout(trace),
        "promptRows": held.prompt,
        "rowSteps": list(held.steps),
        "frames": list(scores.steps),
        "steps": _steps(trace),
        "tokens": token_columns(trace.tokens),
        "units": unit_lists(trace),
        "segmentNames": dict(SEGMENT_NAMES),
        "images": _images(trace),
        "pictures": [_picture(picture) for picture in pictures_of(trace.layout, scores.settings.areas)],
        "patches": [trace.layout.patch_positions(image).tolist() for image in range(len(trace.layout.images))],
        "painted": _painted(scores),
        "boxes": _boxes(header.sample.boxes),
        "scalars": _scalars(trace, held.steps),
        "looks": color_looks(render),
        "series": series_colors(),
        "first": _first(scores, render),
    }


def asked_text(sample: Sample) -> str:
    """The question, or both sentences of a pair."""
    return " / ".join(text for text in (sample.problem, second_text(sample)) if text)


def _first(scores: Scores, render: RenderSettings) -> dict[str, object]:
    """The settings shown first, with the sinks and the scale that the video of the same settings has."""
    settings, scale = scores.settings, scores.shared_scale
    return {
        "layer": scores.layer,
        "head": settings.head.strip() if scores.head.kind != "one" else str(scores.head.number),
        "convention": settings.convention,
        "scale": settings.scale,
        "scope": settings.scale_scope,
        "gamma": settings.gamma,
        "sinks": settings.sinks,
        "colormap": render.colormap,
        "showPrompt": render.show_prompt,
        "heatAlpha": render.heat_alpha,
        "grid": render.grid_lines,
        "sinkList": [[sink.position, float(sink.weight)] for sink in scores.sinks],
        "tops": None if scale is None else [scale.text_top, scale.image_top, scale.text_clipped, scale.image_clipped],
    }


def _steps(trace: TraceData) -> list[list[object]]:
    """[log-probability, milliseconds, candidates] of every answer token; a candidate is [id, text, probability]."""
    return [
        [
            _number(info.log_probability),
            _number(info.milliseconds),
            [[one.id, plain_text(one.piece), _number(one.probability)] for one in info.candidates],
        ]
        for info in trace.steps
    ]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _images(trace: TraceData) -> list[dict[str, object]]:
    sources = image_sources(trace.image_files)
    return [
        {"name": plain_text(info.name), "width": info.width, "height": info.height, "src": source}
        for info, source in zip(trace.layout.images, sources, strict=True)
    ]


def _picture(picture: Picture) -> dict[str, object]:
    return {
        "image": picture.image,
        "area": picture.area,
        "crop": list(picture.crop),
        "grids": [_grid(grid) for grid in picture.grids],
    }


def _grid(grid: PatchGrid) -> dict[str, object]:
    return {
        "rows": grid.rows,
        "columns": grid.columns,
        "first": grid.first_patch,
        "x": grid.x_edges().tolist(),
        "y": grid.y_edges().tolist(),
    }


def _painted(scores: Scores) -> list[list[int]] | None:
    """1 for every painted patch, per image; None where all are."""
    painted = scores.regions.painted
    return None if all(own.all() for own in painted) else [own.astype(int).tolist() for own in painted]


def _boxes(boxes: Sequence[TruthBox]) -> list[list[object]]:
    """[phrases, image, left, top, right, bottom] of every box that is known; several phrases may name one box."""
    phrases: dict[tuple[int, tuple[float, ...]], list[str]] = {}
    for box in boxes:
        phrases.setdefault((box.image, tuple(map(float, box.box))), []).append(plain_text(box.phrase))
    return [[", ".join(names), image, *corners] for (image, corners), names in phrases.items()]


def _scalars(trace: TraceData, steps: Sequence[int]) -> dict[str, object] | None:
    """The scalars of all layers and heads as 16-bit numbers [scalar, step, layer, head]; None where there are none.

    The scalars are the share of each image, then that of the first token, the maximum, the entropy.
    """
    layers = trace.header.scalar_layers
    kept = [trace.steps[step].scalars for step in steps]
    if not layers or not kept or any(scalars is None for scalars in kept):
        return None
    found = [scalars for scalars in kept if scalars is not None]
    n_images = len(trace.layout.images)
    shares = [np.stack([s.image_share[..., image] for s in found]) for image in range(n_images)]
    parts = [*shares, np.stack([s.first_token for s in found]), np.stack([s.maximum for s in found])]
    codes = [_codes(part, SHARE_UNITS) for part in parts]
    codes.append(_codes(np.stack([s.entropy for s in found]), ENTROPY_UNITS))
    return {"layers": list(layers), "values": packed(np.stack(codes))}


def _codes(values: np.ndarray, units: int) -> UInt16[np.ndarray, "*shape"]:
    whole = np.rint(values.astype(np.float64) * units)
    usable = np.isfinite(whole) & (whole >= 0) & (whole < NO_SCALAR)
    codes: UInt16[np.ndarray, "*shape"] = np.where(usable, whole, NO_SCALAR).astype(np.uint16)
    return codes
