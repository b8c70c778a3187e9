"""Names of outputs, and what may be replaced under them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attnviz_video.core.sample import Sample
from attnviz_video.core.trace import TraceHeader
from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.mark import VideoMark, mark_of, read_mark
from attnviz_video.export.mp4 import VideoMetadata
from attnviz_video.export.png_folder import is_own_name
from attnviz_video.export.settings import ExportSettings, Format

#: What an output can be: a video in one of its forms, or the poster beside it.
Kind = Literal["mp4", "webp", "gif", "png", "poster"]
#: What stands behind the name of a video, by its form; a sequence of PNG files is a folder.
SUFFIXES: Mapping[Kind, str] = {
    "mp4": ".mp4",
    "webp": ".webp",
    "gif": ".gif",
    "png": "_frames",
    "poster": "_poster.png",
}
#: Forms that a name given with `-o` may end in.
ENDINGS: Mapping[str, Format] = {".mp4": "mp4", ".webp": "webp", ".gif": "gif"}


@dataclass(frozen=True)
class Output:
    """One file to write (or folder, of a sequence of frames), and what it is."""

    kind: Kind
    path: Path


def video_name(layer: int, kind: Kind = "mp4") -> str:
    """File name of the video of one layer (counted from 0)."""
    return f"combined_attention_visualization_layer{layer}{SUFFIXES[kind]}"


def output_paths(
    settings: ExportSettings, layer: int, n_layers: int = 1, trace_folder: Path | None = None
) -> tuple[Output, ...]:
    """What is written of `layer`, one of `n_layers`: its video in every asked form, then its poster.

    Beside `trace_folder` where that is given and neither `-o` nor `--output_dir` say otherwise.

    Raises:
        UsageError: `-o` for more than one file, or a target that must not be replaced (`check_target`).
    """
    formats = formats_of(settings)
    if settings.output is not None:
        if n_layers > 1:
            raise UsageError(
                f"-o {settings.output} names one file, but {n_layers} layers are asked for; "
                "name one layer with --layer_idx, or give a folder with --output_dir"
            )
        if len(formats) > 1:
            raise UsageError(
                f"-o {settings.output} names one file, but --format asks for {len(formats)}; "
                "name one format, or give a folder with --output_dir"
            )
        outputs = [Output(formats[0], settings.output)]
    else:
        beside = trace_folder is not None and settings.output_dir is None
        folder = settings.folder if not beside or trace_folder is None else beside_trace(trace_folder, layer).parent
        outputs = [Output(kind, folder / video_name(layer, kind)) for kind in formats]
    if settings.poster != "none":
        first = outputs[0].path
        stem = first.name.removesuffix(SUFFIXES["png"]) if outputs[0].kind == "png" else first.stem
        outputs.append(Output("poster", first.with_name(f"{stem}{SUFFIXES['poster']}")))
    for output in outputs:
        check_output(output, overwrite=settings.overwrite)
    return tuple(outputs)


def formats_of(settings: ExportSettings) -> tuple[Format, ...]:
    """The forms asked for, each once; without `--format` the one that the name given with `-o` ends in, else MP4."""
    if settings.format is not None:
        return tuple(dict.fromkeys(settings.format))
    return (kind_of(settings.output) if settings.output is not None else "mp4",)


def kind_of(path: Path) -> Format:
    """The form of a video by the end of its name; MP4 where that says nothing."""
    return ENDINGS.get(path.suffix.lower(), "mp4")


def video_path(settings: ExportSettings, layer: int, n_layers: int = 1) -> Path:
    """Where the first of the videos of `layer` goes when `n_layers` layers are shown.

    Raises:
        UsageError: as `output_paths`.
    """
    return output_paths(settings, layer, n_layers)[0].path


def trace_path(settings: ExportSettings, sample: Sample) -> Path:
    """The folder of the trace of `sample`."""
    return settings.folder / f"trace_sample{sample.index}"


def rendered_path(settings: ExportSettings, trace_folder: Path, layer: int, n_layers: int = 1) -> Path:
    """Where `render` puts the first of the videos of `layer`: beside the trace unless told otherwise.

    Raises:
        UsageError: as `output_paths`.
    """
    return output_paths(settings, layer, n_layers, trace_folder)[0].path


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


def check_output(output: Output, *, overwrite: bool) -> None:
    """Refuse a place where an output cannot or must not go; call it before long work.

    Raises:
        UsageError: see `check_target`; for a sequence of frames, a file of that name or a folder of other files.
    """
    path = output.path
    if output.kind != "png":
        check_target(path, overwrite=overwrite, suffix=".png" if output.kind == "poster" else SUFFIXES[output.kind])
        return
    if path.suffix.lower() in (".png", *ENDINGS):
        raise UsageError(f"{path}: --format png writes a folder of frames; name a folder, without {path.suffix}")
    _check_folder(path)
    if overwrite or not path.exists():
        return
    foreign = sorted(name for name in os.listdir(path) if not is_own_name(name)) if path.is_dir() else [path.name]
    if foreign or (os.listdir(path) and existing_mark(path) is None):
        found = f"holds {foreign[0]!r}, which this program did not write" if path.is_dir() and foreign else (
            "was not written by this program"
        )  # fmt: skip
        raise UsageError(f"{path} {found}; choose another name with -o, or replace it with --overwrite")


def check_target(path: Path, *, overwrite: bool, suffix: str = ".mp4") -> None:
    """Refuse a place where a file cannot or must not go; call it before long work.

    Raises:
        UsageError: another ending than `suffix`, a folder, no permission, or a file of somebody else without
            `overwrite`.
    """
    if path.suffix.lower() != suffix:
        raise UsageError(f"{path}: expected a file name that ends in {suffix}; choose another with -o")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with -o, or a folder for all results with --output_dir")
    _check_folder(path)
    if path.exists() and not overwrite and existing_mark(path) is None:
        raise UsageError(
            f"{path} was not written by this program; choose another name with -o, or replace it with --overwrite"
        )


def _check_folder(path: Path) -> None:
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise UsageError(f"{path} cannot be written: {folder} is a file; choose another place with --output_dir")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{path} cannot be written: no permission in {folder}; choose another place with --output_dir")


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
    """The mark of the output at `path`; None where there is none or it is not ours.

    Raises:
        EnvironmentFault: the file cannot be read.
    """
    if not path.exists():
        return None
    try:
        return read_mark(path)
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror or error}; choose another name with -o") from error
