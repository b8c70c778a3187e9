"""Names of outputs, and what may be replaced under them."""

from __future__ import annotations

import os
from pathlib import Path

from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.mark import VideoMark, mark_of, read_mark
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.settings import ExportSettings


def video_name(layer: int) -> str:
    """File name of the video of one layer (counted from 0)."""
    return f"combined_attention_visualization_layer{layer}.mp4"


def video_path(settings: ExportSettings, layer: int, n_layers: int = 1) -> Path:
    """Where the video of `layer` goes when `n_layers` of them are made.

    Raises:
        UsageError: `-o` for more than one layer, or the target must not be replaced (`check_target`).
    """
    if settings.output is not None and n_layers > 1:
        raise UsageError(
            f"-o {settings.output} names one file, but {n_layers} layers are asked for; "
            "name one layer with --layer_idx, or give a folder with --output_dir"
        )
    path = settings.output if settings.output is not None else settings.folder / video_name(layer)
    check_target(path, overwrite=settings.overwrite)
    return path


def trace_path(settings: ExportSettings, sample: Sample) -> Path:
    """The folder of the trace of `sample`."""
    return settings.folder / f"trace_sample{sample.index}"


def rendered_path(settings: ExportSettings, trace_folder: Path, layer: int, n_layers: int = 1) -> Path:
    """Where `render` puts the video of `layer`, one of `n_layers`: beside the trace unless told otherwise.

    Raises:
        UsageError: as `video_path`.
    """
    if settings.output is not None or settings.output_dir is not None:
        return video_path(settings, layer, n_layers)
    path = beside_trace(trace_folder, layer)
    check_target(path, overwrite=settings.overwrite)
    return path


def beside_trace(trace_folder: Path, layer: int) -> Path:
    """Where the video of a layer of a recorded trace goes when nothing else is said: beside the trace's folder."""
    folder = trace_folder if trace_folder.name not in ("", "..") else trace_folder.resolve()
    return folder.parent / video_name(layer)


def video_metadata(header: TraceHeader, layer: int) -> VideoMetadata:
    """Title and comment of the video of one layer; the comment is the mark that `check_target` looks for."""
    mark = mark_of(header, layer)
    return VideoMetadata(
        title=f"Attention of {mark.model}, layer {layer}, sample {mark.sample}", comment=mark.comment()
    )


def check_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where the video cannot or must not go; call it before long work.

    Raises:
        UsageError: no .mp4, a folder, no permission, or a file of somebody else without `overwrite`.
    """
    if path.suffix.lower() != ".mp4":
        raise UsageError(f"{path}: expected a file name that ends in .mp4; choose another with -o")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with -o, or a folder for all results with --output_dir")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: {folder} is a file; choose another place with --output_dir")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written: no permission in {folder}; choose another place with --output_dir")
    if path.exists() and not overwrite and existing_mark(path) is None:
        raise UsageError(
            f"{path} was not written by this program; choose another name with -o, or replace it with --overwrite"
        )


def replaced_sentence(path: Path, header: TraceHeader) -> str | None:
    """What to tell the user when the video now at `path`, which will be replaced, shows another recording.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    old = existing_mark(path)
    if old is None or old.key == mark_of(header, old.layer).key:
        return None
    return f"replacing {path}, which showed sample {old.sample} of model {old.model}"


def existing_mark(path: Path) -> VideoMark | None:
    """The mark of the video at `path`; None where there is no file or it is not ours.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    if not path.is_file():
        return None
    try:
        return read_mark(path)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror or error}; choose another name with -o") from error
