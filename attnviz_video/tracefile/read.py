"""Opening a trace, and verifying all of it. Imports neither torch nor Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnviz_video.core.step import StepInfo
from attnviz_video.core.tokens import Token
from attnviz_video.core.trace import TraceData, TraceHeader, TraceStatus
from attnviz_video.errors import TraceError
from attnviz_video.tracefile.checked import check_crc, check_files, read_checked
from attnviz_video.tracefile.disk_rows import DiskRows
from attnviz_video.tracefile.format import Manifest
from attnviz_video.tracefile.manifest import load_manifest
from attnviz_video.tracefile.place import locate_trace
from attnviz_video.tracefile.tables import decode_steps, decode_tokens, rebuild_layout


@dataclass(frozen=True)
class TraceSummary:
    """What a trace holds, after reading all of it."""

    folder: Path
    status: TraceStatus
    #: Why it failed; empty otherwise.
    reason: str
    n_prompt: int
    n_steps: int
    #: Steps that have rows.
    n_recorded: int
    n_shards: int
    n_bytes: int
    head_layers: tuple[int, ...]
    mean_layers: tuple[int, ...]


def open_trace(folder: Path, *, verify: bool = True) -> TraceData:
    """The trace in `folder`, finished or not; its rows are read from disk when they are asked for.

    Where there is no finished trace of that name, the one a killed or failed run left beside it is opened: its `status`
    is not "complete", and it holds the finished steps only. `verify=False` leaves out the checksums of rows and images.

    Raises:
        TraceError: no trace, damaged, or of a newer version.
    """
    folder = locate_trace(folder)
    manifest = load_manifest(folder)
    check_files(folder, manifest)
    if verify:
        for entry in manifest.images:
            check_crc(folder, entry)
    where = f"{folder}/{manifest.tokens.name}"
    tokens = decode_tokens(read_checked(folder, manifest.tokens), where)
    steps = _read_steps(folder, manifest)
    return TraceData(
        header=manifest.header,
        layout=rebuild_layout(manifest.layout, tokens, where),
        tokens=_with_answer(tokens, steps, manifest, where),
        steps=steps,
        rows=DiskRows(folder, manifest, [step.recorded for step in steps], verify=verify),
        image_files=tuple(folder / entry.name for entry in manifest.images),
        status=manifest.status,
        masked=manifest.masked,
    )


def incomplete_notice(trace: TraceData) -> str | None:
    """One line for the user where a trace was not recorded to its end."""
    if trace.status == "complete":
        return None
    how = "its recording failed" if trace.status == "failed" else "its recording was killed or still runs"
    if trace.is_encoding:
        return f"the trace is incomplete: not all layers have rows ({how})"
    return f"the trace is incomplete, {len(trace.steps)} steps ({how})"


def replaced_notice(folder: Path, header: TraceHeader) -> str | None:
    """One line for the user where recording into `folder` will replace the trace of another sample or model."""
    try:
        former = load_manifest(folder).header
    except TraceError:
        return None
    was, now = (former.sample.id, former.model.id), (header.sample.id, header.model.id)
    if was == now:
        return None
    return f"{folder} holds sample {was[0]} of {was[1]}; it is replaced by sample {now[0]} of {now[1]}"


def verify_trace(folder: Path) -> TraceSummary:
    """Read every byte and every row of the trace in `folder`.

    Raises:
        TraceError: the first damage found.
    """
    folder = locate_trace(folder)
    trace = open_trace(folder)
    manifest = load_manifest(folder)
    header = trace.header
    for _, entry in manifest.named_files():
        if entry.name not in (manifest.tokens.name, manifest.steps.name, manifest.scalars.name):
            check_crc(folder, entry)
    recorded = [step.index for step in trace.steps if step.recorded]
    for step in recorded:
        for layer in header.head_layers:
            trace.rows.head_rows(step, layer)
        for layer in header.mean_layers:
            trace.rows.mean_row(step, layer)
    for part in manifest.prompt_rows:
        trace.rows.prompt_rows(part.layer)
    return TraceSummary(
        folder, manifest.status, manifest.reason, trace.n_prompt, len(trace.steps), len(recorded), len(manifest.shards),
        sum(entry.size for _, entry in manifest.named_files()), header.head_layers, header.mean_layers,
    )  # fmt: skip


def _read_steps(folder: Path, manifest: Manifest) -> tuple[StepInfo, ...]:
    lines, scalars = read_checked(folder, manifest.steps), read_checked(folder, manifest.scalars)
    where = f"{folder}/{manifest.steps.name}"
    steps = decode_steps(lines, scalars, manifest.header, len(manifest.images), where)
    if len(steps) != manifest.n_steps:
        raise TraceError(f"{where}: {len(steps)} steps, the manifest counts {manifest.n_steps}; the trace is damaged")
    return steps


def _with_answer(
    tokens: tuple[Token, ...], steps: Sequence[StepInfo], manifest: Manifest, where: str
) -> tuple[Token, ...]:
    """Prompt and one token per finished step; those of an incomplete trace are made of the steps' candidates."""
    n_prompt = manifest.layout.n_prompt
    n_answer = len(tokens) - n_prompt
    if n_answer > len(steps) or (manifest.status == "complete" and n_answer != len(steps)):
        raise TraceError(f"{where}: {n_answer} answer tokens for {len(steps)} steps; the trace is damaged")
    for token, step in zip(tokens[n_prompt:], steps, strict=False):
        if token.id != step.token_id:
            raise TraceError(f"{where}: answer token {step.index} has id {token.id}, its step {step.token_id}; damaged")
    return (*tokens, *(_token_of(step, n_prompt) for step in steps[n_answer:]))


def _token_of(step: StepInfo, n_prompt: int) -> Token:
    """The answer token of a step whose text was not written any more."""
    pieces = [candidate.piece for candidate in step.candidates if candidate.id == step.token_id]
    piece = pieces[0] if pieces else f"⟨{step.token_id}⟩"
    return Token(n_prompt + step.index, step.token_id, piece.encode("utf-8", "replace"), piece, "answer", "other")
