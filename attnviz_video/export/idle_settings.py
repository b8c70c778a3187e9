"""Settings that change nothing in what is written: each is told, so that nobody looks for its effect."""

from __future__ import annotations

from collections.abc import Sequence

from attnviz_video.core.trace import TraceData
from attnviz_video.export.names import Output
from attnviz_video.export.settings import ExportSettings
from attnviz_video.render.image_boxes import answer_boxes, truth_boxes
from attnviz_video.render.settings import RenderSettings


def idle_notices(
    trace: TraceData, render: RenderSettings, export: ExportSettings, outputs: Sequence[Output]
) -> tuple[str, ...]:
    """One sentence for every setting that was given and has no effect on `outputs` of `trace`."""
    return (*_without_boxes(trace, render.boxes), *_without_format(export, outputs))


def _without_boxes(trace: TraceData, boxes: str) -> tuple[str, ...]:
    found = []
    if boxes in ("truth", "both") and not truth_boxes(trace):
        found.append(f"--boxes {boxes}: the dataset has no box on the images of this sample, none of it is drawn")
    if boxes in ("answer", "both") and not answer_boxes(trace):
        found.append(f"--boxes {boxes}: the answer writes no box on the images, none of it is drawn")
    return tuple(found)


def _without_format(export: ExportSettings, outputs: Sequence[Output]) -> tuple[str, ...]:
    """Settings of one form that is not written; one that has its default cannot be told from one not given."""
    kinds = {output.kind for output in outputs}
    found = []
    if "mp4" not in kinds:
        if export.max_mb is not None:
            found.append(f"--max_mb {export.max_mb:g} has no effect: it limits the MP4, and none is written")
        if export.chroma != ExportSettings.chroma:
            found.append(f"--chroma {export.chroma} has no effect: it is a setting of the MP4, and none is written")
    if "webp" not in kinds and export.webp_quality != ExportSettings.webp_quality:
        found.append(f"--webp_quality {export.webp_quality} has no effect: no WebP is written")
    return tuple(found)
