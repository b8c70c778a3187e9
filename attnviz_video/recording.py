"""What every recording shares: what it leaves behind, which head it can show, how its trace is announced."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import StartPoint, TraceHeader
from attnviz_video.errors import UsageError

if TYPE_CHECKING:
    from attnviz_video.capture.plan import RecordingPlan
    from attnviz_video.core.prepared import Prepared
    from attnviz_video.models.load import LoadedModel

#: Packages whose version decides what is generated or how it is stored.
VERSIONED = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow", "imageio-ffmpeg")


@dataclass(frozen=True)
class Recording:
    """What `record_sample` leaves behind."""

    trace_folder: Path
    #: Layers to make a video of, as indices from 0.
    shown_layers: tuple[int, ...]
    n_tokens: int
    interrupted: bool = False
    #: One pass of an encoder over a text: there is no answer, and so no video.
    is_encoding: bool = False


def check_head(head: str, plan: RecordingPlan, n_heads: int) -> None:
    """Refuse a `--head` that the recording will not be able to show.

    Raises:
        UsageError: the model has no such head, or the plan does not keep what it needs.
    """
    from attnviz_video.analysis.heads import parse_head

    wanted = parse_head(head)
    if wanted.kind == "one" and wanted.number >= n_heads:
        raise UsageError(f"--head {wanted.number} is out of range: the model has query heads 0 to {n_heads - 1}")
    needed = {"one": {wanted.number}, "max": set(range(n_heads)), "mean": set()}[wanted.kind]
    if not needed <= set(plan.heads):
        kept = ", ".join(map(str, plan.heads))
        raise UsageError(
            f"--head {head} cannot be shown: --heads keeps only {kept} of the {n_heads} query heads; "
            "record more with --heads, or use --head mean"
        )


def trace_header(sample: Sample, prepared: Prepared, loaded: LoadedModel, plan: RecordingPlan) -> TraceHeader:
    """What is known about a recording before its first token; the start point is provisional."""
    names = (*VERSIONED, "peft") if loaded.lora else VERSIONED
    versions = {name: importlib.metadata.version(name) for name in names}
    return TraceHeader(
        model=loaded.identity(),
        sample=sample,
        rendered_prompt=prepared.rendered_prompt,
        start=StartPoint("", "none", prepared.layout.n_prompt, 0),
        head_layers=plan.head_layers,
        heads=plan.heads,
        mean_layers=plan.mean_layers,
        scalar_layers=plan.scalar_layers,
        shown_layers=plan.shown_layers,
        query_rows=plan.query_rows,
        generation={"adapter": loaded.lora} if loaded.lora else {},
        versions=versions | {"python": platform.python_version()},
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
