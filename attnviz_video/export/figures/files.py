"""Names of figures, and what may be replaced under them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from attnviz_video.errors import EnvironmentFault, UsageError
from attnviz_video.export.figures.settings import FigureSettings
from attnviz_video.export.figures.sheet import MARK, Format

FORMATS: tuple[Format, ...] = get_args(Format)


def figure_format(settings: FigureSettings) -> Format:
    """The format that `-o` or `--format` names; PDF where neither does.

    Raises:
        UsageError: another ending, or the two contradict each other.
    """
    if settings.output is None:
        return settings.format or "pdf"
    ending = settings.output.suffix.lower().removeprefix(".")
    known = next((kind for kind in FORMATS if kind == ending), None)
    if known is None:
        endings = ", ".join(f".{kind}" for kind in FORMATS)
        raise UsageError(f"-o {settings.output}: expected a file name that ends in one of {endings}")
    if settings.format not in (None, known):
        raise UsageError(f"-o {settings.output} and --format {settings.format} name two formats; leave one out")
    return known


def figure_path(
    settings: FigureSettings, trace_folder: Path, layer: int, frames: Sequence[int], n_layers: int = 1
) -> Path:
    """Where the figure of `frames` (counted from 0) of `layer` goes: beside the trace unless told otherwise.

    Raises:
        UsageError: `-o` for more than one layer, a place that cannot be written, or a file of somebody else.
    """
    kind = figure_format(settings)
    if settings.output is not None and n_layers > 1:
        raise UsageError(
            f"-o {settings.output} names one file, but {n_layers} layers are asked for; "
            "name one layer with --layer_idx, or give a folder with --output_dir"
        )
    beside = trace_folder if trace_folder.name not in ("", "..") else trace_folder.resolve()
    folder = settings.output_dir if settings.output_dir is not None else beside.parent
    path = settings.output if settings.output is not None else folder / figure_name(settings, layer, frames, kind)
    check_figure_target(path, overwrite=settings.overwrite)
    return path


def figure_name(settings: FigureSettings, layer: int, frames: Sequence[int], kind: Format) -> str:
    """`attention_step12_layer20.pdf`, `attention_filmstrip5_layer20.svg`, `attention_steps3-17-40_layer20.pdf`."""
    if settings.filmstrip is not None:
        what = f"filmstrip{settings.filmstrip}"
    else:
        what = f"step{'s' if len(frames) > 1 else ''}{'-'.join(str(number + 1) for number in frames)}"
    return f"attention_{what}_layer{layer}.{kind}"


def check_figure_target(path: Path, *, overwrite: bool) -> None:
    """Refuse a place where the figure cannot or must not go.

    Raises:
        UsageError: a folder, no permission, or a file of somebody else without `overwrite`.
        EnvironmentFault: the file that is there cannot be read.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file with -o, or a folder for all results with --output_dir")
    folder = path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        why = "is a file" if not folder.is_dir() else "cannot be written to"
        raise UsageError(f"{path} cannot be written: {folder} {why}; choose another place with --output_dir")
    if path.exists() and not overwrite and not is_our_figure(path):
        raise UsageError(
            f"{path} was not written by this program; choose another name with -o, or replace it with --overwrite"
        )


def is_our_figure(path: Path) -> bool:
    """Whether the file at `path` says in its metadata that it is a figure of this program.

    Raises:
        EnvironmentFault: it cannot be read.
    """
    try:
        return MARK.encode("ascii") in path.read_bytes()
    except OSError as error:
        raise EnvironmentFault(f"cannot read {path}: {error.strerror or error}; choose another name with -o") from error
